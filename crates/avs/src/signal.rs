//! What the world tells a device machine.

use std::time::Duration;

use antiphon_domain::equalizer::{Band, Mode};
use antiphon_domain::media::MediaError;
use antiphon_domain::sound::SoundId;
use antiphon_domain::{HubTime, Level, Report, SampleRate, Volume, bluetooth};

use crate::effect::{AssetId, PlayerId, Receipt};
use crate::interfaces::Estate;
use crate::message::CaptureId;
use crate::session::EventOutcome;

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
    /// How early its sound must be ordered from now on.
    Lead(Duration),
    /// This speaker hears somebody else's content from now on.
    ContentTaken,
    /// A person stopped the content here.
    ContentStopped,
    /// This speaker leads its group's content from now on: its streams are this device's, going on without a gap.
    Inherit(Box<Estate>),
    /// News about a sound of this speaker alone.
    Sound(SoundId, SoundNews),
    /// Somebody speaks, or the microphone has news.
    Speech(SpeechNews),
    /// A file was fetched, or why it could not be.
    Fetched(AssetId, Result<(), String>),
    /// A value is on disk (`true`), or the disk did not take it.
    Stored(Receipt, bool),
    /// What became of an event that was posted.
    Outcome {
        /// Its messageId.
        message_id: String,
        /// What became of it.
        outcome: EventOutcome,
    },
    /// The whole response to an event has come; no directive follows from it.
    Answered {
        /// The event's messageId.
        message_id: String,
    },
    /// News from the machine's Bluetooth adapter.
    Bluetooth(bluetooth::News),
    /// A person did something with this speaker.
    UserActivity,
    /// A person's wish, made at a surface of the hub.
    Wish(Wish),
}

/// What a person may wish of a speaker's device, at any surface.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Press a key of a remote control: the cloud decides what it does (PlaybackController).
    Button(Button),
    /// Turn a switch of a remote control.
    Toggle(Toggle, bool),
    /// Silence what rings.
    StopAlert,
    /// Be this loud with alerts.
    AlertVolume(Volume),
    /// Let alarms come up slowly, or not.
    AlarmRamp(bool),
    /// Set these bands, dB.
    Bands(Vec<(Band, i64)>),
    /// Select a preset, or none.
    EqualizerMode(Option<Mode>),
    /// Play one of the hub's inputs, by name.
    SelectInput(String),
    /// Speak this locale, or ordered combination of locales.
    Locales(Vec<String>),
    /// Live in this time zone (an IANA name).
    TimeZone(String),
    /// Listen for these wake words.
    WakeWords(Vec<String>),
    /// Sound a tone when listening begins, or not.
    WakeWordTone(bool),
    /// Sound a tone when the request was heard, or not.
    SpeechTone(bool),
    /// Stop listening: the button was released, or pressed again.
    StopListening,
    /// Put the card away.
    DismissCard,
    /// Stop whatever is in front: speech, an alert, content. Needs no network.
    StopForeground,
}

/// A key of a remote control (PlaybackController 1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Button {
    /// Play.
    Play,
    /// Pause.
    Pause,
    /// The next track.
    Next,
    /// The previous track.
    Previous,
    /// Forward by what the provider thinks right.
    SkipForward,
    /// Back by what the provider thinks right.
    SkipBackward,
}

/// A switch of a remote control (PlaybackController 1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Toggle {
    /// Any order.
    Shuffle,
    /// The list again and again.
    Loop,
    /// This track again and again.
    Repeat,
    /// I like it.
    ThumbsUp,
    /// I do not.
    ThumbsDown,
}

/// What became of a sound of this speaker alone.
#[derive(Clone, Debug, PartialEq)]
pub enum SoundNews {
    /// When its first sample will be heard is settled.
    Scheduled {
        /// The due time.
        at: HubTime,
    },
    /// Its first sample fell due.
    Started {
        /// The due time.
        at: HubTime,
    },
    /// Its last sample fell due, by itself; it is forgotten.
    Finished,
    /// It cannot be played (on); it is forgotten. Also for one that is only prepared.
    Failed(MediaError),
    /// The way it was heard on is gone, or was before it was heard; it is forgotten. Nothing is wrong with the sound.
    Lost,
    /// Its attachment never came; it is forgotten.
    Unattached,
}

/// Somebody speaks to this speaker.
#[derive(Clone, Debug, PartialEq)]
pub enum SpeechNews {
    /// Sound comes from a microphone or a surface, under this name.
    Begun(Utterance),
    /// Nothing more comes: the button was released, the file is over, the microphone vanished.
    Ended {
        /// Which.
        id: CaptureId,
    },
    /// A microphone that was to be opened cannot be.
    NoMicrophone(String),
}

/// What begins a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Utterance {
    /// Its sound's name.
    pub id: CaptureId,
    /// Why it began.
    pub initiator: Initiator,
    /// How far away the speaker is.
    pub profile: Profile,
    /// How it is coded.
    pub format: SpeechFormat,
    /// Loudness of voice and of room, where a wake word engine measured them (spatial perception).
    pub energies: Option<(f64, f64)>,
}

/// Why a request began (SpeechRecognizer 2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// A button is held down.
    PressAndHold,
    /// A button was pressed.
    Tap,
    /// A wake word was heard.
    WakeWord {
        /// The word, upper case, e.g. `ALEXA`.
        word: String,
        /// Where it begins and ends in the sound, in samples; `None` without enough sound before it.
        indices: Option<(u64, u64)>,
    },
    /// The device listens by itself, because the cloud expects an answer.
    Expected,
}

/// The microphone's distance (SpeechRecognizer 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// 0 to 75 cm; the client says when speech ends.
    CloseTalk,
    /// To 1.5 m; the cloud says when speech ends.
    NearField,
    /// To 6 m; the cloud says when speech ends.
    FarField,
}

/// How speech is coded (SpeechRecognizer 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeechFormat {
    /// 16 kHz 16 bit mono little-endian.
    Pcm,
    /// Opus, 16 kHz mono, hard constant rate, 20 ms frames, no container.
    Opus,
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
    /// Another speaker's content, or a person's, took its place; the player has forgotten it. Also for one that is only
    /// prepared.
    Taken,
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
