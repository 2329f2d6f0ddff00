//! What a connection sends: what the roles have to say and what the protocol's machine owes, as far as the system takes it.

use antiphon_domain::HubTime;
use antiphon_endpoint::LostReason;

use super::{BATCH, Connection, End, OWED};
use crate::roles::Out;
use crate::wire::{Activity, Frame};

impl Connection {
    /// Sends what the roles have to say, as long as the system takes it.
    pub(super) fn speak(&mut self, now: HubTime) -> Result<(), End> {
        let Some(roles) = &mut self.roles else { return Ok(()) };
        let wanted = if roles.playing() { Activity::Playback } else { Activity::Idle };
        // The end of a stream goes out before the purpose is dropped, its beginning after it was declared.
        if wanted == Activity::Playback && self.activity != wanted {
            self.activity = wanted;
            let names = roles.wanted();
            self.link.activate(wanted, &names)?;
        }
        self.push()?;
        let mut gathered = 0;
        while self.socket.is_clear() {
            let Some(roles) = &mut self.roles else { return Ok(()) };
            let Some(out) = roles.poll(now) else { break };
            gathered += size(&out);
            match out {
                Out::Json { kind, payload } => self.link.json(kind, &serde_json::Value::Object(payload))?,
                Out::Stamped { kind, payload } => self.link.stamped(kind, payload, self.clock.now())?,
                Out::Audio { timestamp_micros, payload } => {
                    self.link.audio(timestamp_micros, &payload, self.clock.now())?;
                }
                Out::Binary { id, body } => self.link.binary(id, &body)?,
            }
            // What there is goes out in as few writes as can be.
            if gathered >= BATCH {
                self.push()?;
                gathered = 0;
            }
        }
        self.push()?;
        let Some(roles) = &mut self.roles else { return Ok(()) };
        if wanted == Activity::Idle && self.activity != wanted && self.socket.is_clear() {
            self.activity = wanted;
            let names = roles.wanted();
            self.link.activate(wanted, &names)?;
        }
        Ok(())
    }

    /// Gives the socket what waits for it, as far as the system takes it.
    pub(super) fn push(&mut self) -> Result<(), End> {
        let failed = |why: String| End::Lost(LostReason::Disconnected(why));
        let mut written = 0;
        while self.socket.is_clear() || (written > 0 && written < BATCH) {
            let Some(frame) = self.link.frame() else { break };
            let length = match &frame {
                Frame::Text(text) => text.len(),
                Frame::Binary(bytes) => bytes.len(),
            };
            written += length;
            if let Some(sent) = &self.sent {
                sent.inc_by(length as u64);
            }
            self.socket.write(frame).map_err(failed)?;
            if written >= BATCH {
                self.socket.flush().map_err(failed)?;
                written = 0;
            }
        }
        if self.link.owed() > OWED {
            self.hub.metrics.fault("unread");
            return Err(End::Lost(LostReason::Disconnected("it asks faster than it reads".into())));
        }
        self.socket.flush().map_err(failed)
    }
}

/// About how many bytes a message is; a small one costs as much as some hundreds of bytes.
fn size(out: &Out) -> usize {
    const SMALL: usize = 512;
    match out {
        Out::Audio { payload: body, .. } | Out::Binary { body, .. } => SMALL + body.len(),
        Out::Json { .. } | Out::Stamped { .. } => SMALL,
    }
}
