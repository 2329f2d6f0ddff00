//! Who listens to a timeline: how early they want its blocks, summed up by the render thread once a tick.

use std::time::Duration;

/// The listeners of a timeline.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listeners {
    lead: Duration,
    /// The largest lead of those that play and were promised it; and of those that play and want more.
    kept: Option<Duration>,
    beyond: Duration,
    /// How far ahead of their due times blocks were when the timeline began to run.
    promised: Duration,
}

impl Listeners {
    /// Begins to count anew; what was promised stays.
    pub(crate) fn count_anew(&mut self) {
        *self = Self { promised: self.promised, ..Self::default() };
    }

    /// Counts one: how early it wants blocks, and whether it has had any.
    pub(crate) fn count(&mut self, lead: Duration, established: bool) {
        self.lead = self.lead.max(lead);
        match established {
            true if lead <= self.promised => self.kept = self.kept.max(Some(lead)),
            true => self.beyond = self.beyond.max(lead),
            false => {}
        }
    }

    /// The timeline runs from now on, with blocks so far ahead.
    pub(crate) fn promise(&mut self, lead: Duration) {
        self.promised = lead;
    }

    /// The largest lead of all.
    pub(crate) fn lead(&self) -> Duration {
        self.lead
    }

    /// With less than this at hand everybody waits for more. Of a live source there is never more than was promised: who
    /// came later and wants more than that takes what there is, for its wait would silence the others.
    pub(crate) fn least(&self) -> Duration {
        self.kept.unwrap_or(self.beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_wants_more_than_was_promised_makes_nobody_wait_but_itself() {
        let ms = Duration::from_millis;
        let mut listeners = Listeners::default();
        listeners.promise(ms(1_000));
        listeners.count(ms(80), true);
        listeners.count(ms(1_000), true);
        listeners.count(ms(3_000), true);
        assert_eq!((listeners.lead(), listeners.least()), (ms(3_000), ms(1_000)));
        listeners.count_anew();
        listeners.count(ms(80), false);
        assert_eq!((listeners.lead(), listeners.least()), (ms(80), ms(0)), "it has had nothing yet");
        listeners.count(ms(3_000), true);
        assert_eq!(listeners.least(), ms(3_000), "alone it waits until it has what it wants");
    }
}
