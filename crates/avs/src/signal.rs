//! What the world tells a device machine.

use std::time::Duration;

use antiphon_domain::media::MediaError;
use antiphon_domain::{HubTime, Level, Report, SampleRate};

use crate::effect::PlayerId;

/// One piece of news.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// What this speaker is asked to play at now, and which of Speaker's events it owes.
    Levels {
        /// The level now.
        level: Level,
        /// The events owed.
        report: Report,
    },
    /// News about a stream. About a stream that was stopped meanwhile it is ignored.
    Player(PlayerId, PlayerNews),
    /// This speaker hears somebody else's content from now on.
    ContentTaken,
    /// A person stopped the content here.
    ContentStopped,
    /// A person did something with this speaker.
    UserActivity,
    /// A person chose this locale, or ordered combination of locales, here.
    Locales(Vec<String>),
    /// A person chose this time zone (an IANA name) here.
    TimeZone(String),
}

/// What became of a stream. Positions count from the start of the stream, not from where it began.
#[derive(Clone, Debug, PartialEq)]
pub enum PlayerNews {
    /// Its first block falls due at `at`.
    Started {
        /// The due time.
        at: HubTime,
    },
    /// It is fetched to its end.
    Buffered,
    /// It ran dry; its position stands still.
    Stalled {
        /// When it fell silent.
        at: HubTime,
    },
    /// It sounds again.
    Recovered {
        /// From when on.
        at: HubTime,
    },
    /// It stands still.
    Paused {
        /// Its position.
        offset: Duration,
    },
    /// It goes on from where it was paused.
    Resumed {
        /// From when on.
        at: HubTime,
    },
    /// Its last block fell due, by itself; the player has forgotten it.
    Finished,
    /// Somebody other than this machine ended it.
    Stopped {
        /// Its last position.
        offset: Duration,
    },
    /// It cannot be played (on); the player has forgotten it. Also for one that is only prepared.
    Failed(MediaError),
    /// Its attachment is not there.
    Unattached,
    /// How it is coded, as soon as known, and whenever that changes.
    Attributes(Attributes),
    /// The title it bears in-band (ID3, ICY).
    Title(String),
}

/// How a stream is coded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The codec's name; empty when unknown.
    pub codec: String,
    /// Frames a second before any conversion.
    pub rate: Option<SampleRate>,
    /// Coded bits a second.
    pub bits_per_second: Option<u32>,
}
