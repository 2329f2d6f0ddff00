//! The incremental reader. Drive it with `push` for each chunk and `finish` at the end of the stream; parts are appended
//! to the vector given.
//!
//! A JSON part is emitted whole when the next delimiter's last boundary byte is seen (RFC 2046 5.1.1: a boundary matches
//! by prefix of the line); bytes of an attachment are emitted as they come, held back only while they could begin
//! a delimiter.

use bytes::Bytes;

/// What a peer may make us hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one part's headers.
    pub headers: usize,
    /// Bytes of one JSON part.
    pub json: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { headers: 8 * 1024, json: 256 * 1024 }
    }
}

/// One thing found in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A complete `application/json` part, as bytes.
    Json(Vec<u8>),
    /// A binary part begins; its `Content-ID` without angle brackets.
    AttachmentStart(String),
    /// Bytes of the attachment begun last.
    AttachmentData(Bytes),
    /// The attachment begun last is over.
    AttachmentEnd,
    /// A part that was skipped; the ones after it are read as usual.
    Fault(Fault),
}

/// Why a part was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Its headers exceed [`Limits::headers`].
    HeadersTooLong,
    /// Its JSON exceeds [`Limits::json`].
    JsonTooLong,
    /// Neither JSON nor a part with a `Content-ID`.
    UnknownPart,
}

#[derive(Debug)]
enum State {
    /// Before the first delimiter, after the last, or in a part that is skipped.
    Skip,
    /// Behind a boundary, up to the end of its line.
    DelimiterLine,
    /// In the header lines of a part.
    Headers,
    Json(Vec<u8>),
    Attachment,
}

/// The headers of the part being read.
#[derive(Debug, Default)]
struct PartHeaders {
    bytes: usize,
    any: bool,
    json: bool,
    content_id: Option<String>,
}

/// An incremental multipart reader for one stream.
#[derive(Debug)]
pub struct Parser {
    /// `--` and the boundary term.
    delimiter: Box<[u8]>,
    limits: Limits,
    state: State,
    headers: PartHeaders,
    /// Bytes that cannot be judged before more arrive: a partial delimiter or header line.
    carry: Vec<u8>,
    /// Whether the next byte is the first of a line.
    line_start: bool,
}

impl Parser {
    /// A reader for bodies with this boundary term.
    pub fn new(boundary: &str, limits: Limits) -> Self {
        Self {
            delimiter: format!("--{boundary}").into_bytes().into_boxed_slice(),
            limits,
            state: State::Skip,
            headers: PartHeaders::default(),
            carry: Vec::new(),
            line_start: true,
        }
    }

