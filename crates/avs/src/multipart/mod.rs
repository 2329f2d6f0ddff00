//! Multipart bodies (RFC 2046) as AVS uses them: an incremental reader of responses and a writer of events.
//!
//! Owns no I/O: whoever reads a stream pushes chunks and takes parts. Promises that chunking never matters, that
//! memory is bounded by [`Limits`], and that no input panics.

mod parser;
mod writer;

pub use parser::{Fault, Limits, Parser, Part};
pub use writer::{EventBody, SpeechBody, event_body, speech_body};

/// The longest boundary term taken seriously, in bytes (RFC 2046 allows 70; services exceed it).
const MAX_BOUNDARY: usize = 256;

/// The boundary term of a `Content-Type`, quoted or bare, other parameters before or after; `None` when there is none.
pub fn boundary_of(content_type: &str) -> Option<String> {
    let (kind, mut rest) = content_type.split_once(';')?;
    if !kind.trim().to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    loop {
        let (parameter, tail) = split_parameter(rest);
        if let Some(term) = boundary_parameter(parameter) {
            return Some(term);
        }
        rest = tail?;
    }
}

/// Cuts at the next `;` outside quotes.
fn split_parameter(text: &str) -> (&str, Option<&str>) {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => return (&text[..at], Some(&text[at + 1..])),
            _ => {}
        }
    }
    (text, None)
}

fn boundary_parameter(parameter: &str) -> Option<String> {
    let parameter = parameter.trim();
    let name = parameter.get(..8)?;
    if !name.eq_ignore_ascii_case("boundary") {
        return None;
    }
    // Only the first `=` separates: a bare term may hold more of them.
    let value = parameter[8..].trim_start().strip_prefix('=')?.trim();
    let term = match value.strip_prefix('"') {
        Some(quoted) => unquote(quoted),
        None => value.to_owned(),
    };
    (!term.is_empty() && term.len() <= MAX_BOUNDARY).then_some(term)
}

/// The text up to the closing quote, backslashes resolved; a missing closing quote is forgiven.
fn unquote(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => plain.extend(chars.next()),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_found_in_every_spelling() {
        let found = |text: &str| boundary_of(text).unwrap_or_default();
        assert_eq!(found("multipart/related; boundary=------abcde123"), "------abcde123");
        assert_eq!(found("multipart/related;boundary=\"abc;=d\";type=\"application/json\""), "abc;=d");
        assert_eq!(found("Multipart/Mixed; type=\"a;b\"; BOUNDARY = =_x=y ; charset=utf-8"), "=_x=y");
        assert_eq!(found("multipart/mixed; boundary=\"a\\\"b"), "a\"b");
        assert_eq!(boundary_of("application/json"), None);
        assert_eq!(boundary_of("application/json; boundary=x"), None);
        assert_eq!(boundary_of("multipart/mixed; boundary="), None);
        assert_eq!(boundary_of("multipart/mixed; type=a"), None);
    }
}
