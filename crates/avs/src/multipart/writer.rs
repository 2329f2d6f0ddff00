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

/// Frames `json` as AVS wants an event without attachments: `multipart/form-data` with the one part `metadata`.
pub fn event_body(json: &str) -> EventBody {
    // Two v4 UUIDs hold 244 bits from the system's generator: nobody can place that term in the data.
    let term = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let mut text = String::with_capacity(json.len() + 2 * term.len() + 128);
    text.push_str("--");
    text.push_str(&term);
    text.push_str("\r\nContent-Disposition: form-data; name=\"metadata\"\r\n");
    text.push_str("Content-Type: application/json; charset=UTF-8\r\n\r\n");
    text.push_str(json);
    text.push_str("\r\n--");
    text.push_str(&term);
    text.push_str("--\r\n");
    EventBody { content_type: format!("multipart/form-data; boundary={term}"), bytes: Bytes::from(text) }
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
    fn no_two_boundaries_are_alike() {
        assert_ne!(event_body("{}").content_type, event_body("{}").content_type);
    }
}
