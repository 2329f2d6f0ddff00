//! What a connected client does for the hub: its roles, as one machine.
//!
//! Sans-IO, driven by the connection's task: it hands in what the client says and what the hub wants, and sends what
//! [`Roles::poll`] yields, in order. Everything a client can do to the hub is an [`EndpointEvent`].

mod artwork;
mod controller;
mod group;
mod metadata;
mod metrics;
mod picture;
mod player;
#[cfg(test)]
mod tests;
mod visualizer;
mod words;

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_audio::Block;
use antiphon_domain::{HubTime, Lead};
use antiphon_endpoint::{Button, Control, EndpointEvent, LostReason, NowPlaying, Pace};
use serde_json::{Map, Value};

use self::artwork::Pictures;
use self::controller::Controller;
use self::group::Place;
use self::metadata::Metadata;
use self::player::Player;
use self::visualizer::Visualizer;

pub use self::player::{Shared, batch, blocks_last, number};
pub use self::words::{Client, Out, Told, lead};

/// Between two reports of blocks that came too late.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// One client's roles.
pub struct Roles {
    player: Player,
    controller: Option<Controller>,
    metadata: Option<Metadata>,
    pictures: Option<Pictures>,
    visualizer: Option<Visualizer>,
    place: Place,
    available: Option<bool>,
    /// A session of the hub, and whether it was told to be ready.
    session: Option<bool>,
    activated: bool,
    events: VecDeque<EndpointEvent>,
    late: u32,
    next_report: HubTime,
}

impl Roles {
    /// The roles of a client; an `Err` says why it cannot play for us.
    pub fn new(client: Client<'_>, shared: &Shared) -> Result<Self, String> {
        let has = |role: &str| client.roles.iter().any(|known| known == role);
        if !has("player@v1") {
            return Err("it plays no sound".into());
        }
        Ok(Self {
            player: Player::new(client.supports, shared)?,
            controller: has("controller@v1").then(Controller::default),
            metadata: has("metadata@v1").then(Metadata::default),
            pictures: has("artwork@v1").then(Pictures::default),
            visualizer: if has("visualizer@v1") { Visualizer::new(client.supports) } else { None },
            place: Place::new(client.id, client.name),
            available: None,
            session: None,
            activated: false,
            events: VecDeque::new(),
            late: 0,
            next_report: HubTime::EPOCH,
        })
    }

    /// The roles to activate.
    pub fn wanted(&self) -> Vec<String> {
        let mut wanted = vec!["player@v1"];
        let others = [
            (self.controller.is_some(), "controller@v1"),
            (self.metadata.is_some(), "metadata@v1"),
            (self.pictures.is_some(), "artwork@v1"),
            (self.visualizer.is_some(), "visualizer@v1"),
        ];
        wanted.extend(others.into_iter().filter(|(has, _)| *has).map(|(_, role)| role));
        wanted.into_iter().map(String::from).collect()
    }

    /// The roles are active: the client is owed the state of each.
    pub fn activated(&mut self) {
        self.activated = true;
        self.place.forget();
        if let Some(controller) = &mut self.controller {
            controller.forget();
        }
        if let Some(metadata) = &mut self.metadata {
            metadata.forget();
        }
    }

    /// A `client/state`; an `Err` says what is wrong with it. What was right of it counts nevertheless.
    pub fn state(&mut self, payload: &Map<String, Value>, now: HubTime) -> Result<(), String> {
        let available =
            payload.get("available").and_then(Value::as_bool).ok_or("no word of being available")?;
        let mut outcome = Ok(());
        if let Some(player) = payload.get("player") {
            match self.player.report(player, now) {
                Ok(turned) => {
                    self.events.extend(turned.volume.map(EndpointEvent::VolumeTurned));
                    self.events.extend(turned.muted.map(EndpointEvent::Muted));
                }
                Err(wrong) => outcome = Err(wrong),
            }
        }
        if let (Some(pictures), Some(artwork)) = (&mut self.pictures, payload.get("artwork")) {
            outcome = outcome.and(pictures.declared(artwork));
        }
        if let (Some(visualizer), Some(object)) = (&mut self.visualizer, payload.get("visualizer")) {
            outcome = outcome.and(visualizer.declared(object));
        }
        self.available = Some(available);
        self.settle();
        outcome
    }

    /// A `client/command`; an `Err` says what is wrong with it.
    pub fn command(&mut self, payload: &Map<String, Value>) -> Result<(), String> {
        let (Some(controller), Some(object)) = (&self.controller, payload.get("controller")) else {
            return Ok(());
        };
        let Some(button) = controller.pressed(object)? else { return Ok(()) };
        if button == Button::Play {
            self.place.come_back();
        }
        if self.session.is_some() {
            self.events.push_back(EndpointEvent::Pressed(button));
        }
        Ok(())
    }

    /// A `client/leave`.
    pub fn leave(&mut self) {
        self.place.leave();
        self.player.stop();
    }

    /// What it has told of itself.
    pub fn told(&self) -> Told {
        let report = self.player.reported();
        Told {
            available: self.available,
            output_delay: report.map(|report| report.output_delay).unwrap_or_default(),
            required_lead: report.map(|report| report.required_lead).unwrap_or_default(),
            min_buffer: report.map(|report| report.min_buffer).unwrap_or_default(),
        }
    }

