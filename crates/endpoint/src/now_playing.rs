//! What is heard, for receivers that show it on a display or tell it to their own surfaces.

use std::sync::Arc;
use std::time::Duration;

use antiphon_domain::{GroupId, HubTime, Volume};

/// What a speaker hears now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NowPlaying {
    /// Whether it goes on.
    pub state: PlayState,
    /// The title, where one is known.
    pub title: Option<String>,
    /// Who plays or sings.
    pub artist: Option<String>,
    /// The album or the station.
    pub album: Option<String>,
    /// Its picture.
    pub artwork: Option<Artwork>,
    /// A moment and the position in the stream heard then; the position moves on with time while it plays.
    pub position: Option<(HubTime, Duration)>,
    /// How long the stream is.
    pub length: Option<Duration>,
    /// The group that hears it.
    pub group: Option<GroupNow>,
}

/// Whether content goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlayState {
    /// There is none.
    #[default]
    Stopped,
    /// It waits.
    Paused,
    /// It is heard.
    Playing,
}

/// A picture as it was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artwork {
    /// `image/jpeg` or `image/png`.
    pub media_type: String,
    /// The file; at most some MiB, which whoever fetched it has seen to.
    pub bytes: Arc<[u8]>,
}

/// A speaker's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupNow {
    /// Its stable id.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// Its own slider.
    pub volume: Volume,
    /// Its own mute switch.
    pub muted: bool,
}
