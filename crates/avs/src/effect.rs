//! What a device machine wishes of the world. Few and general, so that a new interface needs no new effect.

use std::time::Duration;

use antiphon_domain::LevelCommand;
use antiphon_domain::focus::FocusView;
use antiphon_domain::media::Media;
use serde_json::Value;

use crate::message::{Event, StreamId};

/// One wish; they are to be carried out in the order they come.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Post an event on this device's own connection.
    Send(Event),
    /// Change the level of this speaker, and of its group as the hub's policy says. Answered by
    /// [`Signal::Levels`](crate::signal::Signal::Levels), also when nothing changed.
    ChangeLevel(LevelCommand),
    /// Control the player of this speaker's content.
    Player(PlayerCommand),
    /// Who is in front changed: the speaker's mixer ducks by it. Nothing needs to be restored afterwards.
    Focus(FocusView),
    /// Keep a value durably, to be handed back in [`DeviceConfig::stored`](crate::device::DeviceConfig::stored).
    Store {
        /// The name it is handed back under, `interface.value`.
        key: String,
        /// Any JSON.
        value: Value,
    },
}

/// One stream of one Play; never used twice by a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayerId(pub u64);

/// What the player of a speaker's content is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlayerCommand {
    /// Open and buffer a stream, silently.
    Prepare {
        /// Its name from now on.
        id: PlayerId,
        /// Where it is.
        source: PlayerSource,
    },
    /// Make a prepared stream heard.
    Play {
        /// Which.
        id: PlayerId,
        /// `None`: as soon as possible. Otherwise at the very sample at which that stream ends by itself, without
        /// being asked again; the news is still `Finished` of the one, then `Started` of the other. A later `Play` of
        /// the same stream takes the place of this one.
        after: Option<PlayerId>,
    },
    /// Stand still; answered by `Paused`.
    Pause {
        /// Which.
        id: PlayerId,
    },
    /// Go on; answered by `Resumed`, or by `Started` when it never sounded.
    Resume {
        /// Which.
        id: PlayerId,
    },
    /// End and forget a stream, whether prepared, playing or unknown. No answer is expected.
    Stop {
        /// Which.
        id: PlayerId,
    },
}

/// Where a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlayerSource {
    /// Behind a URL.
    Media(Media),
    /// In an attachment of the response that brought the Play (`cid:` URL), MP3 always.
    Attachment {
        /// The response.
        stream: StreamId,
        /// The part's Content-ID, without angle brackets.
        content_id: String,
        /// Where in the stream to begin.
        offset: Duration,
        /// Where in the stream to end, when not at its own end.
        end: Option<Duration>,
    },
}
