//! What we say to a client.

use antiphon_domain::{HubTime, Level};
use bytes::Bytes;

use super::{BASE, Stamp, kind};

/// Bytes before the sound of a chunk.
pub const CHUNK_HEAD: usize = BASE + 12;

/// Bytes of an answer to a question for the time.
pub const TIME_ANSWER: usize = BASE + 8;

/// What a client is to be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long after its stamp a chunk is heard, milliseconds.
    pub buffer_ms: u32,
    /// How loud it is.
    pub level: Level,
}

fn base(kind: u16, id: u16, refers_to: u16, sent: Stamp, size: usize) -> [u8; BASE] {
    let mut out = [0; BASE];
    out[0..2].copy_from_slice(&kind.to_le_bytes());
    out[2..4].copy_from_slice(&id.to_le_bytes());
    out[4..6].copy_from_slice(&refers_to.to_le_bytes());
    out[6..14].copy_from_slice(&sent.bytes());
    // The moment of arrival is filled in by whom it reaches.
    // Nothing of ours is longer than a few tens of KiB.
    out[22..26].copy_from_slice(&(size as u32).to_le_bytes());
    out
}

/// The settings; `refers_to` is the number of the hello they answer, else 0.
pub fn server_settings(refers_to: u16, now: HubTime, settings: Settings) -> Bytes {
    let json = format!(
        r#"{{"bufferMs":{},"latency":0,"muted":{},"volume":{}}}"#,
        settings.buffer_ms, settings.level.muted, settings.level.volume
    );
    let mut out = Vec::with_capacity(BASE + 4 + json.len());
    out.extend_from_slice(&base(kind::SERVER_SETTINGS, 0, refers_to, Stamp::of(now), 4 + json.len()));
    string(&mut out, json.as_bytes());
    out.into()
}

/// What a client needs before it can decode: a codec's name and its header. It makes it begin anew.
pub fn codec_header(now: HubTime, codec: &str, header: &[u8]) -> Bytes {
    let size = 8 + codec.len() + header.len();
    let mut out = Vec::with_capacity(BASE + size);
    out.extend_from_slice(&base(kind::CODEC_HEADER, 0, 0, Stamp::of(now), size));
    string(&mut out, codec.as_bytes());
    string(&mut out, header);
    out.into()
}

/// What goes before `length` bytes of sound stamped `stamp`.
pub fn chunk_head(now: HubTime, stamp: Stamp, length: usize) -> [u8; CHUNK_HEAD] {
    let mut out = [0; CHUNK_HEAD];
    out[..BASE].copy_from_slice(&base(kind::WIRE_CHUNK, 0, 0, Stamp::of(now), 12 + length));
    out[BASE..BASE + 8].copy_from_slice(&stamp.bytes());
    out[BASE + 8..].copy_from_slice(&(length as u32).to_le_bytes());
    out
}

/// The answer to the question numbered `id` that the client's clock says it sent at `asked` and that reached us at
/// `received`: how long it seems to have taken by the two clocks, which is what the client needs.
pub fn time_answer(id: u16, asked: Stamp, received: HubTime, now: HubTime) -> [u8; TIME_ANSWER] {
    let mut out = [0; TIME_ANSWER];
    out[..BASE].copy_from_slice(&base(kind::TIME, id, id, Stamp::of(now), 8));
    let seems = Stamp::of(received).micros() - asked.micros();
    out[BASE..].copy_from_slice(&Stamp::from_micros(seems).bytes());
    out
}

/// Why we will not have it, for clients that know the message (0.32 and later); others ignore it.
pub fn error(now: HubTime, code: u32, text: &str) -> Bytes {
    let mut out = Vec::with_capacity(BASE + 8 + text.len());
    out.extend_from_slice(&base(kind::ERROR, 0, 0, Stamp::of(now), 8 + text.len()));
    out.extend_from_slice(&code.to_le_bytes());
    string(&mut out, text.as_bytes());
    out.into()
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}
