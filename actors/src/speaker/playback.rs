//! A speaker's endpoint: opened when there is something to hear, retried while there is, closed when idle.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix::prelude::*;
use antiphon_domain::mix::InputGains;
use antiphon_domain::{HubTime, Level, Volume};
use antiphon_endpoint::{Caps, Endpoint, LostReason, Pace, Shift, Shifted};
use antiphon_render::{Feed, Output, OutputEvent};
use tracing::warn;

use super::Speaker;
use super::levels::Cause;
use crate::messages::{EndpointNews, Heard, Listen, OutputNews, SessionLost, Whereabouts};
use crate::post;
use crate::snapshot::EndpointView;

/// How long a session is kept open after the last sound, so that the next Play is heard at once.
const IDLE: Duration = Duration::from_secs(20);
/// Retries wait at most this long.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What runs, and what is wanted.
pub(super) struct Playback {
    /// The open session, `None` when closed or lost.
    pub(super) session: Option<Session>,
    /// Not above this volume for now (law 10); `None`: as wished.
    pub(super) cautious_at: Option<Volume>,
    /// The next step of the climb from there.
    pub(super) climb: Option<SpawnHandle>,
    /// The moment at which a tone falls due.
    pub(super) turn: Option<SpawnHandle>,
    wanted: Option<Feed>,
    /// Whether the next sound is the first since start-up or a loss.
    first_sound: bool,
    present: bool,
    unreachable_since: Option<HubTime>,
    last_session: u64,
    pub(super) failures: u32,
    pub(super) why: Option<LostReason>,
    retry: Option<SpawnHandle>,
    idle: Option<SpawnHandle>,
    /// Forgets how well it keeps time.
    pub(super) stale: Option<SpawnHandle>,
}

/// When a tone begins, and when room is made for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tone {
    /// It falls due.
    pub(super) from: HubTime,
    /// The mixer goes to the gains that fit it.
    pub(super) step: HubTime,
    /// The receiver is turned to the volume that fits it.
    pub(super) turn: HubTime,
    /// That was done: it counts as sounding.
    pub(super) turned: bool,
}

/// An open session.
pub(super) struct Session {
    pub(super) number: u64,
    pub(super) output: Output,
    pub(super) caps: Caps,
    /// How it was opened.
    pub(super) pace: Pace,
    /// How its due times are moved.
    pub(super) shift: Shift,
    /// When room is made for the tone that comes next or sounds.
    pub(super) tone: Option<Tone>,
    /// The mixer's gains as last set: from then on, and from the beginning of a tone on.
    pub(super) gains: Option<(InputGains, Option<(HubTime, InputGains)>)>,
    /// The level the receiver was told last.
    pub(super) told: Option<Level>,
    pub(super) ready: bool,
}

impl Playback {
    pub(super) fn new(present: bool) -> Self {
        Self {
            session: None,
            cautious_at: None,
            climb: None,
            turn: None,
            wanted: None,
            first_sound: true,
            present,
            unreachable_since: None,
            last_session: 0,
            failures: 0,
            why: None,
            retry: None,
            idle: None,
            stale: None,
        }
    }
}

impl Speaker {
    /// Whether there is anything to hear.
    fn is_needed(&self) -> bool {
        self.playback.wanted.is_some() || !self.voices.is_empty()
    }

    /// Opens or keeps the session while there is anything to hear, and lets it go a while after that.
    pub(super) fn settle_session(&mut self, ctx: &mut Context<Self>) {
        if self.is_needed() {
            if let Some(idle) = self.playback.idle.take() {
                ctx.cancel_future(idle);
            }
            if self.playback.retry.is_none() {
                self.open_session(ctx);
            }
            return;
        }
        if self.playback.session.is_some() && self.playback.idle.is_none() {
            self.playback.idle = Some(ctx.run_later(IDLE, |speaker, ctx| {
                speaker.playback.idle = None;
                speaker.close_session(ctx);
            }));
        }
    }

