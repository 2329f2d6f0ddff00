//! Former sessions with a receiver: those that are taking leave, and connections of those that ended without a farewell.
//!
//! Who has just been told TEARDOWN is busy with us a moment longer, and says so to the next session if that comes at once.
//!
//! Who loses its network (a pulled cable, Wi-Fi out of reach) keeps our old session until its own timeout, a minute or
//! two, and when it is back it calls itself busy: with us. So the old connection, which was ended by us, is kept and
//! reset as soon as a new one reaches the receiver; at the reset it lets the old session go. At most one is kept a speaker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use antiphon_domain::SpeakerId;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How long a receiver may take to let a session go that has ended.
const LETTING_GO: Duration = Duration::from_secs(3);

/// What is left of a speaker's sessions.
#[derive(Debug, Default)]
struct Left {
    stream: Option<TcpStream>,
    /// Sessions that have not ended.
    running: u32,
    ended: Option<Instant>,
}

/// What is left of all sessions of the kind, shared by them.
#[derive(Clone, Debug, Default)]
pub struct Leftovers(Arc<Mutex<BTreeMap<SpeakerId, Left>>>);

/// Counts a session as running while it lives.
pub struct Stay {
    leftovers: Leftovers,
    speaker: SpeakerId,
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(left) = self.leftovers.lock().get_mut(&self.speaker) {
            left.running = left.running.saturating_sub(1);
            left.ended = Some(Instant::now());
        }
    }
}

impl Leftovers {
    /// A session with this speaker begins.
    pub fn stay(&self, speaker: &SpeakerId) -> Stay {
        self.lock().entry(speaker.clone()).or_default().running += 1;
        Stay { leftovers: self.clone(), speaker: speaker.clone() }
    }

    /// Keeps the connection of a session that ended without a farewell.
    pub fn keep(&self, speaker: &SpeakerId, stream: TcpStream) {
        self.lock().entry(speaker.clone()).or_default().stream = Some(stream);
    }

    /// Resets what an earlier session with this speaker left behind; whether the receiver may still take itself for ours.
    /// To be asked by a session that is running.
    pub fn reset(&self, speaker: &SpeakerId) -> bool {
        let mut all = self.lock();
        let Some(left) = all.get_mut(speaker) else { return false };
        let stream = left.stream.take();
        if let Some(stream) = &stream {
            // Closing sends a reset when nothing may linger; if that cannot be set, it is an ordinary close.
            let _ = stream.set_zero_linger();
        }
        stream.is_some() || left.running > 1 || left.ended.is_some_and(|ended| ended.elapsed() < LETTING_GO)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SpeakerId, Left>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_ours_while_a_session_with_it_takes_leave() {
        let (leftovers, kitchen) = (Leftovers::default(), SpeakerId::new("kitchen"));
        let first = leftovers.stay(&kitchen);
        assert!(!leftovers.reset(&kitchen), "there was none before");
        let _second = leftovers.stay(&kitchen);
        assert!(leftovers.reset(&kitchen), "the first has not ended");
        drop(first);
        assert!(leftovers.reset(&kitchen), "the first has only just ended");
        let sofa = SpeakerId::new("sofa");
        let _other = leftovers.stay(&sofa);
        assert!(!leftovers.reset(&sofa), "it is another receiver");
    }
}
