//! Messages about what is heard and said at one speaker, beside the content of its group.

use actix::prelude::Message;
use antiphon_avs::effect::AssetId;
use antiphon_avs::message::CaptureId;
use antiphon_domain::sound::{BuiltIn, SoundId};
use antiphon_domain::{SpeakerId, bluetooth};
use antiphon_render::SoundEvent;

/// News of the link waits. From its task to the speaker.
#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct LinkWaits;

/// News from the machine's Bluetooth adapter. To the speaker it belongs to.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct BluetoothNews(pub bluetooth::News);

/// News of a sound. From the render thread to the speaker whose it is.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct SoundEvents {
    /// Which.
    pub id: SoundId,
    /// What happened.
    pub event: SoundEvent,
}

/// A file was fetched, or why not. To the speaker that asked.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct FetchNews {
    /// Which.
    pub asset: AssetId,
    /// What went wrong, in words.
    pub result: Result<(), String>,
}

/// News of an utterance. From the capture to the speaker.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct CaptureNews {
    /// Which.
    pub id: CaptureId,
    /// What happened.
    pub what: CaptureTold,
}

/// What happened to an utterance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaptureTold {
    /// The first sound is here.
    Begun,
    /// Nothing more comes.
    Ended,
    /// The microphone cannot be opened, or vanished.
    Failed(String),
    /// The link takes no more.
    Unwanted,
}

/// An alert is not heard where it should be. From speakers to the coordinator.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub enum Distress {
    /// Somebody else must ring.
    Calls {
        /// Whose alert.
        speaker: SpeakerId,
        /// What it sounds like.
        tone: BuiltIn,
    },
    /// It is heard where it should be, or over.
    Over {
        /// Whose.
        speaker: SpeakerId,
    },
    /// A speaker that was asked rings, or cannot.
    Rings {
        /// Who was asked.
        ringer: SpeakerId,
        /// Whose alert.
        whom: SpeakerId,
        /// Whether it is heard.
        heard: bool,
    },
    /// Somebody stopped it where it rang for another.
    Silence {
        /// Whose alert.
        whom: SpeakerId,
    },
}

/// Who rings for whom. From the coordinator to a speaker.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub enum Ring {
    /// Ring an alert of another speaker; answered by [`Distress::Rings`].
    For {
        /// Whose.
        whom: SpeakerId,
        /// What it sounds like.
        tone: BuiltIn,
    },
    /// Ring it no more.
    Hush,
    /// Your alert is rung by this speaker; `None`: by nobody (any more).
    By(Option<SpeakerId>),
}