    /// Reads one chunk and appends what it completes.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Part>) {
        let mut rest = if self.carry.is_empty() {
            chunk
        } else {
            let mut joined = std::mem::take(&mut self.carry);
            joined.extend_from_slice(&chunk);
            Bytes::from(joined)
        };
        while !rest.is_empty() {
            let used = match self.state {
                State::DelimiterLine => self.delimiter_line(&rest),
                State::Headers => self.header_line(&rest, out),
                State::Skip | State::Json(_) | State::Attachment => self.body(&rest, out),
            };
            if used == 0 {
                self.carry = rest.to_vec();
                return;
            }
            let _ = rest.split_to(used.min(rest.len()));
        }
    }

    /// Bytes held now; never more than the limits and a delimiter together.
    pub fn held(&self) -> usize {
        let json = if let State::Json(text) = &self.state { text.len() } else { 0 };
        self.carry.len() + json
    }

    /// The stream ended: completes a part whose closing delimiter is missing.
    pub fn finish(&mut self, out: &mut Vec<Part>) {
        // What was held back is the torn beginning of a delimiter, or the line break before one.
        self.carry.clear();
        self.end_part(out);
        self.state = State::Skip;
        self.line_start = true;
    }

    /// Each of the following takes what it can from the front and says how much; 0 means "more is needed".
    fn delimiter_line(&mut self, rest: &Bytes) -> usize {
        // Whether it closes the body or not: what follows is read as the headers of a part, and an epilogue has none.
        match rest.iter().position(|b| *b == b'\n') {
            Some(end) => {
                self.state = State::Headers;
                self.headers = PartHeaders::default();
                self.line_start = true;
                end + 1
            }
            None => rest.len(),
        }
    }

    fn header_line(&mut self, rest: &Bytes, out: &mut Vec<Part>) -> usize {
        if rest.starts_with(&self.delimiter) {
            self.state = State::DelimiterLine;
            return self.delimiter.len();
        }
        let Some(end) = rest.iter().position(|b| *b == b'\n') else {
            if self.delimiter.starts_with(rest) {
                return 0;
            }
            if self.headers.bytes + rest.len() > self.limits.headers {
                self.skip(Fault::HeadersTooLong, out);
                self.line_start = false;
                return rest.len();
            }
            return 0;
        };
        self.headers.bytes += end + 1;
        if self.headers.bytes > self.limits.headers {
            self.skip(Fault::HeadersTooLong, out);
            return end + 1;
        }
        let line = rest[..end].trim_ascii_end();
        if !line.is_empty() {
            self.headers.read(line);
        } else if self.headers.any {
            self.begin_body(out);
        }
        // A blank line before any header is a stray CRLF; it is forgiven.
        end + 1
    }

    fn begin_body(&mut self, out: &mut Vec<Part>) {
        self.line_start = true;
        if self.headers.json {
            self.state = State::Json(Vec::new());
        } else if let Some(id) = self.headers.content_id.take() {
            out.push(Part::AttachmentStart(id));
            self.state = State::Attachment;
        } else {
            self.skip(Fault::UnknownPart, out);
        }
    }

    fn body(&mut self, rest: &Bytes, out: &mut Vec<Part>) -> usize {
        let mut from = 0;
        let mut at_start = self.line_start;
        loop {
            let line = if at_start {
                from
            } else {
                match rest[from..].iter().position(|b| *b == b'\n') {
                    Some(found) => from + found + 1,
                    None => break,
                }
            };
            at_start = false;
            let tail = &rest[line..];
            if tail.starts_with(&self.delimiter) {
                self.content(&rest.slice(..before_break(rest, line)), out);
                self.end_part(out);
                self.state = State::DelimiterLine;
                return line + self.delimiter.len();
            }
            if self.delimiter.starts_with(tail) {
                // Perhaps a delimiter: give out what is before its line break, keep the rest.
                let keep = before_break(rest, line);
                return self.give(rest, keep, out);
            }
            from = line;
        }
        // A CR at the very end may belong to the line break before a delimiter.
        let keep = if rest.last() == Some(&b'\r') { rest.len() - 1 } else { rest.len() };
        self.give(rest, keep, out)
    }

    fn give(&mut self, rest: &Bytes, upto: usize, out: &mut Vec<Part>) -> usize {
        if upto > 0 {
            self.content(&rest.slice(..upto), out);
            // What is kept back begins with a line break of its own.
            self.line_start = false;
        }
        upto
    }

    fn content(&mut self, bytes: &Bytes, out: &mut Vec<Part>) {
        if bytes.is_empty() {
            return;
        }
        match &mut self.state {
            State::Json(text) if text.len() + bytes.len() > self.limits.json => {
                self.skip(Fault::JsonTooLong, out);
            }
            State::Json(text) => text.extend_from_slice(bytes),
            State::Attachment => out.push(Part::AttachmentData(bytes.clone())),
            State::Skip | State::DelimiterLine | State::Headers => {}
        }
    }

    fn end_part(&mut self, out: &mut Vec<Part>) {
        match std::mem::replace(&mut self.state, State::Skip) {
            State::Json(text) if !text.trim_ascii().is_empty() => out.push(Part::Json(text)),
            State::Attachment => out.push(Part::AttachmentEnd),
            State::Json(_) | State::Skip | State::DelimiterLine | State::Headers => {}
        }
    }

    fn skip(&mut self, fault: Fault, out: &mut Vec<Part>) {
        self.state = State::Skip;
        self.line_start = true;
        out.push(Part::Fault(fault));
    }
}

/// Where the content before the line starting at `line` ends: before its LF or CRLF.
fn before_break(bytes: &[u8], line: usize) -> usize {
    let mut end = line;
    if end > 0 && bytes[end - 1] == b'\n' {
        end -= 1;
        if end > 0 && bytes[end - 1] == b'\r' {
            end -= 1;
        }
    }
    end
}

impl PartHeaders {
    fn read(&mut self, line: &[u8]) {
        self.any = true;
        let Ok(line) = std::str::from_utf8(line) else { return };
        let Some((name, value)) = line.split_once(':') else { return };
        let value = value.trim();
        if name.trim().eq_ignore_ascii_case("content-type") {
            let kind = value.as_bytes().get(..16).unwrap_or_default();
            self.json = kind.eq_ignore_ascii_case(b"application/json");
        } else if name.trim().eq_ignore_ascii_case("content-id") {
            let id = value.strip_prefix('<').unwrap_or(value);
            self.content_id = Some(id.strip_suffix('>').unwrap_or(id).to_owned());
        }
    }
}
