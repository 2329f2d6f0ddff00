//! Connections of sessions that ended without a farewell.
//!
//! Who loses its network (a pulled cable, Wi-Fi out of reach) keeps our old session until its own timeout, a minute or
//! two, and when it is back it calls itself busy: with us. So the old connection is kept open, and reset as soon as a new
//! one reaches the receiver; at the reset it lets the old session go. At most one is kept a speaker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use antiphon_domain::SpeakerId;
use tokio::net::TcpStream;

/// The connections, shared by all sessions of the kind.
#[derive(Clone, Debug, Default)]
pub struct Leftovers(Arc<Mutex<BTreeMap<SpeakerId, TcpStream>>>);

impl Leftovers {
    /// Keeps the connection of a session that ended without a farewell.
    pub fn keep(&self, speaker: &SpeakerId, stream: TcpStream) {
        self.lock().insert(speaker.clone(), stream);
    }

    /// Resets what an earlier session with this speaker left behind; whether there was anything.
    pub fn reset(&self, speaker: &SpeakerId) -> bool {
        let Some(stream) = self.lock().remove(speaker) else { return false };
        // Closing sends a reset when nothing may linger; if that cannot be set, it is an ordinary close.
        let _ = stream.set_zero_linger();
        true
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SpeakerId, TcpStream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
