//! Messages of a client, out of bytes as they come.

use super::hello::{ClientInfo, Hello};
use super::{BASE, LONGEST, Stamp, WireError, kind};

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number, which the answer refers to.
    pub id: u16,
    /// When the client's clock says it was sent.
    pub sent: Stamp,
    /// What it says.
    pub request: Request,
}

/// What a client may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Who it is.
    Hello(Hello),
    /// What time is it?
    Time,
    /// Its volume was turned.
    Info(ClientInfo),
    /// Client information that nothing can be made of; the stream goes on.
    Useless,
    /// A type that no client sends, or one that newer ones may: skipped.
    Unknown(u16),
}

/// Keeps what is not a whole message yet: at most [`BASE`] + [`LONGEST`] bytes and one read.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    /// What of `bytes` was given out.
    read: usize,
}

impl Reader {
    /// Takes bytes; [`Reader::next`] is to be called until there is none before more are taken.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            self.bytes.drain(..self.read);
            self.read = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message. After an error nothing that follows can be trusted.
    #[allow(clippy::should_implement_trait, reason = "it is driven by hand, with pushes between")]
    pub fn next(&mut self) -> Option<Result<Received, WireError>> {
        let rest = self.bytes.get(self.read..)?;
        let (base, body) = rest.split_first_chunk::<BASE>()?;
        let kind = u16_at(base, 0);
        let size = u32_at(base, 22);
        let Some(length) = usize::try_from(size).ok().filter(|size| *size <= LONGEST) else {
            return Some(Err(WireError::TooLong { kind, size }));
        };
        let body = body.get(..length)?;
        let message = message(kind, base, body);
        self.read += BASE + length;
        Some(message)
    }
}

fn message(kind: u16, base: &[u8; BASE], body: &[u8]) -> Result<Received, WireError> {
    let sent = Stamp::checked(i32_at(base, 6), i32_at(base, 10))?;
    let request = match kind {
        kind::HELLO => Request::Hello(Hello::parse(text(kind, body)?)?),
        // The latency field says nothing in a question.
        kind::TIME if body.len() >= 8 => Request::Time,
        kind::TIME => return Err(WireError::TooShort { kind }),
        kind::CLIENT_INFO => {
            text(kind, body).ok().and_then(ClientInfo::parse).map_or(Request::Useless, Request::Info)
        }
        other => Request::Unknown(other),
    };
    Ok(Received { id: u16_at(base, 2), sent, request })
}

/// The bytes of a string that says its length first.
fn text(kind: u16, body: &[u8]) -> Result<&[u8], WireError> {
    let (length, rest) = body.split_first_chunk::<4>().ok_or(WireError::TooShort { kind })?;
    let length = u32::from_le_bytes(*length) as usize;
    rest.get(..length).ok_or(WireError::TooShort { kind })
}

fn u16_at(base: &[u8; BASE], at: usize) -> u16 {
    u16::from_le_bytes([base[at], base[at + 1]])
}

fn u32_at(base: &[u8; BASE], at: usize) -> u32 {
    u32::from_le_bytes([base[at], base[at + 1], base[at + 2], base[at + 3]])
}

fn i32_at(base: &[u8; BASE], at: usize) -> i32 {
    i32::from_le_bytes([base[at], base[at + 1], base[at + 2], base[at + 3]])
}
