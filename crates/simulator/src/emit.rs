//! Owns the writing of multipart bodies: boundary, parts, delimiter lines, and the ways to put them wrongly or slowly
//! on the wire. The builders are pure; `Emitter` hands DATA frames to one HTTP/2 stream under its flow control.

use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use serde_json::{Value, json};

use crate::answers::Outgoing;
use crate::faults::Emission;

/// A boundary term as the service makes them: leading dashes, no `=`.
pub(crate) fn boundary() -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    format!("------{}", &id[..20])
}

/// The Content-Type of a body with this boundary: the boundary bare, another parameter quoted.
pub(crate) fn content_type(boundary: &str) -> String {
    format!("multipart/related; boundary={boundary}; type=\"application/json\"")
}

/// The parts of one directive, each ending with the line end that belongs to the next delimiter.
pub(crate) fn parts(outgoing: &Outgoing) -> Vec<Bytes> {
    let mut parts = Vec::new();
    if !outgoing.attachments_first {
        parts.push(json_part(&outgoing.message));
    }
    for attachment in &outgoing.attachments {
        let head = format!(
            "Content-Type: application/octet-stream\r\nContent-ID: <{}>\r\n\r\n",
            attachment.id.trim_matches(['<', '>'])
        );
        let mut part = head.into_bytes();
        part.extend_from_slice(&attachment.data);
        part.extend_from_slice(b"\r\n");
        parts.push(part.into());
    }
    if outgoing.attachments_first {
        parts.push(json_part(&outgoing.message));
    }
    parts
}

/// One JSON part, on one line.
pub(crate) fn json_part(message: &Value) -> Bytes {
    format!("Content-Type: application/json; charset=UTF-8\r\n\r\n{message}\r\n").into()
}

/// One of each sort of part a client must survive: JSON cut short, not JSON, no directive in it, an unknown content
/// type, a header line without a colon.
pub(crate) fn malformed() -> Vec<Bytes> {
    let json = "Content-Type: application/json; charset=UTF-8\r\n\r\n";
    [
        format!("{json}{{\"directive\":{{\"header\":\r\n"),
        format!("{json}\u{0}\u{1} not json\r\n"),
        format!("{json}{{\"surprise\":true}}\r\n"),
        "Content-Type: text/x-unknown\r\n\r\nwhat is this\r\n".to_owned(),
        "this is no header\r\n\r\n{}\r\n".to_owned(),
    ]
    .map(Bytes::from)
    .to_vec()
}

/// A directive of `bytes` bytes which no client should keep whole.
pub(crate) fn oversized(bytes: usize) -> Bytes {
    let filler = "x".repeat(bytes);
    json_part(&Outgoing::new("System", "Oversized", json!({ "filler": filler })).message)
}

/// The stream is gone: closed, reset, or its connection ended.
#[derive(Debug)]
pub(crate) struct Gone;

/// Writes one multipart body to one stream.
pub(crate) struct Emitter {
    stream: SendStream<Bytes>,
    delimiter: Bytes,
    closing: Bytes,
}

impl Emitter {
    /// For a stream whose response announced this boundary.
    pub(crate) fn new(stream: SendStream<Bytes>, boundary: &str) -> Self {
        Self {
            stream,
            delimiter: format!("--{boundary}\r\n").into(),
            closing: format!("--{boundary}--\r\n").into(),
        }
    }

    /// A delimiter line in a DATA frame of its own.
    pub(crate) async fn delimiter(&mut self, emission: Emission) -> Result<(), Gone> {
        let delimiter = self.delimiter.clone();
        self.emit(delimiter, emission).await
    }

    /// A bare delimiter as keep-alive: an empty part between two delimiter lines, with or without a line end before.
    pub(crate) async fn keep_alive(&mut self, blank_first: bool) -> Result<(), Gone> {
        let mut line = Vec::new();
        if blank_first {
            line.extend_from_slice(b"\r\n");
        }
        line.extend_from_slice(&self.delimiter);
        self.emit(line.into(), Emission::Normal).await
    }

    /// A part and at once the delimiter line behind it.
    pub(crate) async fn part(&mut self, part: &Bytes, emission: Emission) -> Result<(), Gone> {
        let mut whole = Vec::with_capacity(part.len() + self.delimiter.len());
        whole.extend_from_slice(part);
        let cut = whole.len();
        whole.extend_from_slice(&self.delimiter);
        let whole = Bytes::from(whole);
        match emission {
            Emission::Split(offset) => {
                // The delimiter proper begins with the line end before it, so cuts inside that count too.
                let from = cut - 2;
                let at = from + offset % (whole.len() - from);
                self.emit(whole.slice(..at), Emission::Normal).await?;
                // Two frames in one packet would still be read as one: let them travel apart.
                tokio::time::sleep(Duration::from_millis(2)).await;
                self.emit(whole.slice(at..), Emission::Normal).await
            }
            other => self.emit(whole, other).await,
        }
    }

    /// The last part with the closing delimiter (unless it is to be left out), then END_STREAM.
    pub(crate) async fn last(
        &mut self,
        part: Option<&Bytes>,
        closed: bool,
        emission: Emission,
    ) -> Result<(), Gone> {
        let mut whole = part.map(|part| part.to_vec()).unwrap_or_default();
        if closed {
            whole.extend_from_slice(&self.closing);
        }
        self.emit(whole.into(), emission).await?;
        self.end();
        Ok(())
    }

    /// END_STREAM.
    pub(crate) fn end(&mut self) {
        // Fails only when the stream is closed already, which is what is wanted.
        let _ = self.stream.send_data(Bytes::new(), true);
    }

    /// RST_STREAM.
    pub(crate) fn reset(&mut self) {
        self.stream.send_reset(h2::Reason::INTERNAL_ERROR);
    }

    /// Resolves when the peer has reset the stream or the connection is gone.
    pub(crate) async fn closed(&mut self) {
        let _ = std::future::poll_fn(|cx| self.stream.poll_reset(cx)).await;
    }

    async fn emit(&mut self, mut data: Bytes, emission: Emission) -> Result<(), Gone> {
        if let Emission::Drip(pause) = emission {
            for at in 0..data.len() {
                self.frame(data.slice(at..at + 1)).await?;
                tokio::time::sleep(pause).await;
            }
            return Ok(());
        }
        while !data.is_empty() {
            let frame = data.split_to(data.len().min(16 * 1024));
            self.frame(frame).await?;
        }
        Ok(())
    }

    async fn frame(&mut self, mut data: Bytes) -> Result<(), Gone> {
        while !data.is_empty() {
            self.stream.reserve_capacity(data.len());
            let granted = loop {
                match self.stream.capacity() {
                    0 => match std::future::poll_fn(|cx| self.stream.poll_capacity(cx)).await {
                        Some(Ok(_)) => {}
                        _ => return Err(Gone),
                    },
                    granted => break granted,
                }
            };
            let piece = data.split_to(data.len().min(granted));
            self.stream.send_data(piece, false).map_err(|_| Gone)?;
        }
        Ok(())
    }
}
