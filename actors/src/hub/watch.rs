//! Judges whether a child lives: pure, driven by the hub's look once a second.

use std::time::Duration;

use antiphon_domain::HubTime;

/// A child silent for so long is made anew.
const SILENT: Duration = Duration::from_secs(10);
/// So many restarts of one child within [`WINDOW`] are allowed.
const BUDGET: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);

/// What is known of a child's life.
pub(super) struct Watch {
    pub(super) seen: HubTime,
    restarts: Vec<HubTime>,
    failed: bool,
}

/// What to do about a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Fine,
    MakeAnew,
    GiveUp,
}

impl Watch {
    pub(super) fn new(now: HubTime) -> Self {
        Self { seen: now, restarts: Vec::new(), failed: false }
    }

    /// Judges a child by whether its mailbox lives and when it last answered.
    pub(super) fn judge(&mut self, alive: bool, now: HubTime) -> Verdict {
        if self.failed || (alive && now.since(self.seen) < SILENT) {
            return Verdict::Fine;
        }
        self.restarts.retain(|at| now.since(*at) < WINDOW);
        if self.restarts.len() >= BUDGET {
            self.failed = true;
            return Verdict::GiveUp;
        }
        self.restarts.push(now);
        self.seen = now;
        Verdict::MakeAnew
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_made_anew_within_its_budget() {
        let mut watch = Watch::new(HubTime::EPOCH);
        let at = |s: u64| HubTime::EPOCH + Duration::from_secs(s);
        assert_eq!(watch.judge(true, at(9)), Verdict::Fine);
        assert_eq!(watch.judge(true, at(10)), Verdict::MakeAnew, "silent");
        for s in 11..15 {
            assert_eq!(watch.judge(false, at(s)), Verdict::MakeAnew, "dead");
        }
        assert_eq!(watch.judge(false, at(15)), Verdict::GiveUp);
        assert_eq!(watch.judge(false, at(16)), Verdict::Fine, "said once");
    }
}
