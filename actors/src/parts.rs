//! What the actors are built from; put together by `src/wiring.rs`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use antiphon_discovery::DiscoveryConfig;
use antiphon_domain::{GroupId, HubTime, Moment, Offset, Secret, SpeakerId, Volume};
use antiphon_endpoint::{Clock, Kind};
use antiphon_link::{LinkConfig, LinkContext};
use antiphon_render::Renderer;

use crate::metrics::Metrics;
use crate::requests::{BluetoothAdapter, HubInput};

/// Dependencies and settings shared by every actor.
pub struct Parts {
    /// The hub's one clock.
    pub clock: Arc<dyn Clock>,
    /// Every endpoint kind.
    pub kinds: Vec<Arc<dyn Kind>>,
    /// Where sound is rendered.
    pub renderer: Renderer,
    /// What links share.
    pub links: Arc<LinkContext>,
    /// The runtime of links, endpoints and discovery.
    pub runtime: tokio::runtime::Handle,
    /// Where discovery registers its figures; the actors' own are in `metrics`.
    pub registry: prometheus::Registry,
    /// The actors' figures.
    pub metrics: Metrics,
    /// Where to look for speakers.
    pub discovery: DiscoveryConfig,
    /// The database file.
    pub database: PathBuf,
    /// The folder of fetched files (sounds of alerts); made where it is not there.
    pub assets: PathBuf,
    /// The inputs every speaker may play.
    pub inputs: Vec<HubInput>,
    /// The machine's Bluetooth adapter, where the hub uses one.
    pub bluetooth: Option<Arc<dyn BluetoothAdapter>>,
    /// Whether a volume spoken to one speaker moves its group.
    pub voice_moves_group: bool,
    /// Whether content may go on quietly under speech; otherwise it pauses.
    pub ducking: bool,
    /// The locales every speaker may be asked in; the first is in force until another is chosen.
    pub locales: Vec<String>,
    /// What the configuration says of a speaker.
    pub settings: Box<dyn Fn(&SpeakerId) -> SpeakerSettings + Send + Sync>,
    /// Groups to form when the hub has never seen them: id, name, speakers.
    pub groups: Vec<(GroupId, String, Vec<SpeakerId>)>,
    /// Groups that are quick unless a person said otherwise.
    pub low_latency: BTreeSet<GroupId>,
}

impl Parts {
    /// The moment now.
    pub fn now(&self) -> HubTime {
        self.clock.now()
    }

    /// The moment now, on both clocks. The one place where the calendar is read.
    pub fn moment(&self) -> Moment {
        Moment { hub: self.clock.now(), wall: std::time::SystemTime::now().into() }
    }

    /// The kind of that name.
    pub fn kind(&self, name: &str) -> Option<&Arc<dyn Kind>> {
        self.kinds.iter().find(|k| k.name() == name)
    }
}

/// What the configuration says of one speaker.
#[derive(Clone, Debug)]
pub struct SpeakerSettings {
    /// Its name, where one is set.
    pub name: Option<String>,
    /// The place it stands in.
    pub zone: Option<String>,
    /// The bound on its volume.
    pub ceiling: Volume,
    /// How much later than everybody else it is heard, unless a person said otherwise.
    pub offset: Offset,
    /// How it reaches AVS; `Err` says what is missing.
    pub link: Result<LinkConfig, String>,
    /// A first refresh token.
    pub refresh_token: Option<Secret>,
    /// Its own microphone in GStreamer's words, e.g. `alsasrc device=hw:1`; from the configuration alone.
    pub microphone: Option<String>,
    /// Whether the machine's Bluetooth adapter is its.
    pub bluetooth: bool,
}
