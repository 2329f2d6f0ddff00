//! The artwork role: the picture of what is heard, on up to four channels of a client's display.
//!
//! Pure. A picture goes out as an announce and parts, a few at a time, so that sound is never kept waiting by it. The
//! spec wants each at exactly the size and in the coding that the channel declares; nothing here can scale, so a
//! picture of another size is left out, and the channel is cleared.

use std::sync::Arc;
use std::time::Duration;

use antiphon_domain::HubTime;
use antiphon_endpoint::{NowPlaying, PlayState};
use bytes::Bytes;
use serde_json::Value;

use super::picture::{self, Kind};
use super::{Out, micros, object};

/// The binary id of channel 0.
const FIRST_ID: u8 = 8;

/// Channels at most; more are a breach of the protocol.
const CHANNELS: usize = 4;

/// Bytes of a picture in one message, and between two of them: 1.6 MB/s, a tenth of what a poor wireless network does.
const PART: usize = 16 * 1024;
const PACE: Duration = Duration::from_millis(10);

/// Flags (spec, artwork v1, "Wire format").
const CANCEL: u8 = 1;
const ANNOUNCE: u8 = 2;

/// What a channel shows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Channel {
    source: &'static str,
    picture: Option<(Kind, u32, u32)>,
}

const NONE: Channel = Channel { source: "none", picture: None };

impl Channel {
    fn parse(value: &Value) -> Result<Self, String> {
        let source = match value.get("source").and_then(Value::as_str) {
            Some("album") => "album",
            Some("artist") => "artist",
            Some("none") => return Ok(NONE),
            other => return Err(format!("a picture of {other:?}")),
        };
        let kind = match value.get("format").and_then(Value::as_str) {
            Some("jpeg") => Kind::Jpeg,
            Some("png") => Kind::Png,
            other => return Err(format!("a picture as {other:?}")),
        };
        let side = |key: &str| {
            let side = value.get(key).and_then(Value::as_u64).and_then(|side| u32::try_from(side).ok());
            side.ok_or_else(|| format!("a picture without {key}"))
        };
        Ok(Self { source, picture: Some((kind, side("width")?, side("height")?)) })
    }

    fn describe(&self) -> Value {
        let mut channel = object("source", self.source.into());
        if let Some((kind, width, height)) = self.picture {
            channel.insert("format".into(), kind.name().into());
            channel.insert("width".into(), width.into());
            channel.insert("height".into(), height.into());
        }
        channel.into()
    }
}

/// A picture on its way.
#[derive(Debug)]
struct Transfer {
    channel: usize,
    bytes: Arc<[u8]>,
    sent: usize,
}

/// One client's pictures.
#[derive(Debug, Default)]
pub struct Pictures {
    /// As the client declared them; `None` before it did.
    declared: Option<Vec<Channel>>,
    /// As the stream was told; `None` while there is none.
    streamed: Option<Vec<Channel>>,
    /// What was announced on each channel last; `None` is nothing.
    shown: [Option<Arc<[u8]>>; CHANNELS],
    picture: Option<(Arc<[u8]>, picture::Size)>,
    playing: bool,
    transfer: Option<Transfer>,
    next_part: HubTime,
}

impl Pictures {
    /// The artwork object of a client's state.
    pub fn declared(&mut self, artwork: &Value) -> Result<(), String> {
        let channels = artwork.get("channels").and_then(Value::as_array).ok_or("artwork without channels")?;
        if channels.len() > CHANNELS {
            return Err(format!("{} channels of artwork", channels.len()));
        }
        let mut channels = channels.iter().map(Channel::parse).collect::<Result<Vec<_>, _>>()?;
        while channels.last().is_some_and(|channel| *channel == NONE) {
            channels.pop();
        }
        self.declared = Some(channels);
        Ok(())
    }

    /// What the hub says.
    pub fn now(&mut self, now: &NowPlaying) {
        self.playing = now.state != PlayState::Stopped;
        let bytes = now.artwork.as_ref().map(|artwork| &artwork.bytes);
        let same = match (bytes, &self.picture) {
            (Some(new), Some((old, _))) => Arc::ptr_eq(new, old),
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.picture = bytes.and_then(|bytes| Some((Arc::clone(bytes), picture::size(bytes)?)));
        }
    }

    /// Nothing is heard any more.
    pub fn stop(&mut self) {
        self.playing = false;
        self.picture = None;
    }

