//! The sockets of RTP sessions, and the one thread that sends for all of them.
//!
//! A session is the [`Front`] in the hands of the hub and a [`lane::Lane`] of the pump's thread. They meet in a bounded
//! channel; when the front is dropped the lane says farewell and ends.

mod announcer;
mod front;
mod lane;
mod ptp;
mod pump;
mod reporter;
mod source;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::Receiver;

use antiphon_endpoint::{Clock, EventSink, Order};

pub use front::Front;
pub use pump::Pump;

use crate::metrics::SessionMetrics;
use crate::options::RtpOptions;
use crate::place::Place;

/// What a lane is made of.
pub struct Session {
    /// What people call it.
    pub name: String,
    /// Where and how to send.
    pub place: Place,
    /// The kind's settings.
    pub options: Arc<RtpOptions>,
    /// What the hub wants, in order; ends with the front.
    pub orders: Receiver<Order>,
    /// Blocks that found no room, counted by the front.
    pub refused: Arc<AtomicU32>,
    /// The hub's clock.
    pub clock: Arc<dyn Clock>,
    /// Where news goes.
    pub events: EventSink,
    /// What is counted.
    pub metrics: SessionMetrics,
}
