//! Every message between actors, one struct each.

mod receiver;
mod voice;

use actix::prelude::{Message, Recipient};
use antiphon_avs::effect::{PlayerCommand, PlayerId};
use antiphon_avs::message::CaptureId;
use antiphon_avs::signal::{PlayerNews, Signal, Wish};
use antiphon_discovery::DiscoveryEvent;
use antiphon_domain::group::Target;
use antiphon_domain::house::{House, HouseError};
use antiphon_domain::media::Media;
use antiphon_domain::{GroupId, HubTime, Level, LevelCommand, Offset, Report, Secret, SpeakerId, Volume};
use antiphon_endpoint::{Descriptor, EndpointEvent};
use antiphon_render::{ByteReader, Feed, FeedEvent, OutputEvent};
use antiphon_store::SpeakerRecord;
use tokio::sync::oneshot;

use crate::reach::Reach;
use crate::requests::{AuthorizationAnswer, AuthorizationRequest, Grant, ListenRequest};
use crate::snapshot::{Snapshot, SpeakerView};

pub use receiver::*;
pub use voice::*;

/// A sign of life, asked by the hub of each child. Silence means it is made anew.
#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Heartbeat;

/// A wish about loudness, by whatever road it came. To the coordinator.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), HouseError>")]
pub struct ChangeLevel {
    /// Whom it is for.
    pub target: Target,
    /// What is wished.
    pub command: LevelCommand,
    /// Whether AVS asked: then the speaker it asked answers even when nothing changed.
    pub by_directive: bool,
    /// When the directive's last byte was read.
    pub received: Option<HubTime>,
}

/// A member's share of a fan-out. From the coordinator to a speaker; an older version than the last is ignored.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct ApplyLevel {
    /// Grows with every command in the house.
    pub version: u64,
    /// What to play at.
    pub level: Level,
    /// The AVS events this owes.
    pub report: Report,
    /// Whether a person asked for this level just now (then it needs no caution).
    pub asked: bool,
    /// When the directive's last byte was read.
    pub received: Option<HubTime>,
}

/// What a speaker is to listen to. From the coordinator to a speaker.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub enum Listen {
    /// This feed, from now on.
    To(Feed),
    /// This feed, which its output hears already because it follows the last one without a gap.
    Follow(Feed),
    /// Nothing.
    Nothing,
}

/// News for a speaker's device machine. From the coordinator to a speaker.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Tell(pub Signal);

impl Tell {
    /// News about one of the device's own streams.
    pub fn player(id: PlayerId, news: PlayerNews) -> Self {
        Self(Signal::Player(id, news))
    }
}

/// A speaker introduces itself. To the coordinator, which answers with its level and what to listen to.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct Enlist {
    /// Who.
    pub speaker: SpeakerId,
    /// Its name.
    pub name: String,
    /// The bound on its volume.
    pub ceiling: Volume,
    /// When it is heard, as configured.
    pub offset: Offset,
    /// How early its blocks must come.
    pub reach: Reach,
    /// Where its share of a fan-out goes.
    pub apply: Recipient<ApplyLevel>,
    /// Where it learns what to listen to.
    pub listen: Recipient<Listen>,
    /// Where its device machine hears of its streams.
    pub tell: Recipient<Tell>,
    /// Where it learns who rings for whom.
    pub ring: Recipient<Ring>,
    /// Where it learns when it is to be heard.
    pub time: Recipient<Timing>,
    /// Where it learns what its group hears.
    pub show: Recipient<Now>,
}

/// What a device machine asks of the player. From a speaker to the coordinator.
#[derive(Message)]
#[rtype(result = "()")]
pub struct PlayerOrder {
    /// Whose device.
    pub speaker: SpeakerId,
    /// What it asks.
    pub command: PlayerCommand,
    /// The bytes of the attachment it names, where it names one that is there.
    pub attachment: Option<ByteReader>,
    /// When the directive's last byte was read.
    pub received: Option<HubTime>,
}

/// News of a feed. From the render thread to the coordinator.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct FeedNews {
    /// The content it belongs to.
    pub content: u64,
    /// What happened.
    pub event: FeedEvent,
}

/// A person plays something without AVS. To the coordinator.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), HouseError>")]
pub struct PlayMedia {
    /// Where it is to be heard: a group, or the group a speaker is in.
    pub target: Target,
    /// What.
    pub media: Media,
}

/// A person stops what a group plays. To the coordinator.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), HouseError>")]
pub struct StopContent {
    /// Where.
    pub target: Target,
}

/// A person changes who is with whom. To the coordinator.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), HouseError>")]
pub enum Regroup {
    /// These speakers are this group from now on.
    Form {
        /// Its id.
        id: GroupId,
        /// Its name.
        name: String,
        /// Its members.
        speakers: Vec<SpeakerId>,
    },
    /// This speaker is alone from now on.
    Leave(SpeakerId),
    /// Nobody is in this group any more.
    Dissolve(GroupId),
}

/// The state of a speaker as surfaces show it; what the coordinator knows better (level, group) it fills in.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct Publish(pub Box<SpeakerView>);

/// The whole picture, please. To the coordinator.
#[derive(Clone, Copy, Message)]
#[rtype(result = "Snapshot")]
pub struct GetSnapshot;

/// The same by way of the hub, which says when there is nobody to ask.
#[derive(Clone, Copy, Message)]
#[rtype(result = "Result<Snapshot, HouseError>")]
pub struct Look;

/// Gives the house as it is now. To the coordinator, from tests and the archive.
#[derive(Clone, Copy, Message)]
#[rtype(result = "House")]
pub struct GetHouse;

/// News from a speaker's endpoint. From its driver to the speaker.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct EndpointNews {
    /// Which session; news of an earlier one is stale.
    pub session: u64,
    /// What happened.
    pub event: EndpointEvent,
}

