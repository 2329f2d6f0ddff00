//! What the hub holds of a session.
//!
//! Every method hands a value over and returns; none waits. Blocks and flushes keep their order.

use std::sync::Arc;

use antiphon_audio::Block;
use antiphon_domain::{HubTime, Level};
use antiphon_endpoint::{Caps, Clock, Control, Endpoint, EventSink, NowPlaying, Orders, orders};
use antiphon_net::pump::Pump;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::driver::session::{self, Session};
use crate::driver::{Lane, Target};
use crate::metrics::{Metrics, SessionMetrics};
use crate::options::AirplayOptions;

/// An open session.
pub struct AirplayEndpoint {
    caps: Caps,
    /// Before `orders`, so that it is dropped first: the session must not see its lane end while the hub seems to be there.
    level: watch::Sender<Option<Level>>,
    now: watch::Sender<Option<Arc<NowPlaying>>>,
    orders: Orders,
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
    pump: &Pump<Lane>,
) -> AirplayEndpoint {
    let caps = Caps { lead: target.lead, own_volume: true };
    let (orders, taken) = orders();
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
    runtime.spawn(session.run(taken));
    AirplayEndpoint { caps, level, now, orders, metrics: session_metrics }
}

impl Endpoint for AirplayEndpoint {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn play(&mut self, block: &Block) {
        if !self.orders.play(block) {
            self.metrics.refused.inc();
        }
    }

    fn flush(&mut self, from: HubTime) {
        self.orders.flush(from);
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
        self.orders.settle();
    }
}