    /// A session of the hub begins; `lead` is what was promised for it.
    pub fn begin(&mut self, pace: Pace, lead: Lead) {
        self.session = Some(false);
        self.player.begin(pace, lead);
        self.settle();
    }

    /// The hub's next block.
    pub fn play(&mut self, block: Block) {
        if self.session.is_none() || self.place.has_left() {
            return;
        }
        if let Some(visualizer) = &mut self.visualizer {
            visualizer.block(&block);
        }
        self.player.play(block);
    }

    /// What is due from `from` on is not to be heard.
    pub fn flush(&mut self, from: HubTime, now: HubTime) {
        self.player.flush(from, now);
        if let Some(visualizer) = &mut self.visualizer {
            visualizer.flush(from, now);
        }
    }

    /// What the hub wants beside sound.
    pub fn control(&mut self, control: Control) {
        match control {
            Control::Level(level) => self.player.level(level),
            Control::Now(now) => self.now(&now),
            _ => {}
        }
    }

    /// The session is over.
    pub fn end(&mut self) {
        self.session = None;
        self.events.clear();
        self.player.stop();
        self.place.alone();
        if let Some(pictures) = &mut self.pictures {
            pictures.stop();
        }
        if let Some(metadata) = &mut self.metadata {
            metadata.now(&NowPlaying::default());
        }
    }

    /// The next message for the client; to be asked after everything that happens, until there is none.
    pub fn poll(&mut self, now: HubTime) -> Option<Out> {
        if !self.activated {
            return None;
        }
        if let Some(payload) = self.place.update() {
            return Some(Out::Json { kind: "group/update", payload });
        }
        if let Some(state) = self.server_state(now) {
            return Some(state);
        }
        if let Some(command) = self.player.command(now) {
            return Some(command);
        }
        if let Some(out) = self.player.poll(now) {
            self.report(now);
            return Some(out);
        }
        self.report(now);
        let takes_part = self.session == Some(true) && !self.place.has_left();
        if let Some(pictures) = &mut self.pictures
            && let Some(out) = pictures.poll(takes_part, now)
        {
            return Some(out);
        }
        let streams = takes_part && self.player.playing();
        self.visualizer.as_mut()?.poll(streams, now)
    }

    /// What happened at the client; to be asked like [`Self::poll`].
    pub fn event(&mut self) -> Option<EndpointEvent> {
        self.events.pop_front()
    }

    /// When to ask again although nothing happened.
    pub fn wake(&self) -> Option<HubTime> {
        let pictures = self.pictures.as_ref().and_then(Pictures::wake);
        let visualizer = self.visualizer.as_ref().and_then(Visualizer::wake);
        let report = (self.late > 0).then_some(self.next_report);
        [self.player.wake(), pictures, visualizer, report].into_iter().flatten().min()
    }

    /// Whether a stream is on, or about to be.
    pub fn playing(&self) -> bool {
        self.player.playing()
    }

    fn now(&mut self, now: &NowPlaying) {
        self.place.now(now);
        if let Some(controller) = &mut self.controller {
            controller.now(now);
        }
        if let Some(metadata) = &mut self.metadata {
            metadata.now(now);
        }
        if let Some(pictures) = &mut self.pictures {
            pictures.now(now);
        }
    }

    /// Draws the conclusions from a session, or from what the client says of being available.
    fn settle(&mut self) {
        let Some(ready) = self.session else { return };
        match self.available {
            Some(true) if !ready && self.player.reported().is_some() => {
                self.session = Some(true);
                self.events.push_back(EndpointEvent::Ready);
            }
            Some(false) => {
                self.place.leave();
                self.end();
                let why = String::from("it is in use by something else");
                self.events.push_back(EndpointEvent::Lost(LostReason::Unavailable(why)));
            }
            _ => {}
        }
    }

    fn server_state(&mut self, now: HubTime) -> Option<Out> {
        let alone = self.place.has_left();
        let own = self.player.volume();
        let controller = self.controller.as_mut().and_then(|controller| controller.state(own, alone));
        let metadata = self.metadata.as_mut().and_then(|metadata| metadata.state(now, alone));
        let mut payload = Map::new();
        payload.extend(controller.map(|state| (String::from("controller"), state.into())));
        payload.extend(metadata.map(|state| (String::from("metadata"), state.into())));
        (!payload.is_empty()).then_some(Out::Json { kind: "server/state", payload })
    }

    fn report(&mut self, now: HubTime) {
        self.late = self.late.saturating_add(self.player.late());
        if self.late > 0 && now >= self.next_report {
            self.next_report = now + REPORT_EVERY;
            let blocks = std::mem::take(&mut self.late);
            if self.session == Some(true) {
                self.events.push_back(EndpointEvent::Underrun { blocks });
            }
        }
    }
}

/// A moment on the server's clock as the protocol has it: whole microseconds, the nearest.
fn micros(at: HubTime) -> i64 {
    at.nanos().saturating_add(500).div_euclid(1_000)
}

/// An object of one entry.
fn object(key: &str, value: Value) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert(key.into(), value);
    object
}
