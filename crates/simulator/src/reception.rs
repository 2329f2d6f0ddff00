//! Owns the arrival of one event's body: parts as they come, metadata kept, when what was whole. Driven by `events`,
//! which reads the metadata first and the rest as the event asks for.

use std::collections::VecDeque;
use std::time::Instant;

use h2::RecvStream;

use crate::multipart::{Item, Reader};
use crate::strict::PartSeen;

/// Longest metadata part, bytes.
const MAX_METADATA: usize = 1 << 20;
/// Most parts looked at.
const MAX_PARTS: usize = 8;

/// A body on its way in.
pub(crate) struct Reception {
    body: RecvStream,
    reader: Reader,
    items: VecDeque<Item>,
    pub(crate) metadata: Vec<u8>,
    /// When the metadata part was whole.
    pub(crate) whole_at: Option<Instant>,
    pub(crate) parts: Vec<PartSeen>,
    pub(crate) faults: Vec<String>,
    /// The device reset the stream, or its connection ended.
    pub(crate) broken_off: bool,
    ended: bool,
}

impl Reception {
    pub(crate) fn new(body: RecvStream, boundary: &str) -> Self {
        Self {
            body,
            reader: Reader::new(boundary),
            items: VecDeque::new(),
            metadata: Vec::new(),
            whole_at: None,
            parts: Vec::new(),
            faults: Vec::new(),
            broken_off: false,
            ended: false,
        }
    }

    /// Reads until the metadata part is whole, or the body ends.
    pub(crate) async fn metadata(&mut self) {
        while self.whole_at.is_none() && self.next().await.is_some() {}
    }

    /// Reads to the end.
    pub(crate) async fn rest(&mut self) {
        while self.next().await.is_some() {}
    }

    /// More bytes of the last part, if they are its; `None` at the end of the body. Safe to drop while it waits.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Some(self.take(item));
            }
            if self.ended {
                return None;
            }
            match self.body.data().await {
                Some(Ok(chunk)) => {
                    // Fails only when the stream is gone, which the next read tells.
                    let _ = self.body.flow_control().release_capacity(chunk.len());
                    self.items.extend(self.reader.push(&chunk));
                }
                Some(Err(_)) => {
                    self.broken_off = true;
                    self.ended = true;
                }
                None => {
                    self.ended = true;
                    self.faults.extend(self.reader.finish().map(str::to_owned));
                }
            }
        }
    }

    /// The name of the part that is coming in.
    pub(crate) fn part(&self) -> String {
        self.parts.last().map(PartSeen::name).unwrap_or_default()
    }

    /// Bytes of all parts behind the metadata.
    pub(crate) fn attached(&self) -> u64 {
        self.parts.iter().skip(1).map(|part| part.bytes).sum()
    }

    fn take(&mut self, item: Item) -> Vec<u8> {
        match item {
            Item::Part(headers) if self.parts.len() < MAX_PARTS => {
                self.parts.push(PartSeen { headers, bytes: 0 });
            }
            Item::Part(_) => self.faults.push("more than eight parts".to_owned()),
            Item::Data(data) => {
                let first = self.parts.len() == 1;
                if let Some(part) = self.parts.last_mut() {
                    part.bytes += data.len() as u64;
                }
                if first && self.metadata.len() + data.len() <= MAX_METADATA {
                    self.metadata.extend_from_slice(&data);
                }
                return data;
            }
            Item::PartEnd if self.parts.len() == 1 => self.whole_at = Some(Instant::now()),
            Item::PartEnd | Item::End => {}
        }
        Vec::new()
    }
}