    /// Opens a session when something is to be heard and none is open.
    fn open_session(&mut self, ctx: &mut Context<Self>) {
        if self.playback.session.is_some() || !self.is_needed() {
            return;
        }
        if let Some(retry) = self.playback.retry.take() {
            ctx.cancel_future(retry);
        }
        self.playback.last_session += 1;
        let number = self.playback.last_session;
        let endpoint_news = ctx.address().recipient();
        let metrics = self.parts.metrics.clone();
        let endpoint_sink = Arc::new(move |event| {
            // Counted when refused.
            let _ = post::tell(&endpoint_news, EndpointNews { session: number, event }, &metrics);
        });
        let output_news = ctx.address().recipient();
        let metrics = self.parts.metrics.clone();
        let output_sink = Arc::new(move |event| {
            let _ = post::tell(&output_news, OutputNews { session: number, event }, &metrics);
        });
        let (pace, shift) = (self.timing.pace, self.reach.shift(self.timing.offset));
        let endpoint = self.kind.open(&self.descriptor, pace, self.parts.clock.clone(), endpoint_sink);
        let endpoint = Box::new(Shifted::new(endpoint, shift));
        let caps = endpoint.caps();
        let output = self.parts.renderer.open_output(self.id.clone(), endpoint, output_sink);
        output.set_equalizer(self.voices.equalizer.gains());
        let (gains, told) = (None, None);
        self.playback.session =
            Some(Session { number, output, caps, pace, shift, gains, told, tone: None, ready: false });
        if self.playback.first_sound {
            self.playback.first_sound = false;
            self.be_cautious(ctx);
        } else {
            self.set_gain(Cause::Volume, ctx);
        }
        if let (Some(session), Some(feed)) = (&self.playback.session, &self.playback.wanted) {
            session.output.attach(feed);
        }
        self.show_now();
        self.show_endpoint();
        self.show_lead();
        self.publish();
    }

    pub(super) fn close_session(&mut self, ctx: &mut Context<Self>) {
        self.playback.session = None;
        if let Some(turn) = self.playback.turn.take() {
            ctx.cancel_future(turn);
        }
        self.output_lost(ctx);
        self.playback.cautious_at = None;
        self.view.playing = false;
        self.view.level_dbfs = None;
        self.forget_sync(ctx);
        self.view.sync = None;
        self.parts.metrics.meter.with_label_values(&[self.id.as_str()]).set(-120.0);
        self.parts.metrics.playing.with_label_values(&[self.id.as_str()]).set(0);
        self.show_endpoint();
        self.publish();
    }

    pub(super) fn lost(&mut self, why: LostReason, ctx: &mut Context<Self>) {
        // Another trouble is a new one. One that plays for somebody else may be free at any moment, and says so at once:
        // it is asked at an even pace.
        let same = |before: &LostReason| std::mem::discriminant(before) == std::mem::discriminant(&why);
        if why == LostReason::Busy || self.playback.why.as_ref().is_some_and(|before| !same(before)) {
            self.playback.failures = 0;
        }
        let wait = why.retry_after().saturating_mul(1 << self.playback.failures.min(8)).min(LONGEST_WAIT);
        warn!(speaker = %self.id, %why, wait_ms = wait.as_millis() as u64, "the endpoint's session is lost");
        self.count_session("lost");
        self.playback.failures += 1;
        self.playback.first_sound = true;
        // One that refuses is there; one that is gone is looked for.
        let gone = matches!(why, LostReason::Unreachable { .. } | LostReason::Disconnected(_));
        self.playback.why = Some(why);
        // Before anything of what was lost asks for an endpoint again: it waits its turn like everything else.
        let retry = ctx.run_later(wait, |speaker, ctx| {
            speaker.playback.retry = None;
            speaker.open_session(ctx);
        });
        if let Some(old) = self.playback.retry.replace(retry) {
            ctx.cancel_future(old);
        }
        self.close_session(ctx);
        if gone && post::tell(&self.finder, SessionLost(self.id.clone()), &self.parts.metrics).is_err() {
            warn!(speaker = %self.id, "discovery did not take the loss");
        }
    }

    pub(super) fn count_session(&self, outcome: &str) {
        let labels = [self.id.as_str(), self.kind.name(), outcome];
        self.parts.metrics.sessions.with_label_values(&labels).inc();
    }

