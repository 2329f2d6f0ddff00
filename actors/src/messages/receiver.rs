//! Messages about receivers: when they are heard, what they show, what people do at them.

use std::sync::Arc;

use actix::prelude::Message;
use antiphon_domain::group::Target;
use antiphon_domain::house::HouseError;
use antiphon_domain::{Offset, SpeakerId, Volume};
use antiphon_endpoint::{Artwork, Button, NowPlaying, Pace};

use crate::reach::Reach;

/// When a speaker is to be heard. From the coordinator to a speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Timing {
    /// So much later than everybody else, at once.
    pub offset: Offset,
    /// How its next session is opened.
    pub pace: Pace,
}

/// What a speaker's endpoint can do is another thing than it said before. To the coordinator.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Reaches {
    /// Whose.
    pub speaker: SpeakerId,
    /// It.
    pub reach: Reach,
}

/// What a speaker's group hears, for its receiver to show. From the coordinator to a speaker.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct Now(pub Arc<NowPlaying>);

/// A picture has come, or will not. From a fetch to the coordinator.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct PictureNews {
    /// Where it was asked for.
    pub url: String,
    /// It, where it is one.
    pub artwork: Option<Artwork>,
}

/// Somebody did something at a speaker's device. To the coordinator.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct AtDevice {
    /// At whose.
    pub speaker: SpeakerId,
    /// What.
    pub done: Done,
}

/// What somebody did at a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Turned its volume.
    Turned(Volume),
    /// Muted it, or let it be heard again.
    Muted(bool),
    /// Pressed a button, which means what its group hears.
    Pressed(Button),
}

/// A person sets when a speaker is heard. To the coordinator.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), HouseError>")]
pub struct SetOffset {
    /// Whom.
    pub speaker: SpeakerId,
    /// So much later than everybody else.
    pub offset: Offset,
}

/// A person wants a group to be quick, or no longer. To the coordinator.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), HouseError>")]
pub struct SetLowLatency {
    /// The group, or the one a speaker is in.
    pub target: Target,
    /// Whether.
    pub on: bool,
}
