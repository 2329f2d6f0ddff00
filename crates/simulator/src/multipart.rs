//! Owns the reading of what devices send to `/events`: an incremental multipart reader of our own. Sans-IO: bytes go
//! in by `Reader::push`, items come out at once; `Reader::finish` says what was missing. Memory held is bounded by
//! one header block and one delimiter's length.

/// Longest header block of a part, bytes.
const MAX_HEADERS: usize = 8 * 1024;

/// What the reader found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A part begins; header names in lower case, values trimmed.
    Part(Vec<(String, String)>),
    /// Bytes of the present part.
    Data(Vec<u8>),
    /// The present part is whole.
    PartEnd,
    /// The closing delimiter was read.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first delimiter.
    Preamble,
    /// Just behind a delimiter: `--`, or the end of its line.
    Delimiter,
    Headers,
    Body,
    Epilogue,
    Broken,
}

/// Reads one multipart body.
#[derive(Debug)]
pub(crate) struct Reader {
    delimiter: Vec<u8>,
    held: Vec<u8>,
    state: State,
    in_part: bool,
    ended: bool,
    fault: Option<&'static str>,
}

impl Reader {
    /// Begins a body with this boundary term (without the leading dashes).
    pub(crate) fn new(boundary: &str) -> Self {
        Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            // A body may begin with its delimiter; a line end before it makes that the ordinary case.
            held: b"\r\n".to_vec(),
            state: State::Preamble,
            in_part: false,
            ended: false,
            fault: None,
        }
    }

    /// Takes more bytes and returns what became known by them.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Item> {
        self.held.extend_from_slice(bytes);
        let mut items = Vec::new();
        while self.step(&mut items) {}
        items
    }

    /// What was wrong with the layout, once the body has ended.
    pub(crate) fn finish(&self) -> Option<&'static str> {
        match (self.fault, self.ended) {
            (Some(fault), _) => Some(fault),
            (None, true) => None,
            (None, false) => Some("the closing delimiter is missing"),
        }
    }

    fn step(&mut self, items: &mut Vec<Item>) -> bool {
        match self.state {
            State::Preamble => self.preamble(),
            State::Delimiter => self.delimiter_end(items),
            State::Headers => self.headers(items),
            State::Body => self.body(items),
            State::Epilogue => {
                if self.held.iter().any(|byte| !byte.is_ascii_whitespace()) {
                    self.fault = Some("bytes after the closing delimiter");
                }
                self.held.clear();
                false
            }
            State::Broken => {
                self.held.clear();
                false
            }
        }
    }

    fn preamble(&mut self) -> bool {
        match find(&self.held, &self.delimiter) {
            Some(at) => {
                if self.held[..at].iter().any(|byte| !byte.is_ascii_whitespace()) {
                    self.fault = Some("bytes before the first delimiter");
                }
                self.held.drain(..at + self.delimiter.len());
                self.state = State::Delimiter;
                true
            }
            None if self.held.len() > MAX_HEADERS => self.broken("no delimiter at the start"),
            None => false,
        }
    }

    fn delimiter_end(&mut self, items: &mut Vec<Item>) -> bool {
        if self.held.len() < 2 {
            return false;
        }
        if self.held.starts_with(b"--") {
            self.held.drain(..2);
            self.ended = true;
            self.state = State::Epilogue;
            items.push(Item::End);
            return true;
        }
        // RFC 2046: blanks may pad a delimiter line.
        let Some(end) = find(&self.held, b"\r\n") else {
            return self.held.len() > MAX_HEADERS && self.broken("a delimiter line without end");
        };
        if self.held[..end].iter().any(|byte| *byte != b' ' && *byte != b'\t') {
            return self.broken("bytes behind a delimiter on its line");
        }
        self.held.drain(..end);
        self.state = State::Headers;
        true
    }

    fn headers(&mut self, items: &mut Vec<Item>) -> bool {
        // `held` begins with the line end of the delimiter, so "no headers" is the same case as any other.
        let Some(end) = find(&self.held, b"\r\n\r\n") else {
            return self.held.len() > MAX_HEADERS && self.broken("the headers of a part are too long");
        };
        let Some(headers) = parse_headers(&self.held[..end]) else {
            return self.broken("a part header is not `Name: value`");
        };
        // The last line end stays: a body may be empty and its delimiter follow at once.
        self.held.drain(..end + 2);
        items.push(Item::Part(headers));
        self.in_part = false;
        self.state = State::Body;
        true
    }

    fn body(&mut self, items: &mut Vec<Item>) -> bool {
        if !self.in_part && self.held.len() >= self.delimiter.len() && self.held.starts_with(&self.delimiter)
        {
            self.held.drain(..self.delimiter.len());
            self.state = State::Delimiter;
            items.push(Item::PartEnd);
            return true;
        }
        if !self.in_part {
            if self.held.len() < self.delimiter.len() && self.delimiter.starts_with(&self.held) {
                return false;
            }
            self.held.drain(..2);
            self.in_part = true;
        }
        if let Some(at) = find(&self.held, &self.delimiter) {
            if at > 0 {
                items.push(Item::Data(self.held[..at].to_vec()));
            }
            self.held.drain(..at + self.delimiter.len());
            self.state = State::Delimiter;
            items.push(Item::PartEnd);
            return true;
        }
        let safe = self.held.len().saturating_sub(self.delimiter.len() - 1);
        if safe > 0 {
            items.push(Item::Data(self.held.drain(..safe).collect()));
        }
        false
    }

    fn broken(&mut self, fault: &'static str) -> bool {
        self.fault = Some(fault);
        self.state = State::Broken;
        true
    }
}

