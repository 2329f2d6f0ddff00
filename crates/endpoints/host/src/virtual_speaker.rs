//! The kind `virtual`: a speaker that plays in real time to nothing, or into a WAV file, with a level meter.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use antiphon_domain::{Lead, SpeakerId};
use antiphon_endpoint::{
    BadEndpoint, Caps, Clock, Descriptor, Endpoint, EndpointEvent, EventSink, Kind, LostReason, Pace,
    ServiceRecord,
};

use crate::front::Front;
use crate::player::{self, Opened};

const NAME: &str = "virtual";
const FILE: &str = "file";

const CAPS: Caps = Caps { lead: Lead(Duration::from_millis(80)), own_volume: false };

/// Virtual speakers: `virtual:` plays to nothing, `virtual:FILE.wav` into a file. A file begins anew with the process
/// and goes on over sessions.
pub struct VirtualKind {
    /// Where sessions go; absent when the system gave no thread. Sessions are few, so nothing bounds them here.
    player: Option<Sender<Opened>>,
}

impl VirtualKind {
    /// Starts the one thread that plays for all of them.
    pub fn new() -> Self {
        let (player, opened) = channel();
        let started =
            thread::Builder::new().name("antiphon-virtual".into()).spawn(move || player::run(&opened));
        Self { player: started.is_ok().then_some(player) }
    }
}

impl Default for VirtualKind {
    fn default() -> Self {
        Self::new()
    }
}

impl Kind for VirtualKind {
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
        let file = text.strip_prefix("virtual:")?;
        if !file.is_empty() && !file.to_ascii_lowercase().ends_with(".wav") {
            let expected = "virtual: or virtual:FILE.wav";
            return Some(Err(BadEndpoint { text: text.to_owned(), expected }));
        }
        let mut properties = BTreeMap::new();
        if !file.is_empty() {
            properties.insert(FILE.to_owned(), file.to_owned());
        }
        let (id, name) = (id.clone(), name.to_owned());
        Some(Ok(Descriptor { id, name, kind: NAME, addresses: Vec::new(), properties }))
    }

    fn caps(&self, _descriptor: &Descriptor, _pace: Pace) -> Caps {
        CAPS
    }

    fn open(
        &self,
        descriptor: &Descriptor,
        _pace: Pace,
        clock: Arc<dyn Clock>,
        events: EventSink,
    ) -> Box<dyn Endpoint> {
        let (front, orders, missed) = Front::new(CAPS, Arc::clone(&clock));
        let file = descriptor.properties.get(FILE).map(PathBuf::from);
        let opened = Opened { orders, clock, events: Arc::clone(&events), missed, file };
        let sent = self.player.as_ref().is_some_and(|player| player.send(opened).is_ok());
        if !sent {
            events(EndpointEvent::Lost(LostReason::Local("the thread of virtual speakers is gone".into())));
        }
        Box::new(front)
    }
}