/// News from a speaker's output. From the render thread to the speaker.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct OutputNews {
    /// Which session; news of an earlier one is stale.
    pub session: u64,
    /// What happened.
    pub event: OutputEvent,
}

/// Where a speaker's endpoint is now, and whether it is there. From the hub to a speaker.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub enum Whereabouts {
    /// It is there.
    Present(Descriptor),
    /// It was not found since that moment. A hint: a session that plays goes on.
    Unreachable(HubTime),
}

/// News from discovery. To the hub.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Discovered(pub DiscoveryEvent);

/// A session with this speaker's endpoint failed. To the discovery actor.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct SessionLost(pub SpeakerId);

/// A person links a speaker to an Amazon account. To the hub, which passes it on.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), HouseError>")]
pub struct StartLogin(pub SpeakerId);

/// A person logs a speaker in otherwise than by a code. To the hub, which passes it on.
#[derive(Debug, Message)]
#[rtype(result = "Result<AuthorizationRequest, HouseError>")]
pub struct BeginAuthorization {
    /// Whom.
    pub speaker: SpeakerId,
    /// Where Login with Amazon sends the person back to.
    pub redirect_uri: String,
    /// Which road.
    pub kind: Grant,
}

/// What Login with Amazon gave. To the hub, which passes it on.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), HouseError>")]
pub struct Authorize {
    /// Whom.
    pub speaker: SpeakerId,
    /// What.
    pub answer: AuthorizationAnswer,
}

/// A person gives up the account of a speaker. To the hub, which passes it on; answered when all is erased.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), HouseError>")]
pub struct EndAccount(pub SpeakerId);

/// A speaker will be forgotten: Alexa is told that its device is no more, then its account is given up. From the hub;
/// answered when all is erased, or could not be.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Retire;

/// A person wishes something of a speaker's device. To the hub, which passes it on.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), HouseError>")]
pub struct TellSpeaker {
    /// Whom.
    pub speaker: SpeakerId,
    /// What.
    pub wish: Wish,
}

/// Somebody speaks to a speaker. To the hub, which passes it on.
#[derive(Debug, Message)]
#[rtype(result = "Result<CaptureId, HouseError>")]
pub struct Hear {
    /// To whom.
    pub speaker: SpeakerId,
    /// The sound and what is known of it.
    pub request: ListenRequest,
}

/// A person forgets a speaker for good. To the hub.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), HouseError>")]
pub struct Forget(pub SpeakerId);

/// The coordinator is a new one. From the hub to each speaker, which introduces itself.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct Meet(pub CoordinatorRoads);

/// Every road to the coordinator that a speaker uses.
#[derive(Clone)]
pub struct CoordinatorRoads {
    /// Introductions.
    pub enlist: Recipient<Enlist>,
    /// Wishes about loudness.
    pub levels: Recipient<ChangeLevel>,
    /// Orders of its device machine.
    pub orders: Recipient<PlayerOrder>,
    /// Its state.
    pub publish: Recipient<Publish>,
    /// That it sounds.
    pub heard: Recipient<Heard>,
    /// That its alert does not.
    pub distress: Recipient<Distress>,
    /// What somebody did at its device.
    pub at_device: Recipient<AtDevice>,
    /// That its endpoint can do something else.
    pub reaches: Recipient<Reaches>,
}

/// Sound is heard at a speaker: its volume is known. To the coordinator.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Heard(pub SpeakerId);

/// Save the house; a later one within the debounce replaces it. To the archive.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct SaveHouse(pub House);

/// Write what waits to be saved; answered when it is on disk. To the archive.
#[derive(Clone, Message)]
#[rtype(result = "bool")]
pub struct Settle;

/// Save a speaker. To the archive.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct SaveSpeaker(pub SpeakerRecord);

/// Erase a speaker. To the archive.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct EraseSpeaker(pub SpeakerId);

/// Save a secret; answered when it is on disk. To the archive.
#[derive(Clone, Message)]
#[rtype(result = "bool")]
pub struct SaveSecret {
    /// Whose.
    pub speaker: SpeakerId,
    /// Which (`antiphon_store::secret_name`).
    pub name: &'static str,
    /// The secret.
    pub secret: Secret,
}

/// Keep a value of a device machine. To the archive, which keeps those of one speaker in order.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SaveDevice {
    /// Whose.
    pub speaker: SpeakerId,
    /// The name it is handed back under.
    pub key: String,
    /// It; `null` forgets it.
    pub value: serde_json::Value,
    /// Told whether it is on disk. Not by a message: a full mailbox must not lose it.
    pub saved: Option<oneshot::Sender<bool>>,
}

/// Erase the secrets of a speaker and all that its device stored; answered when it is done. To the archive.
#[derive(Clone, Message)]
#[rtype(result = "bool")]
pub struct EraseAccount(pub SpeakerId);

/// What the archive remembers of a speaker's machine and account; `None`: it cannot be read now, ask again. To the archive.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<Remembered>")]
pub struct Recall(pub SpeakerId);

/// What is remembered of a speaker.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// The refresh token in force, where there is one.
    pub refresh_token: Option<Secret>,
    /// The gateway AVS moved it to.
    pub gateway: Option<String>,
    /// What was declared to AVS last.
    pub declared: Option<String>,
    /// What its device machine stored.
    pub stored: std::collections::BTreeMap<String, serde_json::Value>,
}

/// End: free what is held, then stop. From the hub to its children; the archive answers when all is on disk.
#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Close;

/// The groups and levels as archived last. To the archive.
#[derive(Clone, Copy, Message)]
#[rtype(result = "House")]
pub struct RecallHouse;
