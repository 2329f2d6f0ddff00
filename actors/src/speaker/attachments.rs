//! Attachments of one speaker's responses: from the link's task straight into pipes, until somebody claims them.
//!
//! A chunk never passes a mailbox. An attachment nobody has claimed is kept for [`KEPT`], also after its response has
//! ended; a claim to which nothing comes within [`AWAITED`], or by the end of its response, is given up. Both are
//! bounded in number; what a pipe holds is bounded by the peer's flow control.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use antiphon_avs::message::StreamId;
use antiphon_domain::HubTime;
use antiphon_render::{ByteReader, ByteWriter, byte_pipe};

/// How long an attachment waits for somebody to claim it.
const KEPT: Duration = Duration::from_secs(30);
/// How long a claim waits for the first byte.
const AWAITED: Duration = Duration::from_secs(10);
/// Attachments that may wait at once.
const MOST: usize = 32;
/// Ended responses that are remembered.
const ENDED: usize = 64;

/// Names an attachment.
pub(super) type Key = (StreamId, String);

/// All attachments of a speaker; clones share them.
#[derive(Clone, Default)]
pub(super) struct Attachments {
    desk: Arc<Mutex<Desk>>,
}

#[derive(Default)]
struct Desk {
    parts: BTreeMap<Key, Part>,
    ended: VecDeque<StreamId>,
}

struct Part {
    since: HubTime,
    /// Absent once it is complete, or nobody reads on.
    writer: Option<ByteWriter>,
    /// Absent once it is claimed.
    reader: Option<ByteReader>,
    /// Something has come.
    begun: bool,
}

impl Part {
    fn new(since: HubTime) -> Self {
        let (writer, reader) = byte_pipe();
        Self { since, writer: Some(writer), reader: Some(reader), begun: false }
    }
}

impl Attachments {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes arrived. False: there was no room for one more attachment.
    pub(super) fn arrived(&self, key: Key, chunk: Box<dyn AsRef<[u8]> + Send>, now: HubTime) -> bool {
        let mut desk = self.desk();
        if !desk.parts.contains_key(&key) && desk.parts.len() >= MOST {
            return false;
        }
        let part = desk.parts.entry(key).or_insert_with(|| Part::new(now));
        part.begun = true;
        if part.writer.as_ref().is_some_and(|writer| !writer.push(chunk)) {
            part.writer = None;
        }
        true
    }

    /// It is over; `complete` is false when its response died first.
    pub(super) fn finished(&self, key: &Key, complete: bool, now: HubTime) {
        let mut desk = self.desk();
        if !desk.parts.contains_key(key) && desk.parts.len() >= MOST {
            return;
        }
        let part = desk.parts.entry(key.clone()).or_insert_with(|| Part::new(now));
        part.begun = true;
        if let Some(writer) = part.writer.take() {
            writer.finish(complete);
        }
        if part.reader.is_none() {
            desk.parts.remove(key);
        }
    }

    /// What it brings, now and later; `None`: it never comes, or is claimed already.
    pub(super) fn claim(&self, key: &Key, now: HubTime) -> Option<ByteReader> {
        let mut desk = self.desk();
        if !desk.parts.contains_key(key) && (desk.ended.contains(&key.0) || desk.parts.len() >= MOST) {
            return None;
        }
        let part = desk.parts.entry(key.clone()).or_insert_with(|| Part::new(now));
        let reader = part.reader.take();
        if part.writer.is_none() {
            desk.parts.remove(key);
        }
        reader
    }

    /// A response is over. Gives back the claims to which nothing came.
    pub(super) fn stream_ended(&self, stream: StreamId) -> Vec<Key> {
        let mut desk = self.desk();
        desk.ended.push_back(stream);
        if desk.ended.len() > ENDED {
            desk.ended.pop_front();
        }
        desk.drop_where(|key, part| key.0 == stream && part.reader.is_none() && !part.begun)
    }

    /// Forgets what waited too long. Gives back the claims to which nothing came.
    pub(super) fn tidy(&self, now: HubTime) -> Vec<Key> {
        let mut desk = self.desk();
        desk.drop_where(|_, part| part.reader.is_some() && now.since(part.since) >= KEPT);
        desk.drop_where(|_, part| part.reader.is_none() && !part.begun && now.since(part.since) >= AWAITED)
    }

    /// Whether anything waits at all.
    pub(super) fn is_empty(&self) -> bool {
        self.desk().parts.is_empty()
    }
}

impl Desk {
    fn drop_where(&mut self, unwanted: impl Fn(&Key, &Part) -> bool) -> Vec<Key> {
        let keys: Vec<Key> =
            self.parts.iter().filter(|(key, part)| unwanted(key, part)).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.parts.remove(key);
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> HubTime {
        HubTime::EPOCH + Duration::from_secs(seconds)
    }

    fn key(stream: u64, id: &str) -> Key {
        (StreamId(stream), id.into())
    }

    fn bytes() -> Box<dyn AsRef<[u8]> + Send> {
        Box::new(vec![1u8, 2, 3])
    }

    #[test]
    fn either_may_come_first() {
        let desk = Attachments::default();
        assert!(desk.arrived(key(1, "a"), bytes(), at(0)));
        desk.finished(&key(1, "a"), true, at(0));
        assert!(desk.stream_ended(StreamId(1)).is_empty(), "kept for who comes late");
        assert!(desk.claim(&key(1, "a"), at(1)).is_some());
        assert!(desk.is_empty());
        assert!(desk.claim(&key(2, "b"), at(1)).is_some(), "may still come");
        assert!(desk.claim(&key(2, "b"), at(1)).is_none(), "one claim");
        assert!(desk.arrived(key(2, "b"), bytes(), at(1)));
        desk.finished(&key(2, "b"), true, at(1));
        assert!(desk.is_empty());
    }

    #[test]
    fn a_claim_to_which_nothing_comes_is_given_up() {
        let desk = Attachments::default();
        assert!(desk.claim(&key(1, "a"), at(0)).is_some());
        assert_eq!(desk.stream_ended(StreamId(1)), [key(1, "a")]);
        assert!(desk.claim(&key(1, "b"), at(0)).is_none(), "the response is over");
        assert!(desk.claim(&key(2, "c"), at(0)).is_some());
        assert!(desk.tidy(at(9)).is_empty());
        assert_eq!(desk.tidy(at(10)), [key(2, "c")]);
    }

    #[test]
    fn nothing_is_kept_for_ever_nor_without_bound() {
        let desk = Attachments::default();
        for n in 0..MOST {
            assert!(desk.arrived(key(1, &n.to_string()), bytes(), at(0)));
        }
        assert!(!desk.arrived(key(1, "more"), bytes(), at(0)));
        assert!(desk.tidy(at(30)).is_empty());
        assert!(desk.is_empty());
    }
}
