//! Events whose audio is sent while it is captured: what their upload means for their stream and their outcome.
//!
//! Driven by the driver's news of the upload. Promises one outcome for each such event: accepted when the service said
//! so and either all audio was sent or the answer was complete; lost when its stream died before; never repeated.

use super::Session;
use super::response::Ending;
use super::{EventOutcome, Output};
use crate::message::StreamId;

impl Session {
    /// A piece of audio went out: that is progress, and activity of the connection.
    pub(super) fn on_sent(&mut self, id: StreamId) {
        let now = self.now;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.progress = now;
        let conn = stream.conn;
        if let Some(conn) = self.conn(conn) {
            conn.active = now;
        }
    }

    /// All audio went out.
    pub(super) fn on_uploaded(&mut self, id: StreamId) {
        self.on_sent(id);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.uploading = false;
        if stream.was_accepted() {
            self.accept_event(id);
        }
    }

    /// Gives up an event whose audio cannot go on, wherever it is.
    pub(super) fn abandon(&mut self, message_id: &str) {
        if let Some(pending) = self.queue.withdraw(message_id) {
            self.out.push_back(pending.outcome(EventOutcome::Lost));
            return;
        }
        let stream = self.streams.iter().find(|(_, s)| s.message_id.as_deref() == Some(message_id));
        if let Some(id) = stream.map(|(id, _)| *id) {
            self.out.push_back(Output::Cancel(id));
            self.end_stream(id, Ending::Torn { unprocessed: false });
        }
    }
}
