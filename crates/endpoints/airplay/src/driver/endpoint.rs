//! What the hub holds of a session.
//!
//! Every method hands a value to a bounded channel and returns; none waits. Blocks and flushes keep their order.

use std::sync::Arc;

use antiphon_audio::Block;
use antiphon_domain::{HubTime, Level};
use antiphon_endpoint::{Caps, Clock, Control, Endpoint, EventSink, NowPlaying};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::driver::session::{self, Session};
use crate::driver::{Pump, Target};
use crate::metrics::{Metrics, SessionMetrics};
use crate::options::AirplayOptions;

/// Blocks that wait for the pump: 4 s, more than the lead and a stalled pump need.
const QUEUE: usize = 512;

/// In order for the pump.
#[derive(Debug)]
pub enum Item {
    /// To be sent.
    Block(Block),
    /// Everything due at or after this is void.
    Flush(HubTime),
}

/// An open session.
pub struct AirplayEndpoint {
    caps: Caps,
    /// Before `items`, so that it is dropped first: the session must not see its lane end while the hub seems to be there.
    level: watch::Sender<Option<Level>>,
    now: watch::Sender<Option<Arc<NowPlaying>>>,
    items: mpsc::Sender<Item>,
    /// A flush that found the queue full; it goes in front of whatever comes next.
    owed: Option<HubTime>,
    metrics: SessionMetrics,
}

/// Begins a session on `runtime`.
pub fn open(
    runtime: &Handle,
    options: AirplayOptions,
    target: Target,
    clock: Arc<dyn Clock>,
    events: EventSink,
    (metrics, session_metrics): (Metrics, SessionMetrics),
    pump: &Pump,
) -> AirplayEndpoint {
    let caps = Caps { lead: target.lead, own_volume: true };
    let (items, to_pump) = mpsc::channel(QUEUE);
    let (level, levels) = watch::channel(None);
    let (now, nows) = watch::channel(None);
    let session = Session {
        options,
        target,
        clock,
        events,
        metrics: session_metrics.clone(),
        open: session::Open::new(metrics.sessions().clone()),
        pump: pump.lanes(),
        levels,
        nows,
    };
    runtime.spawn(session.run(to_pump));
    AirplayEndpoint { caps, level, now, items, owed: None, metrics: session_metrics }
}

impl AirplayEndpoint {
    /// Hands over the flush that is owed; false when there is still no room.
    fn settle(&mut self) -> bool {
        let Some(from) = self.owed else { return true };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.items.try_send(Item::Flush(from)) {
            return false;
        }
        self.owed = None;
        true
    }
}

impl Endpoint for AirplayEndpoint {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn play(&mut self, block: &Block) {
        if !self.settle() || self.items.try_send(Item::Block(block.clone())).is_err() {
            self.metrics.refused.inc();
        }
    }

    fn flush(&mut self, from: HubTime) {
        self.owed = Some(self.owed.map_or(from, |owed| owed.min(from)));
        self.settle();
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Level(level) => {
                self.level.send_replace(Some(level));
            }
            Control::Now(now) => {
                self.now.send_replace(Some(now));
            }
            _ => {}
        }
        self.settle();
    }
}
