//! RTSP as RAOP speaks it (RFC 2326 framing): requests written, responses read incrementally.
//!
//! A machine driven by whoever owns the TCP connection: `feed` what arrived, then `poll` until it yields nothing.
//! Heads above [`MAX_HEAD`] and bodies above [`MAX_BODY`] are errors, so a peer cannot make it grow.

use std::fmt::Write as _;

use thiserror::Error;

/// The most bytes of status line and headers that are taken.
pub const MAX_HEAD: usize = 16 * 1024;

/// The most bytes of body that are taken; receivers send at most a few hundred.
pub const MAX_BODY: usize = 64 * 1024;

/// What a receiver said that is no RTSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RtspError {
    /// The status line is not `RTSP/1.0 NNN reason` (HTTP's is taken too: some receivers say it).
    #[error("no rtsp status line")]
    StatusLine,
    /// A header line without a colon, or bytes that are not text.
    #[error("a broken header")]
    Header,
    /// More header bytes than [`MAX_HEAD`].
    #[error("headers of more than {MAX_HEAD} bytes")]
    HeadTooLong,
    /// A body larger than [`MAX_BODY`], or a length that is no number.
    #[error("a body of more than {MAX_BODY} bytes")]
    BodyTooLong,
}

/// A request to be written.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method, e.g. `SETUP`.
    pub method: &'a str,
    /// The request URI, e.g. `rtsp://192.0.2.1/3413821438`, or `*`.
    pub uri: &'a str,
    /// Its number, counting up by one.
    pub cseq: u32,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Content type and body.
    pub body: Option<(&'a str, &'a [u8])>,
}

impl Request<'_> {
    /// The request as it travels.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} RTSP/1.0\r\nCSeq: {}\r\n", self.method, self.uri, self.cseq);
        for (name, value) in self.headers {
            // Writing to a String cannot fail.
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let Some((kind, body)) = self.body else {
            text.push_str("\r\n");
            return text.into_bytes();
        };
        let length = body.len();
        let _ = write!(text, "Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }
}

/// A response, without its body, of which RAOP needs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status, e.g. 200 or 453.
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Response {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The number of the request that it answers.
    pub fn cseq(&self) -> Option<u32> {
        self.header("CSeq")?.parse().ok()
    }
}

/// Reads responses from a byte stream.
#[derive(Debug, Default)]
pub struct ResponseParser {
    buffer: Vec<u8>,
}

impl ResponseParser {
    /// Takes bytes that arrived. Call [`Self::poll`] until it yields `None` before feeding more.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete response, or `None` when more bytes are needed. After an error the stream is lost.
    pub fn poll(&mut self) -> Result<Option<Response>, RtspError> {
        let Some((head, body_from)) = head_length(&self.buffer) else {
            return if self.buffer.len() > MAX_HEAD { Err(RtspError::HeadTooLong) } else { Ok(None) };
        };
        if head > MAX_HEAD {
            return Err(RtspError::HeadTooLong);
        }
        let response = parse_head(&self.buffer[..head])?;
        let body = match response.header("Content-Length") {
            Some(text) => text.parse::<usize>().map_err(|_| RtspError::BodyTooLong)?,
            None => 0,
        };
        if body > MAX_BODY {
            return Err(RtspError::BodyTooLong);
        }
        let end = body_from + body;
        if self.buffer.len() < end {
            return Ok(None);
        }
        self.buffer.drain(..end);
        Ok(Some(response))
    }
}

/// Where the head ends and where the body begins; bare LF line ends are taken too.
pub(super) fn head_length(bytes: &[u8]) -> Option<(usize, usize)> {
    for (i, byte) in bytes.iter().enumerate() {
        if *byte != b'\n' {
            continue;
        }
        match bytes.get(i + 1..) {
            Some([b'\n', ..]) => return Some((i + 1, i + 2)),
            Some([b'\r', b'\n', ..]) => return Some((i + 1, i + 3)),
            _ => {}
        }
    }
    None
}

fn parse_head(head: &[u8]) -> Result<Response, RtspError> {
    let text = std::str::from_utf8(head).map_err(|_| RtspError::Header)?;
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().split_ascii_whitespace();
    let version = words.next().unwrap_or_default();
    if !version.starts_with("RTSP/1.") && !version.starts_with("HTTP/1.") {
        return Err(RtspError::StatusLine);
    }
    let status = words.next().and_then(|word| word.parse::<u16>().ok()).ok_or(RtspError::StatusLine)?;
    if !(100..1000).contains(&status) {
        return Err(RtspError::StatusLine);
    }
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(RtspError::Header)?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(Response { status, headers })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETUP: &str =
        "RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 1\r\nTransport: RTP/AVP/UDP;server_port=6001\r\n\r\n";

    #[test]
    fn requests_are_framed() {
        let request = Request {
            method: "SET_PARAMETER",
            uri: "rtsp://1.2.3.4/5",
            cseq: 9,
            headers: &[("Session", "1")],
            body: Some(("text/parameters", b"volume: 0.0\r\n")),
        };
        let text = String::from_utf8(request.bytes()).unwrap();
        assert_eq!(
            text,
            "SET_PARAMETER rtsp://1.2.3.4/5 RTSP/1.0\r\nCSeq: 9\r\nSession: 1\r\nContent-Type: \
             text/parameters\r\nContent-Length: 13\r\n\r\nvolume: 0.0\r\n"
        );
    }

    #[test]
    fn responses_follow_each_other() {
        let mut parser = ResponseParser::default();
        parser.feed(SETUP.as_bytes());
        parser.feed(b"RTSP/1.0 453 Not Enough Bandwidth\nCSeq: 4\nContent-Length: 2\n\nxyRTSP");
        let first = parser.poll().unwrap().unwrap();
        assert_eq!((first.status, first.cseq(), first.header("session")), (200, Some(3), Some("1")));
        assert_eq!(parser.poll().unwrap().unwrap().status, 453);
        assert_eq!(parser.poll(), Ok(None));
    }

    #[test]
    fn floods_are_refused() {
        let mut parser = ResponseParser::default();
        parser.feed(&vec![b'x'; MAX_HEAD + 1]);
        assert_eq!(parser.poll(), Err(RtspError::HeadTooLong));
        let mut parser = ResponseParser::default();
        parser.feed(b"RTSP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
        assert_eq!(parser.poll(), Err(RtspError::BodyTooLong));
        let mut parser = ResponseParser::default();
        parser.feed(b"SSH-2.0-OpenSSH_9.2\r\n\r\n");
        assert_eq!(parser.poll(), Err(RtspError::StatusLine));
    }

    proptest! {
        #[test]
        fn splits_do_not_matter(cut in 0usize..SETUP.len()) {
            let mut parser = ResponseParser::default();
            parser.feed(&SETUP.as_bytes()[..cut]);
            prop_assert_eq!(parser.poll(), Ok(None));
            parser.feed(&SETUP.as_bytes()[cut..]);
            prop_assert_eq!(parser.poll().unwrap().unwrap().status, 200);
        }

        #[test]
        fn any_bytes_are_read(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20)) {
            let mut parser = ResponseParser::default();
            for piece in pieces {
                parser.feed(&piece);
                if parser.poll().is_err() {
                    break;
                }
            }
        }

        #[test]
        fn any_text_is_read(text in "(RTSP/1.0 [0-9]{1,4} ?[a-z]{0,4}\r?\n)?([A-Za-z-]{1,9}: ?[0-9a-z]{0,5}\r?\n){0,4}\r?\n.*") {
            let mut parser = ResponseParser::default();
            parser.feed(text.as_bytes());
            let _ = parser.poll();
        }
    }
}
