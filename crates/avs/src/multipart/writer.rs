//! Writes the body of an event: one `metadata` part, and the frame for an `audio` part streamed after it.

use bytes::Bytes;
use uuid::Uuid;

/// An event's body without audio, complete.
#[derive(Clone, Debug)]
pub struct EventBody {
    /// The value of the request's `content-type`.
    pub content_type: String,
    /// All bytes, closing delimiter included.
    pub bytes: Bytes,
}

/// An event's body around audio that is still being captured.
#[derive(Clone, Debug)]
pub struct SpeechBody {
    /// The value of the request's `content-type`.
    pub content_type: String,
    /// What goes before the audio: the `metadata` part and the headers of the `audio` part.
    pub head: Bytes,
    /// What goes after the audio: the closing delimiter.
    pub closing: Bytes,
}

/// Frames `json` as AVS wants an event without attachments: `multipart/form-data` with the one part `metadata`.
pub fn event_body(json: &str) -> EventBody {
    let (term, mut text) = metadata(json);
    text.push_str("--\r\n");
    EventBody { content_type: content_type(&term), bytes: Bytes::from(text) }
}

/// Frames `json` and the audio to come: `metadata` first, `audio` last, as AVS wants an event with speech.
pub fn speech_body(json: &str) -> SpeechBody {
    let (term, mut text) = metadata(json);
    text.push_str("\r\nContent-Disposition: form-data; name=\"audio\"\r\n");
    text.push_str("Content-Type: application/octet-stream\r\n\r\n");
    let closing = Bytes::from(format!("\r\n--{term}--\r\n"));
    SpeechBody { content_type: content_type(&term), head: Bytes::from(text), closing }
}

fn content_type(term: &str) -> String {
    format!("multipart/form-data; boundary={term}")
}

/// A fresh boundary term, and the `metadata` part between two delimiters, the second without its line end.
fn metadata(json: &str) -> (String, String) {
    // Two v4 UUIDs hold 244 bits from the system's generator: nobody can place that term in the data.
    let term = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let mut text = String::with_capacity(json.len() + 2 * term.len() + 256);
    text.push_str("--");
    text.push_str(&term);
    text.push_str("\r\nContent-Disposition: form-data; name=\"metadata\"\r\n");
    text.push_str("Content-Type: application/json; charset=UTF-8\r\n\r\n");
    text.push_str(json);
    text.push_str("\r\n--");
    text.push_str(&term);
    (term, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multipart::{Limits, Parser, Part, boundary_of};

    #[test]
    fn what_is_written_can_be_read() {
        let body = event_body("{\"event\":{}}");
        let term = boundary_of(&body.content_type).expect("a boundary");
        let mut parser = Parser::new(&term, Limits::default());
        let mut parts = Vec::new();
        parser.push(body.bytes, &mut parts);
        assert_eq!(parts, vec![Part::Json(b"{\"event\":{}}".to_vec())]);
    }

    #[test]
    fn audio_comes_last_and_is_closed() {
        let body = speech_body("{\"event\":{}}");
        let term = body.content_type.strip_prefix("multipart/form-data; boundary=").expect("a boundary");
        let whole = [&body.head[..], b"\x00\r\n--sound", &body.closing[..]].concat();
        let expected = format!(
            "--{term}\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\
             Content-Type: application/json; charset=UTF-8\r\n\r\n{{\"event\":{{}}}}\r\n\
             --{term}\r\nContent-Disposition: form-data; name=\"audio\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n\0\r\n--sound\r\n--{term}--\r\n"
        );
        assert_eq!(String::from_utf8_lossy(&whole), expected);
        // 32 hexadecimal digits are 128 bits.
        assert!(term.len() >= 32 && term.len() <= 70, "{term}");
    }

    #[test]
    fn no_two_boundaries_are_alike() {
        assert_ne!(event_body("{}").content_type, event_body("{}").content_type);
    }
}
