//! An endpoint whose sound comes out at another moment than it is told: by the fixed latency of its make
//! ([`crate::calibration`]), or because somebody who stands nearer wants it later.
//!
//! The one place where either is applied, whatever the kind: due times move, nothing else.

use std::time::Duration;

use antiphon_audio::Block;
use antiphon_domain::{HubTime, Lead};

use crate::{Caps, Control, Endpoint};

/// How far due times are moved before they reach the endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// What the receiver adds of its own accord, microseconds: it is told moments so much earlier.
    pub latency_micros: i64,
    /// What a person set, milliseconds: above 0 it is heard later.
    pub offset_millis: i32,
}

impl Shift {
    /// Nanoseconds to add to a due time.
    pub fn nanos(self) -> i64 {
        i64::from(self.offset_millis) * 1_000_000 - self.latency_micros.saturating_mul(1_000)
    }

    /// A moment as the receiver is told it.
    fn told(self, due: HubTime) -> HubTime {
        HubTime::from_nanos(due.nanos().saturating_add(self.nanos()))
    }

    /// The lead that blocks need so that the receiver still gets its own.
    pub fn lead(self, of_receiver: Lead) -> Lead {
        let earlier = Duration::from_nanos(u64::try_from(-self.nanos()).unwrap_or(0));
        Lead(of_receiver.0 + earlier)
    }
}

/// An endpoint whose due times are moved.
pub struct Shifted {
    inner: Box<dyn Endpoint>,
    shift: Shift,
}

impl Shifted {
    /// Moves what `inner` is told by `shift`.
    pub fn new(inner: Box<dyn Endpoint>, shift: Shift) -> Self {
        Self { inner, shift }
    }
}

impl Endpoint for Shifted {
    fn caps(&self) -> Caps {
        let caps = self.inner.caps();
        Caps { lead: self.shift.lead(caps.lead), ..caps }
    }

    fn play(&mut self, block: &Block) {
        let due = self.shift.told(block.due);
        self.inner.play(&Block { due, samples: block.samples.clone() });
    }

    fn flush(&mut self, from: HubTime) {
        self.inner.flush(self.shift.told(from));
    }

    fn control(&mut self, control: Control) {
        self.inner.control(control);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_slow_is_told_earlier_and_wants_more_lead() {
        let slow = Shift { latency_micros: 1_500, offset_millis: 0 };
        assert_eq!(slow.told(HubTime::from_nanos(5_000_000)), HubTime::from_nanos(3_500_000));
        assert_eq!(slow.lead(Lead(Duration::from_millis(10))), Lead(Duration::from_micros(11_500)));
        let later = Shift { latency_micros: 0, offset_millis: 4 };
        assert_eq!(later.told(HubTime::from_nanos(0)), HubTime::from_nanos(4_000_000));
        assert_eq!(later.lead(Lead(Duration::from_millis(10))), Lead(Duration::from_millis(10)));
    }
}
