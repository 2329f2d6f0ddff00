//! The remote control that receivers have for us (DACP): small HTTP requests, and what they mean.
//!
//! A machine driven by whoever owns a connection: `feed` what arrived, then `poll` until it yields nothing. A request
//! says which session it means by the `Active-Remote` number that session told its receiver. Nothing has a body.

use antiphon_domain::{Volume, VolumeStep};
use antiphon_endpoint::Button;
use thiserror::Error;

use crate::wire::{rtsp, volume};

/// The most bytes of a request that are taken; receivers send some hundred.
pub const MAX_REQUEST: usize = 4 * 1024;

/// What `volumeup` and `volumedown` move, as iTunes did; recalled, not measured.
const STEP: i64 = 5;

/// Where commands are.
const PATH: &str = "/ctrl-int/1/";

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number of the session it means, where it says one.
    pub remote: Option<u32>,
    /// The path without [`PATH`], and what follows its `?`.
    command: Option<(String, String)>,
    /// Whether the connection ends with it.
    pub last: bool,
}

/// What a receiver wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wish {
    /// Something for the whole group.
    Button(Button),
    /// It is this loud now.
    Volume(Volume),
    /// It is mute now, or not.
    Muted(bool),
    /// Mute what is heard, or let it be heard again.
    ToggleMute,
}

/// What is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DacpError {
    /// More bytes than [`MAX_REQUEST`].
    #[error("a request of more than {MAX_REQUEST} bytes")]
    TooLong,
    /// No HTTP/1 request line, a broken header, or a body.
    #[error("no http request")]
    Malformed,
}

impl Request {
    /// What it wants; `None` when it is nothing that we do.
    pub fn wish(&self) -> Option<Wish> {
        let (command, query) = self.command.as_ref()?;
        let button = match command.as_str() {
            "play" => Button::Play,
            "pause" => Button::Pause,
            "playpause" => Button::PlayPause,
            // Sent when a button that was held is let go; recalled.
            "playresume" => Button::Play,
            "stop" => Button::Stop,
            "nextitem" => Button::Next,
            "previtem" => Button::Previous,
            "volumeup" => Button::VolumeStep(VolumeStep::new(STEP).ok()?),
            "volumedown" => Button::VolumeStep(VolumeStep::new(-STEP).ok()?),
            "mutetoggle" => return Some(Wish::ToggleMute),
            "setproperty" => return property(query),
            _ => return None,
        };
        Some(Wish::Button(button))
    }
}

/// The first property of a query that we know.
fn property(query: &str) -> Option<Wish> {
    for part in query.split('&') {
        let Some((key, value)) = part.split_once('=') else { continue };
        match key {
            "dmcp.device-volume" => {
                let db: f32 = value.parse().ok()?;
                return Some(match volume::of_db(db)? {
                    Some(volume) => Wish::Volume(volume),
                    None => Wish::Muted(true),
                });
            }
            "dmcp.volume" => {
                let percent: f32 = value.parse().ok().filter(|v: &f32| (0.0..=100.0).contains(v))?;
                return Some(Wish::Button(Button::GroupVolume(Volume::new(percent.round() as i64).ok()?)));
            }
            "dmcp.mutestatus" => return Some(Wish::Muted(value == "1")),
            _ => {}
        }
    }
    None
}

/// Reads requests from a byte stream.
#[derive(Debug, Default)]
pub struct RequestParser {
    buffer: Vec<u8>,
}

impl RequestParser {
    /// Takes bytes that arrived. Call [`Self::poll`] until it yields `None` before feeding more.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether nothing was begun.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next complete request, or `None` when more bytes are needed. After an error the stream is lost.
    pub fn poll(&mut self) -> Result<Option<Request>, DacpError> {
        let Some((head, end)) = rtsp::head_length(&self.buffer) else {
            return if self.buffer.len() > MAX_REQUEST { Err(DacpError::TooLong) } else { Ok(None) };
        };
        if head > MAX_REQUEST {
            return Err(DacpError::TooLong);
        }
        let text = std::str::from_utf8(&self.buffer[..head]).map_err(|_| DacpError::Malformed)?;
        let request = parse(text)?;
        self.buffer.drain(..end);
        Ok(Some(request))
    }
}

