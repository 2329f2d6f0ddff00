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
///
/// While it plays, [`Control::Shift`] changes by how much: what the receiver has goes on, and then there is a hole of as
/// much as it is to be later, or so many whole blocks are left out as it is to be earlier. Nothing is taken back: what
/// was sent early could not be sent again in time.
pub struct Shifted {
    inner: Box<dyn Endpoint>,
    shift: Shift,
    /// Where what was told ends, as it was told.
    end: Option<HubTime>,
    /// The shift before this one, and where what was told under it ends.
    before: Option<(Shift, HubTime)>,
}

/// Due times are rounded down to nanoseconds: blocks that follow each other may overlap by that.
const ROUNDING: Duration = Duration::from_micros(1);

impl Shifted {
    /// Moves what `inner` is told by `shift`.
    pub fn new(inner: Box<dyn Endpoint>, shift: Shift) -> Self {
        Self { inner, shift, end: None, before: None }
    }
}

impl Endpoint for Shifted {
    fn caps(&self) -> Caps {
        let caps = self.inner.caps();
        Caps { lead: self.shift.lead(caps.lead), ..caps }
    }

    fn play(&mut self, block: &Block) {
        let block = Block { due: self.shift.told(block.due), samples: block.samples.clone() };
        if self.end.is_some_and(|end| block.due + ROUNDING < end) {
            return;
        }
        self.end = Some(block.end());
        self.inner.play(&block);
    }

    fn flush(&mut self, from: HubTime) {
        let mut told = self.shift.told(from);
        // What went out under the shift before is taken back where it lies.
        if let Some((before, end)) = self.before.take() {
            let old = before.told(from);
            if old < end {
                told = told.min(old);
                self.before = Some((before, old));
            }
        }
        self.end = self.end.map(|end| end.min(told));
        self.inner.flush(told);
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Shift(shift) => {
                self.before = self.end.map(|end| (self.shift, end));
                self.shift = shift;
            }
            other => self.inner.control(other),
        }
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

    /// Notes what it is told.
    #[derive(Clone, Default)]
    struct Told(std::sync::Arc<std::sync::Mutex<Vec<(&'static str, i64)>>>);

    impl Endpoint for Told {
        fn caps(&self) -> Caps {
            Caps { lead: Lead(Duration::from_millis(100)), own_volume: false }
        }

        fn play(&mut self, block: &Block) {
            self.0.lock().unwrap().push(("play", block.due.nanos() / 1_000_000));
        }

        fn flush(&mut self, from: HubTime) {
            self.0.lock().unwrap().push(("flush", from.nanos() / 1_000_000));
        }

        fn control(&mut self, control: Control) {
            assert!(!matches!(control, Control::Shift(_)), "kinds know nothing of it");
        }
    }

    /// A block of 10 ms.
    fn block(ms: i64) -> Block {
        Block { due: HubTime::from_nanos(ms * 1_000_000), samples: vec![0; 441 * 2].into() }
    }

    fn later_by(offset_millis: i32) -> Shift {
        Shift { latency_micros: 0, offset_millis }
    }

    #[test]
    fn later_while_it_plays_is_a_hole_and_earlier_leaves_blocks_out() {
        let told = Told::default();
        let mut shifted = Shifted::new(Box::new(told.clone()), later_by(0));
        shifted.play(&block(0));
        shifted.control(Control::Shift(later_by(12)));
        shifted.play(&block(10));
        shifted.play(&block(20));
        shifted.control(Control::Shift(later_by(-15)));
        assert_eq!(shifted.caps().lead, Lead(Duration::from_millis(115)));
        for ms in [30, 40, 50, 60] {
            shifted.play(&block(ms));
        }
        // Nothing overlaps: the last one under the old shift ends at 42.
        assert_eq!(*told.0.lock().unwrap(), [("play", 0), ("play", 22), ("play", 32), ("play", 45)]);
    }

    #[test]
    fn a_flush_takes_back_what_the_old_shift_sent() {
        let told = Told::default();
        let mut shifted = Shifted::new(Box::new(told.clone()), later_by(0));
        shifted.play(&block(0));
        shifted.play(&block(10));
        shifted.control(Control::Shift(later_by(100)));
        shifted.play(&block(20));
        shifted.flush(HubTime::from_nanos(10_000_000));
        shifted.play(&block(10));
        shifted.flush(HubTime::from_nanos(20_000_000));
        let told = told.0.lock().unwrap();
        let all = [("play", 0), ("play", 10), ("play", 120), ("flush", 10), ("play", 110), ("flush", 120)];
        assert_eq!(*told, all);
    }
}
