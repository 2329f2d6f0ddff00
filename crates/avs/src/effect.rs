//! What a device machine wishes of the world. Few and general, so that a new interface needs no new effect.

use std::time::Duration;

use antiphon_domain::equalizer::Equalizer;
use antiphon_domain::focus::FocusView;
use antiphon_domain::media::Media;
use antiphon_domain::sound::{BuiltIn, SoundId, Voice};
use antiphon_domain::{HubTime, LevelCommand, Volume, bluetooth};
use serde_json::Value;

use crate::interfaces::Estate;
use crate::message::{CaptureId, Event, StreamId};

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
    /// Control a sound of this speaker alone, in its own mixer.
    Sound(SoundCommand),
    /// Control the microphone.
    Capture(CaptureCommand),
    /// Colour the content from now on.
    Equalize(Equalizer),
    /// Ask the machine's Bluetooth adapter.
    Bluetooth(bluetooth::Command),
    /// Fetch a file to be played later, also without network and after a restart; answered by
    /// [`Signal::Fetched`](crate::signal::Signal::Fetched). One that is there already is not fetched again.
    Fetch {
        /// The name it is played by.
        asset: AssetId,
        /// Where it is.
        url: String,
    },
    /// Forget a fetched file, or one being fetched.
    Discard(AssetId),
    /// Keep a value durably, to be handed back in [`DeviceConfig::stored`](crate::device::DeviceConfig::stored).
    Store {
        /// The name it is handed back under, `interface.value`.
        key: String,
        /// Any JSON; `null` forgets it.
        value: Value,
        /// Wanted: [`Signal::Stored`](crate::signal::Signal::Stored) when it is on disk, or will not get there.
        receipt: Option<Receipt>,
    },
    /// Tell the cloud this device's capabilities again: its picture of them proved wrong.
    Redeclare,
    /// Give up the account: close the connection, erase tokens and all that belongs to it. Answered by
    /// [`DeviceInput::LoggedOut`](crate::device::DeviceInput::LoggedOut).
    LogOut,
}

/// A claim on a stored value; never used twice by a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(pub u64);

/// A fetched file: letters, digits, `.`, `-`, `_` and `/`, never a path of its own making.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetId(pub String);

/// What a sound of this speaker alone is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SoundCommand {
    /// Open and buffer, silently; wakes the endpoint where it sleeps.
    Prepare {
        /// Its name from now on.
        id: SoundId,
        /// Where it is.
        source: SoundSource,
    },
    /// Make a prepared sound heard. A voice has one sound at a time: an earlier one ends by `Stop`, by itself, or
    /// is the one this follows.
    Play {
        /// Which.
        id: SoundId,
        /// When.
        start: SoundStart,
    },
    /// End and forget a sound, whether prepared, playing or unknown. No answer is expected.
    Stop {
        /// Which.
        id: SoundId,
    },
    /// How loud alerts and notifications are, from now on ([`Voice::Dialog`] is heard at the Speaker volume).
    AlertVolume(Volume),
    /// The voice's next sound begins in silence and comes up in a straight line over this time, through whatever
    /// follows it.
    Swell {
        /// Whose.
        voice: Voice,
        /// How long.
        over: Duration,
    },
}

/// When a sound begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoundStart {
    /// As soon as possible.
    Now,
    /// Its first sample is due at that moment, or as soon as possible when that is too near.
    At(HubTime),
    /// At the very sample where another sound of the same voice ends by itself, and a pause after it.
    After {
        /// That sound.
        id: SoundId,
        /// Silence between them.
        pause: Duration,
    },
}

/// Where a sound is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SoundSource {
    /// In an attachment (`cid:` URL), MP3 always; played while it still arrives.
    Attachment {
        /// The response that brought the directive.
        stream: StreamId,
        /// The part's Content-ID, without angle brackets.
        content_id: String,
    },
    /// Behind a URL.
    Media(Media),
    /// In a file that was fetched.
    Asset(AssetId),
    /// Made here.
    BuiltIn(BuiltIn),
}

/// What the microphone is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureCommand {
    /// Open this speaker's own microphone; answered by [`SpeechNews::Begun`](crate::signal::SpeechNews::Begun).
    Open,
    /// Close it: nothing more is uploaded, the upload is finished properly.
    Close(CaptureId),
}

/// One stream of the content; never used twice by a device. AudioPlayer counts its Plays from 1; whoever else names
/// streams has a range of its own (Bluetooth from 1 << 29), so that names never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayerId(pub u64);

impl PlayerId {
    /// From here on the coordinator names streams that a device takes over ([`Estate::rename`]).
    pub const INHERITED: u64 = 1 << 32;
    /// From here on Alexa.InputController counts.
    pub const INPUT: u64 = 1 << 48;
}

/// What the player of a speaker's content is asked to do.
#[derive(Clone, Debug, PartialEq)]
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
    /// End what is heard here though it is none of this device's AudioPlayer: a person told this one to stop, and in that
    /// room it is what must stop. No answer is expected; its owner is told that a person stopped it.
    Silence,
    /// What another speaker takes over when this one leaves its group or dies. The latest counts; an empty one is none.
    Bequeath(Box<Estate>),
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
    /// One of the hub's inputs, by its name (Alexa.InputController).
    Input(String),
    /// What a connected Bluetooth device plays.
    Bluetooth(bluetooth::DeviceId),
}
