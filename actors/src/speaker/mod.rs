//! A speaker: one AVS device with its own connection, one mixer output and one endpoint.
//!
//! The shell around [`Device`]: `link` carries directives in (`inbox`, `attachments`) and events out, `levels` puts
//! loudness where it is heard, `news` is what the endpoint tells and `sync` how well it keeps time, `playback` opens the endpoint and attaches it to what its group hears, `sounds` plays what
//! is heard here alone and `ring` sees that alerts are, `timing` says when it is heard, `speech` listens, `assets` and `storage` keep, `account` comes
//! and goes, `wake` is the one timer.

mod account;
mod assets;
mod attachments;
mod effects;
mod inbox;
mod levels;
mod link;
mod news;
mod playback;
mod ring;
mod sounds;
mod speech;
mod storage;
mod sync;
mod timing;
mod wake;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use actix::prelude::*;
use antiphon_avs::device::{Device, DeviceConfig, DeviceInput};
use antiphon_avs::picture::Picture;
use antiphon_avs::signal::Signal;
use antiphon_domain::{HubTime, Lead, Level, SpeakerId, Volume};
use antiphon_endpoint::{Descriptor, Kind, NowPlaying, Pace};
use antiphon_link::{LinkHandle, Stack};
use tokio::sync::oneshot;
use tracing::warn;

use crate::messages::*;
use crate::parts::{Parts, SpeakerSettings};
use crate::post;
use crate::reach::Reach;
use crate::snapshot::{EndpointView, LinkView, SpeakerView};
use playback::Playback;

/// Reverse-DNS name and version that AudioPlayer's fingerprint and SoftwareInfo carry.
const PACKAGE: &str = "io.antiphon.hub";
const FIRMWARE: u32 = 1;
/// News kept for a device machine that is still being remembered.
const EARLY: usize = 256;

/// The actor.
pub struct Speaker {
    parts: Arc<Parts>,
    id: SpeakerId,
    descriptor: Descriptor,
    kind: Arc<dyn Kind>,
    settings: SpeakerSettings,
    roads: CoordinatorRoads,
    archive: ArchiveRoads,
    finder: Recipient<SessionLost>,
    device: Device,
    /// The archive's answer is here: the device machine is the real one.
    begun: bool,
    /// News that came before.
    early: Vec<Signal>,
    link: Option<LinkHandle>,
    level: Level,
    version: u64,
    /// How early its blocks must come.
    reach: Reach,
    /// When it is to be heard.
    timing: Timing,
    /// What its group hears.
    now: Option<Arc<NowPlaying>>,
    /// Levels in force, with the moment they were set, that Alexa and the surfaces are not told of yet.
    unreported: VecDeque<(ApplyLevel, HubTime)>,
    playback: Playback,
    inbox: inbox::Inbox,
    attachments: attachments::Attachments,
    /// Attachments that wait are being looked after.
    tidying: bool,
    voices: sounds::Voices,
    ringing: ring::Ringing,
    ears: speech::Ears,
    assets: assets::Assets,
    /// News for the machine that an effect brought at once: told when all effects are carried out.
    echoes: VecDeque<Signal>,
    /// Who waits for the account to be gone.
    leaving: Vec<oneshot::Sender<bool>>,
    /// When the directive being handled was received.
    received: Option<HubTime>,
    wake: wake::Wake,
    view: SpeakerView,
}

/// What the device machine of this speaker needs to know from the beginning.
fn device_config(
    parts: &Parts,
    settings: &SpeakerSettings,
    lead: Lead,
    level: Level,
    stored: BTreeMap<String, serde_json::Value>,
) -> DeviceConfig {
    DeviceConfig {
        level,
        firmware_version: FIRMWARE,
        package: PACKAGE.into(),
        lead: lead.0,
        inputs: parts.inputs.iter().map(|i| (i.name.clone(), i.friendly_names.clone())).collect(),
        microphone: settings.microphone.is_some(),
        bluetooth: parts.bluetooth.is_some() && settings.bluetooth,
        legacy: settings.link.as_ref().is_ok_and(|link| link.stack == Stack::Legacy),
        ducking: parts.ducking,
        locales: parts.locales.clone(),
        stored,
        ..DeviceConfig::default()
    }
}

/// The roads to the archive that a speaker uses.
#[derive(Clone)]
pub struct ArchiveRoads {
    /// What is remembered.
    pub recall: Recipient<Recall>,
    /// Secrets to keep.
    pub secret: Recipient<SaveSecret>,
    /// Device state to keep.
    pub device: Recipient<SaveDevice>,
    /// An account to erase.
    pub account: Recipient<EraseAccount>,
}

