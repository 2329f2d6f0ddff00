//! Owns the answer to one event on its own stream: a status, or a multipart body whose directives are written as they
//! come. Every directive written is noted before and recorded after.

use std::time::Instant;

use bytes::Bytes;
use h2::server::SendResponse;

use crate::answers::{Answer, Outgoing};
use crate::connection::Link;
use crate::emit::{self, Emitter, Gone};
use crate::faults::{Emission, take};
use crate::reply;
use crate::state::Draft;
use crate::transcript::Direction;

/// The answer to this event has begun, or it will have none.
pub(crate) fn end(link: &Link, stream: u64) {
    link.progress().unanswered.retain(|id| *id != stream);
}

/// Sends an answer; the response headers first, which frees the device to start its next event.
pub(crate) async fn give(
    link: &Link,
    dsn: &str,
    stream: u64,
    answer: Answer,
    mut respond: SendResponse<Bytes>,
) {
    if answer.status != 200 {
        // Before the bytes, or the device's next event could overtake the note.
        end(link, stream);
        return reply::refuse(&mut respond, answer.status);
    }
    if let Ok(response) = Response::begin(link, dsn, stream, respond).await {
        response.finish(answer.directives).await;
    }
}

/// A multipart answer that has begun.
pub(crate) struct Response<'a> {
    link: &'a Link,
    dsn: &'a str,
    emitter: Emitter,
    closed: bool,
}

impl<'a> Response<'a> {
    /// Sends the headers and the first delimiter.
    pub(crate) async fn begin(
        link: &'a Link,
        dsn: &'a str,
        stream: u64,
        mut respond: SendResponse<Bytes>,
    ) -> Result<Self, Gone> {
        let boundary = emit::boundary();
        end(link, stream);
        let head = reply::head(200, Some(&emit::content_type(&boundary)));
        let send = respond.send_response(head, false).map_err(|_| Gone)?;
        let closed = !take(&mut link.shared.lock().device(dsn).armed.unclosed);
        let mut response = Self { link, dsn, emitter: Emitter::new(send, &boundary), closed };
        let how = response.emission();
        response.emitter.delimiter(how).await?;
        Ok(response)
    }

    /// Writes a directive with what is attached, and the delimiter behind it, so that the device can act on it.
    pub(crate) async fn directive(&mut self, outgoing: Outgoing) -> Result<(), Gone> {
        self.link.shared.sending(self.dsn, self.link.id, &outgoing.message);
        for part in emit::parts(&outgoing) {
            let how = self.emission();
            self.emitter.part(&part, how).await?;
        }
        self.record(outgoing);
        Ok(())
    }

    /// Writes the last directives and ends the stream. A device that has gone is owed nothing.
    pub(crate) async fn finish(mut self, directives: Vec<Outgoing>) {
        let count = directives.len();
        for (index, outgoing) in directives.into_iter().enumerate() {
            let mut parts = emit::parts(&outgoing);
            let last = if index + 1 == count { parts.pop() } else { None };
            self.link.shared.sending(self.dsn, self.link.id, &outgoing.message);
            for part in parts {
                let how = self.emission();
                if self.emitter.part(&part, how).await.is_err() {
                    return;
                }
            }
            if let Some(part) = last {
                let how = self.emission();
                if self.emitter.last(Some(&part), self.closed, how).await.is_err() {
                    return;
                }
            }
            self.record(outgoing);
        }
        if count == 0 {
            let how = self.emission();
            // The peer may have gone; nothing is owed to it then.
            let _ = self.emitter.last(None, self.closed, how).await;
        }
    }

    fn emission(&self) -> Emission {
        self.link.shared.lock().device(self.dsn).armed.emission()
    }

    fn record(&self, outgoing: Outgoing) {
        let at = Instant::now();
        let attachment_bytes = outgoing.attachments.iter().map(|one| one.data.len() as u64).sum();
        let draft = Draft {
            direction: Direction::Directive,
            at,
            started: at,
            connection: self.link.id,
            message: outgoing.message,
            attachment_bytes,
            status: 0,
            violations: Vec::new(),
        };
        self.link.shared.record(self.dsn, draft);
    }
}
