//! The kind: which texts are RTP sessions, and opening them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use antiphon_domain::{Lead, SpeakerId};
use antiphon_endpoint::{
    BadEndpoint, Caps, Clock, Descriptor, Endpoint, EndpointEvent, EventSink, Kind, LostReason, Pace,
    ServiceRecord, orders,
};
use prometheus::Registry;

use crate::driver::{Front, Pump, Session};
use crate::metrics::Metrics;
use crate::options::RtpOptions;
use crate::place::{EXPECTED, Place, SCHEME};

const NAME: &str = "rtp";

/// The property that holds the text behind the scheme.
const PLACE: &str = "place";

/// How early blocks come before their packets leave: as long as the render thread may be kept waiting.
const STEADY: Duration = Duration::from_millis(80);
/// The same where the machine has nothing else to do. A packet takes its last sample from the next block but one.
const QUICK: Duration = Duration::from_millis(30);

/// RTP sessions.
pub struct RtpKind {
    options: Arc<RtpOptions>,
    metrics: Metrics,
    pump: Pump,
}

impl RtpKind {
    /// A kind that counts on `registry`; its thread begins with the first session.
    pub fn new(options: RtpOptions, registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self { options: Arc::new(options), metrics: Metrics::new(registry)?, pump: Pump::default() })
    }

    /// Waits until every session that was dropped has said farewell, at most `patience`; for an orderly end.
    pub fn farewell(&self, patience: Duration) {
        let every = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        while self.metrics.sessions().get() > 0 && waited < patience {
            std::thread::sleep(every);
            waited += every;
        }
    }
}

impl Kind for RtpKind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn services(&self) -> &'static [&'static str] {
        &[]
    }

    fn recognise(&self, _record: &ServiceRecord) -> Option<Descriptor> {
        None
    }

    fn configured(&self, text: &str, id: &SpeakerId, name: &str) -> Option<Result<Descriptor, BadEndpoint>> {
        let rest = text.strip_prefix(SCHEME)?;
        if Place::parse(rest).is_none() {
            return Some(Err(BadEndpoint { text: text.to_owned(), expected: EXPECTED }));
        }
        let properties = BTreeMap::from([(PLACE.to_owned(), rest.to_owned())]);
        let (id, name) = (id.clone(), name.to_owned());
        // No address: nobody there could be asked whether it is alive.
        Some(Ok(Descriptor { id, name, kind: NAME, addresses: Vec::new(), properties }))
    }

    fn caps(&self, descriptor: &Descriptor, pace: Pace) -> Caps {
        let ahead = match pace {
            Pace::Steady => STEADY,
            Pace::Quick => QUICK,
        };
        let delay = place(descriptor).map_or(Duration::ZERO, |place| place.delay);
        Caps { lead: Lead(delay + ahead), own_volume: false }
    }

    fn open(
        &self,
        descriptor: &Descriptor,
        pace: Pace,
        clock: Arc<dyn Clock>,
        events: EventSink,
    ) -> Box<dyn Endpoint> {
        let (orders, taken) = orders();
        let refused = Arc::new(AtomicU32::new(0));
        let metrics = self.metrics.session(descriptor.id.as_str());
        let front = Front::new(self.caps(descriptor, pace), orders, Arc::clone(&refused), metrics.clone());
        let Some(place) = place(descriptor) else {
            events(EndpointEvent::Lost(LostReason::Local("nobody said where to send to".into())));
            return Box::new(front);
        };
        let session = Session {
            name: descriptor.name.clone(),
            place,
            options: Arc::clone(&self.options),
            orders: taken,
            refused,
            clock,
            events,
            metrics,
        };
        self.pump.open(session);
        Box::new(front)
    }
}

fn place(descriptor: &Descriptor) -> Option<Place> {
    descriptor.properties.get(PLACE).and_then(|text| Place::parse(text))
}