impl Speaker {
    /// A speaker at this endpoint; `present` is false when it is only remembered.
    pub fn new(
        parts: Arc<Parts>,
        descriptor: Descriptor,
        present: bool,
        kind: Arc<dyn Kind>,
        roads: CoordinatorRoads,
        archive: ArchiveRoads,
        finder: Recipient<SessionLost>,
    ) -> Self {
        let id = descriptor.id.clone();
        let settings = (parts.settings)(&id);
        let level = Level { volume: Volume::SAFE, muted: false };
        let view = SpeakerView {
            id: id.clone(),
            name: settings.name.clone().unwrap_or_else(|| descriptor.name.clone()),
            zone: settings.zone.clone(),
            kind: kind.name(),
            volume: None,
            muted: false,
            ceiling: settings.ceiling,
            group: None,
            offset_ms: settings.offset.millis(),
            sync: None,
            endpoint: EndpointView::default(),
            link: LinkView {
                state: "off",
                why: settings.link.as_ref().err().cloned(),
                ..LinkView::default()
            },
            trouble: None,
            playing: false,
            level_dbfs: None,
            device: Picture::default(),
            microphone: settings.microphone.is_some(),
            rings_for: None,
            rung_by: None,
            unheard: false,
        };
        let (reach, timing) = (Reach::of(kind.as_ref(), &descriptor), timing::first(settings.offset));
        let lead = reach.lead(Pace::Steady, timing.offset);
        let device = Device::new(device_config(&parts, &settings, lead, level, BTreeMap::new()));
        let assets = assets::Assets::new(&parts.assets, &id);
        Self {
            playback: Playback::new(present),
            parts,
            id,
            descriptor,
            kind,
            settings,
            roads,
            archive,
            finder,
            device,
            begun: false,
            early: Vec::new(),
            link: None,
            level,
            version: 0,
            reach,
            timing,
            now: None,
            unreported: VecDeque::new(),
            inbox: inbox::Inbox::default(),
            attachments: attachments::Attachments::default(),
            tidying: false,
            voices: sounds::Voices::default(),
            ringing: ring::Ringing::default(),
            ears: speech::Ears::default(),
            assets,
            echoes: VecDeque::new(),
            leaving: Vec::new(),
            received: None,
            wake: wake::Wake::default(),
            view,
        }
    }

    fn enlist(&self, ctx: &Context<Self>) {
        let enlist = Enlist {
            speaker: self.id.clone(),
            name: self.view.name.clone(),
            ceiling: self.settings.ceiling,
            offset: self.settings.offset,
            reach: self.reach,
            apply: ctx.address().recipient(),
            listen: ctx.address().recipient(),
            tell: ctx.address().recipient(),
            ring: ctx.address().recipient(),
            time: ctx.address().recipient(),
            show: ctx.address().recipient(),
        };
        if post::tell(&self.roads.enlist, enlist, &self.parts.metrics).is_err() {
            warn!(speaker = %self.id, "the coordinator did not take the introduction");
        }
    }

    fn show_info(&self) {
        let info = &self.parts.metrics.info;
        // A speaker that was renamed is one speaker still.
        let zone = self.view.zone.as_deref().unwrap_or("");
        info.with_label_values(&[self.id.as_str(), &self.view.name, zone, self.kind.name()]).set(1);
        let id = [self.id.as_str()];
        self.parts.metrics.playing.with_label_values(&id).set(0);
        self.parts.metrics.meter.with_label_values(&id).set(-120.0);
    }

    fn publish(&self) {
        // Counted when refused; the next change publishes again.
        let _ = post::tell(&self.roads.publish, Publish(Box::new(self.view.clone())), &self.parts.metrics);
    }
}

impl Actor for Speaker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(1024);
        self.show_endpoint();
        self.show_info();
        self.enlist(ctx);
        self.publish();
        let recalled = storage::recalled(self.archive.recall.clone(), self.id.clone());
        ctx.spawn(recalled.into_actor(self).map(|remembered, speaker, ctx| speaker.begin(remembered, ctx)));
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        if let Some(link) = self.link.take() {
            link.shutdown();
        }
    }
}

impl Speaker {
    /// What the archive remembers is here: the device machine and the link can begin.
    fn begin(&mut self, remembered: Remembered, ctx: &mut Context<Self>) {
        let lead = self.reach.lead(Pace::Steady, self.timing.offset);
        let stored = remembered.stored.clone();
        self.device = Device::new(device_config(&self.parts, &self.settings, lead, self.level, stored));
        self.begun = true;
        self.meet_adapter(ctx);
        self.voices.equalizer = self.device.picture(self.parts.moment()).equalizer;
        // It tells of its alerts' volume and files at once.
        self.drive(DeviceInput::Timeout, ctx);
        self.open_link(remembered, ctx);
        for signal in std::mem::take(&mut self.early) {
            self.drive(DeviceInput::Signal(signal), ctx);
        }
        self.publish();
    }
}

impl Handler<Tell> for Speaker {
    type Result = ();

    fn handle(&mut self, message: Tell, ctx: &mut Self::Context) {
        if !self.begun {
            // The machine that is here now will be replaced by the one that remembers.
            if self.early.len() < EARLY {
                self.early.push(message.0);
            }
            return;
        }
        self.drive(DeviceInput::Signal(message.0), ctx);
    }
}

impl Handler<Meet> for Speaker {
    type Result = ();

    fn handle(&mut self, message: Meet, ctx: &mut Self::Context) {
        self.roads = message.0;
        // A new coordinator counts from the archived version, which may be older than the last one seen here.
        self.version = 0;
        // Its contents are new ones too: the old one's streams end with it.
        self.listen(Listen::Nothing, ctx);
        self.drive(DeviceInput::Signal(Signal::ContentStopped), ctx);
        self.enlist(ctx);
        self.publish();
    }
}

impl Handler<Heartbeat> for Speaker {
    type Result = ();

    fn handle(&mut self, _: Heartbeat, ctx: &mut Self::Context) {
        // In case the mailbox had no room to say that something waits.
        self.read_inbox(ctx);
    }
}

impl Handler<Close> for Speaker {
    type Result = ();

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        // Dropping the session says farewell to the receiver.
        self.playback.session = None;
        self.parts.metrics.sync.erase(self.id.as_str(), self.kind.name());
        ctx.stop();
    }
}
