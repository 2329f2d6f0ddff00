//! Inbox: what messages and sound travel in, 20 bytes of head and a payload.

use thiserror::Error;

/// Bytes of a head: length, channel, offset (two words), flags.
pub const HEAD: usize = 20;

/// The channel of messages; any other carries sound.
const MESSAGES: u32 = u32::MAX;

/// The longest message taken. The longest that is expected, the description of a sink, has some KiB.
const LONGEST: usize = 256 * 1024;

/// The most sound put into one frame, bytes; servers take up to 16 MiB.
pub const SOUND: usize = 32 * 1024;

/// A server that does not speak the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadFrame {
    /// A message longer than any that makes sense.
    #[error("a message of {0} bytes")]
    Long(usize),
    /// Sound, or shared memory, which nobody asked for.
    #[error("a frame that is no message")]
    NoMessage,
}

/// Puts messages together from whatever pieces they come in; holds one message at most, and a piece.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
}

impl Inbox {
    /// Adds what came.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message.
    pub fn message(&mut self) -> Result<Option<&[u8]>, BadFrame> {
        let rest = &self.bytes[self.taken..];
        let Some((head, rest)) = rest.split_first_chunk::<HEAD>() else { return Ok(None) };
        let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = word(0) as usize;
        if word(4) != MESSAGES || word(16) != 0 {
            return Err(BadFrame::NoMessage);
        }
        if length > LONGEST {
            return Err(BadFrame::Long(length));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let from = self.taken + HEAD;
        self.taken = from + length;
        Ok(Some(&self.bytes[from..self.taken]))
    }
}

/// Appends a message in its frame.
pub fn put_message(out: &mut Vec<u8>, message: &[u8]) {
    put_head(out, message.len(), MESSAGES);
    out.extend_from_slice(message);
}

/// Appends samples for a stream, behind those it has.
pub fn put_sound(out: &mut Vec<u8>, channel: u32, samples: &[i16]) {
    for part in samples.chunks(SOUND / 2) {
        put_head(out, part.len() * 2, channel);
        out.extend(part.iter().flat_map(|sample| sample.to_le_bytes()));
    }
}

fn put_head(out: &mut Vec<u8>, length: usize, channel: u32) {
    for word in [length as u32, channel, 0, 0, 0] {
        out.extend(word.to_be_bytes());
    }
}