    /// The next message; `wanted` says whether the client takes part at all. The second is whether a picture begins.
    pub fn poll(&mut self, wanted: bool, at: HubTime) -> Option<Out> {
        let declared = self.declared.as_ref()?;
        let wanted = wanted && self.playing && !declared.is_empty();
        let Some(streamed) = &self.streamed else {
            if !wanted {
                return None;
            }
            let channels = declared.clone();
            return Some(self.start(channels));
        };
        if !wanted || streamed != declared {
            if let Some(transfer) = self.transfer.take() {
                if let Some(shown) = self.shown.get_mut(transfer.channel) {
                    *shown = None;
                }
                return Some(message(transfer.channel, &[CANCEL]));
            }
            if !wanted {
                self.streamed = None;
                self.shown = Default::default();
                return Some(Out::Json {
                    kind: "stream/end",
                    payload: object("roles", vec!["artwork"].into()),
                });
            }
            let declared = declared.clone();
            let changed = |nth: usize| streamed.get(nth) != declared.get(nth);
            let off = (0..CHANNELS).find(|nth| {
                changed(*nth)
                    && declared.get(*nth).unwrap_or(&NONE) == &NONE
                    && self.shown.get(*nth).is_some_and(Option::is_some)
            });
            if let Some(channel) = off {
                return Some(self.announce(channel, None, at));
            }
            for (nth, shown) in self.shown.iter_mut().enumerate() {
                if streamed.get(nth) != declared.get(nth) {
                    *shown = None;
                }
            }
            return Some(self.start(declared));
        }
        if self.transfer.is_some() {
            return self.part(at);
        }
        let (channel, picture) = self.missing()?;
        Some(self.announce(channel, picture, at))
    }

    /// When the next part is due.
    pub fn wake(&self) -> Option<HubTime> {
        self.transfer.as_ref().map(|_| self.next_part)
    }

    fn start(&mut self, channels: Vec<Channel>) -> Out {
        let list: Vec<Value> = channels.iter().map(Channel::describe).collect();
        self.streamed = Some(channels);
        let artwork = object("channels", list.into());
        Out::Stamped { kind: "stream/start", payload: object("artwork", artwork.into()) }
    }

    /// The first channel that shows something else than it should.
    fn missing(&self) -> Option<(usize, Option<Arc<[u8]>>)> {
        let streamed = self.streamed.as_ref()?;
        for (nth, (channel, shown)) in streamed.iter().zip(&self.shown).enumerate() {
            let fitting = self.picture.as_ref().filter(|(_, size)| {
                channel.source == "album" && channel.picture == Some((size.kind, size.width, size.height))
            });
            let wanted = fitting.map(|(bytes, _)| bytes);
            let same = match (wanted, shown) {
                (Some(wanted), Some(shown)) => Arc::ptr_eq(wanted, shown),
                (None, None) => true,
                _ => false,
            };
            if !same {
                return Some((nth, wanted.cloned()));
            }
        }
        None
    }

    fn announce(&mut self, channel: usize, picture: Option<Arc<[u8]>>, at: HubTime) -> Out {
        let size = picture.as_ref().and_then(|bytes| u32::try_from(bytes.len()).ok()).unwrap_or(0);
        let mut body = vec![ANNOUNCE];
        body.extend_from_slice(&micros(at).to_be_bytes());
        body.extend_from_slice(&size.to_be_bytes());
        if let Some(shown) = self.shown.get_mut(channel) {
            shown.clone_from(&picture);
        }
        self.transfer = picture.map(|bytes| Transfer { channel, bytes, sent: 0 });
        self.next_part = at;
        message(channel, &body)
    }

    fn part(&mut self, at: HubTime) -> Option<Out> {
        if at < self.next_part {
            return None;
        }
        let transfer = self.transfer.as_mut()?;
        let end = (transfer.sent + PART).min(transfer.bytes.len());
        let mut body = vec![0];
        body.extend_from_slice(transfer.bytes.get(transfer.sent..end)?);
        let channel = transfer.channel;
        transfer.sent = end;
        if end == transfer.bytes.len() {
            self.transfer = None;
        }
        self.next_part = at + PACE;
        Some(message(channel, &body))
    }
}

fn message(channel: usize, body: &[u8]) -> Out {
    // Channels are at most four.
    Out::Binary { id: FIRST_ID + channel as u8, body: Bytes::copy_from_slice(body) }
}