fn parse_headers(block: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(block).ok()?;
    let mut headers = Vec::new();
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        if name.is_empty() || name.contains(' ') {
            return None;
        }
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(headers)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The value of a `; name=value` parameter of a header, quoted or bare; the name in any case.
pub(crate) fn parameter(header: &str, name: &str) -> Option<String> {
    let mut rest = header;
    while let Some(at) = rest.find(';') {
        rest = rest[at + 1..].trim_start();
        let Some((key, value)) = rest.split_once('=') else { continue };
        let wanted = key.trim().eq_ignore_ascii_case(name);
        if let Some(quoted) = value.strip_prefix('"') {
            let end = quoted.find('"')?;
            if wanted {
                return Some(quoted[..end].to_owned());
            }
            rest = &quoted[end + 1..];
        } else if wanted {
            return Some(value.split(';').next().unwrap_or_default().trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(boundary: &str, chunks: &[&[u8]]) -> (Vec<Item>, Option<&'static str>) {
        let mut reader = Reader::new(boundary);
        let mut items: Vec<Item> = Vec::new();
        for chunk in chunks {
            for item in reader.push(chunk) {
                match (items.last_mut(), item) {
                    (Some(Item::Data(before)), Item::Data(more)) => before.extend(more),
                    (_, item) => items.push(item),
                }
            }
        }
        (items, reader.finish())
    }

    fn body(audio: &[u8]) -> Vec<u8> {
        let mut body = b"--B\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{}\r\n--B\r\nContent-Type: a/b\r\n\r\n".to_vec();
        body.extend_from_slice(audio);
        body.extend_from_slice(b"\r\n--B--\r\n");
        body
    }

    #[test]
    fn two_parts() {
        let (items, fault) = read("B", &[&body(b"\r\n--A\r\n-")]);
        assert_eq!(fault, None);
        assert_eq!(items.len(), 7);
        assert_eq!(items[1], Item::Data(b"{}".to_vec()));
        assert_eq!(items[4], Item::Data(b"\r\n--A\r\n-".to_vec()));
        assert_eq!(items[6], Item::End);
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(read("B", &[b"--B\r\n\r\nx"]).1, Some("the closing delimiter is missing"));
        assert_eq!(read("B", &[b"x\r\n--B\r\n\r\nx\r\n--B--"]).1, Some("bytes before the first delimiter"));
        assert_eq!(read("B", &[b"--B\r\n\r\nx\r\n--B--x"]).1, Some("bytes after the closing delimiter"));
        assert_eq!(read("B", &[b"--Bx\r\n\r\nx\r\n--B--"]).1, Some("bytes behind a delimiter on its line"));
        assert_eq!(read("B", &[b"\r\n--B\r\n\r\n\r\n--B--"]).1, None);
        assert_eq!(read("B", &[b"--B\r\n\r\n\r\n--B--"]).0.len(), 3);
    }

    #[test]
    fn parameters() {
        assert_eq!(parameter("multipart/form-data; boundary=abc", "boundary").as_deref(), Some("abc"));
        assert_eq!(parameter("a/b; x=\"1;2\"; Boundary=\"q r\"; y=1", "boundary").as_deref(), Some("q r"));
        assert_eq!(parameter("form-data; name=\"metadata\"", "name").as_deref(), Some("metadata"));
        assert_eq!(parameter("form-data; filename=\"n; name=x\"", "name"), None);
        assert_eq!(parameter("form-data", "name"), None);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same(audio in proptest::collection::vec(any::<u8>(), 0..64), cut in 0usize..200) {
            let body = body(&audio);
            prop_assume!(find(&audio, b"\r\n--B").is_none());
            let whole = read("B", &[&body]);
            let cut = cut.min(body.len());
            prop_assert_eq!(&whole, &read("B", &[&body[..cut], &body[cut..]]));
            let single: Vec<&[u8]> = body.chunks(1).collect();
            prop_assert_eq!(&whole, &read("B", &single));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut reader = Reader::new("B");
            for chunk in bytes.chunks(7) {
                reader.push(chunk);
            }
            reader.finish();
        }
    }
}