    /// Puts the endpoint's health into the picture and the metrics.
    pub(super) fn show_endpoint(&mut self) {
        let state = match &self.playback.session {
            Some(session) if session.ready => "ready",
            Some(_) => "connecting",
            None if self.playback.why.is_some() => "retrying",
            None if self.playback.present => "present",
            None => "unreachable",
        };
        let why = match &self.playback.why {
            Some(why) => Some(why.to_string()),
            None if !self.playback.present => Some("not found on the network".into()),
            None => None,
        };
        let since = self.playback.unreachable_since.filter(|_| !self.playback.present).map(|since| {
            let ago = self.parts.now().since(since);
            let wall = SystemTime::now().checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
            wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
        });
        let address = self.descriptor.addresses.first().map(ToString::to_string);
        self.view.endpoint = EndpointView { state, why, since, address };
        for known in ["ready", "connecting", "retrying", "present", "unreachable"] {
            let labels = [self.id.as_str(), self.kind.name(), known];
            self.parts.metrics.endpoint_state.with_label_values(&labels).set(i64::from(known == state));
        }
    }
}

impl Handler<Listen> for Speaker {
    type Result = ();

    fn handle(&mut self, message: Listen, ctx: &mut Self::Context) {
        self.listen(message, ctx);
    }
}

impl Speaker {
    /// Hears this from now on.
    pub(super) fn listen(&mut self, what: Listen, ctx: &mut Context<Self>) {
        match what {
            Listen::To(feed) => {
                self.settle_pace(ctx);
                if let Some(session) = &self.playback.session {
                    session.output.attach(&feed);
                }
                self.playback.wanted = Some(feed);
                if let Some(retry) = self.playback.retry.take() {
                    ctx.cancel_future(retry);
                }
                self.settle_session(ctx);
            }
            Listen::Follow(feed) => self.playback.wanted = Some(feed),
            Listen::Nothing => {
                self.playback.wanted = None;
                if !self.is_needed() {
                    self.playback.why = None;
                    // Nothing to hear: nothing to retry, and no trouble to show.
                    if let Some(retry) = self.playback.retry.take() {
                        ctx.cancel_future(retry);
                    }
                }
                if let Some(session) = &self.playback.session {
                    session.output.detach();
                }
                self.settle_session(ctx);
                self.show_endpoint();
                self.publish();
            }
        }
    }
}

impl Handler<OutputNews> for Speaker {
    type Result = ();

    fn handle(&mut self, message: OutputNews, ctx: &mut Self::Context) {
        if self.playback.session.as_ref().map(|s| s.number) != Some(message.session) {
            return;
        }
        let playing = match message.event {
            // A voice over silence is no content.
            OutputEvent::Playing { feed: None, .. } => return,
            OutputEvent::Playing { .. } => true,
            OutputEvent::Failed(why) => return self.lost(LostReason::Local(why), ctx),
            _ => false,
        };
        self.view.playing = playing;
        self.parts.metrics.playing.with_label_values(&[self.id.as_str()]).set(i64::from(playing));
        if playing {
            // Counted when refused.
            let _ = post::tell(&self.roads.heard, Heard(self.id.clone()), &self.parts.metrics);
        }
        self.publish();
    }
}

impl Handler<Whereabouts> for Speaker {
    type Result = ();

    fn handle(&mut self, message: Whereabouts, ctx: &mut Self::Context) {
        match message {
            Whereabouts::Present(descriptor) => {
                let moved = descriptor.addresses != self.descriptor.addresses;
                if self.settings.name.is_none() {
                    self.view.name.clone_from(&descriptor.name);
                }
                self.descriptor = descriptor;
                self.settle_reach(ctx);
                self.playback.present = true;
                self.playback.unreachable_since = None;
                self.playback.failures = 0;
                if self.playback.wanted.is_none() {
                    self.playback.why = None;
                }
                if moved && self.playback.session.as_ref().is_some_and(|s| !s.ready) {
                    // It was being called at an address it has left.
                    self.close_session(ctx);
                    self.playback.first_sound = true;
                }
                if let Some(retry) = self.playback.retry.take() {
                    ctx.cancel_future(retry);
                }
                self.settle_session(ctx);
            }
            Whereabouts::Unreachable(since) => {
                self.playback.present = false;
                self.playback.unreachable_since = Some(since);
            }
        }
        self.show_endpoint();
        self.publish();
    }
}