fn parse(text: &str) -> Result<Request, DacpError> {
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().split_ascii_whitespace();
    let (method, target, version) = (words.next(), words.next(), words.next());
    let (Some("GET" | "POST"), Some(target), Some(version)) = (method, target, version) else {
        return Err(DacpError::Malformed);
    };
    if !version.starts_with("HTTP/1.") {
        return Err(DacpError::Malformed);
    }
    let mut request = Request { remote: None, command: None, last: version == "HTTP/1.0" };
    if let Some(command) = target.strip_prefix(PATH) {
        let (command, query) = command.split_once('?').unwrap_or((command, ""));
        request.command = Some((command.to_owned(), query.to_owned()));
    }
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(DacpError::Malformed)?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("Active-Remote") {
            request.remote = value.parse().ok();
        } else if name.eq_ignore_ascii_case("Connection") {
            request.last |= value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("Transfer-Encoding")
            || (name.eq_ignore_ascii_case("Content-Length") && value != "0")
        {
            return Err(DacpError::Malformed);
        }
    }
    Ok(request)
}

/// An answer without a body.
pub fn answer(status: u16) -> String {
    let reason = match status {
        204 => "No Content",
        400 => "Bad Request",
        403 => "Forbidden",
        _ => "Error",
    };
    let length = if status == 204 { "" } else { "Content-Length: 0\r\n" };
    format!("HTTP/1.1 {status} {reason}\r\nDAAP-Server: Antiphon\r\n{length}\r\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Option<Request>, DacpError> {
        let mut parser = RequestParser::default();
        parser.feed(text.as_bytes());
        parser.poll()
    }

    fn wish(command: &str) -> Option<Wish> {
        let text =
            format!("GET /ctrl-int/1/{command} HTTP/1.1\r\nHost: a:1\r\nActive-Remote: 4000000000\r\n\r\n");
        let request = read(&text).unwrap().unwrap();
        assert_eq!((request.remote, request.last), (Some(4_000_000_000), false));
        request.wish()
    }

    #[test]
    fn commands_are_wishes() {
        let volume = |v| Volume::new(v).unwrap();
        assert_eq!(wish("playpause"), Some(Wish::Button(Button::PlayPause)));
        assert_eq!(wish("nextitem"), Some(Wish::Button(Button::Next)));
        assert_eq!(wish("volumedown"), Some(Wish::Button(Button::VolumeStep(VolumeStep::new(-5).unwrap()))));
        assert_eq!(wish("setproperty?dmcp.device-volume=-15.000000"), Some(Wish::Volume(volume(50))));
        assert_eq!(wish("setproperty?dmcp.device-volume=-144"), Some(Wish::Muted(true)));
        assert_eq!(
            wish("setproperty?x=1&dmcp.volume=31.0"),
            Some(Wish::Button(Button::GroupVolume(volume(31))))
        );
        for unknown in [
            "getproperty?properties=dmcp.volume",
            "setproperty?dmcp.volume=900",
            "setproperty",
            "",
            "x",
            "setproperty?dmcp.device-volume=NaN",
            "setproperty?dmcp.device-volume=inf",
        ] {
            assert_eq!(wish(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn requests_follow_each_other_and_what_is_none_is_refused() {
        let mut parser = RequestParser::default();
        parser.feed(b"GET / HTTP/1.0\r\n\r\nGET /ctrl-int/1/stop HTTP/1.1\nConnection: close\n\nGET");
        assert_eq!(parser.poll().unwrap().unwrap().wish(), None);
        let second = parser.poll().unwrap().unwrap();
        assert_eq!(
            (second.wish(), second.remote, second.last),
            (Some(Wish::Button(Button::Stop)), None, true)
        );
        assert_eq!(parser.poll(), Ok(None));
        assert_eq!(read("SSH-2.0\r\n\r\n"), Err(DacpError::Malformed));
        assert_eq!(read("GET / HTTP/1.1\r\nContent-Length: 7\r\n\r\n"), Err(DacpError::Malformed));
        assert_eq!(read(&"x".repeat(MAX_REQUEST + 1)), Err(DacpError::TooLong));
    }

    proptest! {
        #[test]
        fn any_request_is_read(text in "(GET /ctrl-int/1/[a-z?=.&-]{0,40} HTTP/1.1\r?\n)?([A-Za-z-]{1,14}: ?[0-9a-z]{0,12}\r?\n){0,4}\r?\n.*") {
            if let Ok(Some(request)) = read(&text) {
                let _ = request.wish();
            }
        }
    }
}
