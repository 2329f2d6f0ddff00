//! Log-ins that went out to Login with Amazon and have not come back: which speaker each `state` is for.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use antiphon_domain::{HubTime, SpeakerId};

/// More than people of one home begin within ten minutes; the oldest goes first.
const MOST: usize = 64;

/// What is under way. Owned by the HTTP surface; forgotten with it.
#[derive(Default)]
pub(crate) struct Pending {
    all: Mutex<VecDeque<Waiting>>,
}

struct Waiting {
    state: String,
    speaker: SpeakerId,
    expires: HubTime,
}

impl Pending {
    fn all(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers one that goes out.
    pub(super) fn begin(&self, state: String, speaker: SpeakerId, expires: HubTime, now: HubTime) {
        let mut all = self.all();
        all.retain(|waiting| waiting.expires > now);
        if all.len() == MOST {
            all.pop_front();
        }
        all.push_back(Waiting { state, speaker, expires });
    }

    /// Whom one that comes back is for; each comes back once.
    pub(super) fn take(&self, state: &str, now: HubTime) -> Option<SpeakerId> {
        let mut all = self.all();
        let place = all.iter().position(|waiting| waiting.state == state)?;
        all.remove(place).filter(|waiting| waiting.expires > now).map(|waiting| waiting.speaker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_good_once_and_for_its_time() {
        let pending = Pending::default();
        let at = HubTime::from_nanos;
        let kitchen = SpeakerId::new("kitchen");
        pending.begin("a".into(), kitchen.clone(), at(10), at(0));
        pending.begin("b".into(), kitchen.clone(), at(10), at(0));
        assert_eq!(pending.take("c", at(1)), None);
        assert_eq!(pending.take("a", at(1)), Some(kitchen));
        assert_eq!(pending.take("a", at(1)), None, "used already");
        assert_eq!(pending.take("b", at(10)), None, "too old");
    }

    #[test]
    fn there_is_a_bound() {
        let pending = Pending::default();
        let at = HubTime::from_nanos;
        for number in 0..=MOST {
            pending.begin(number.to_string(), SpeakerId::new("k"), at(10), at(0));
        }
        assert_eq!(pending.take("0", at(1)), None);
        assert!(pending.take("1", at(1)).is_some());
    }
}
