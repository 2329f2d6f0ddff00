//! The render thread: owns every feed and output, takes commands, and once a tick hands out what its time has come for.
//!
//! It waits only for the next tick or command, holds no lock, and calls nothing that waits for a peer.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use antiphon_domain::media::{MediaError, MediaErrorKind};
use antiphon_domain::mix::InputGains;
use antiphon_domain::sound::Voice;
use antiphon_domain::{HubTime, SpeakerId};
use antiphon_endpoint::{Clock, Control, Endpoint};
use tracing::{debug, error};

use crate::metrics::Metrics;
use crate::news::{FeedEvent, FeedId, FeedSink, OutputSink};
use crate::output::OutputState;
use crate::sound::{Playing, SoundKey, SoundState, Start};
use crate::timeline::{Cut, Rules, Segment, Timeline};

/// How long the thread sleeps when there is nothing to play.
const IDLE: Duration = Duration::from_millis(500);

/// What handles ask for.
pub(crate) enum Command {
    OpenFeed(Box<Segment>),
    Start { feed: FeedId, lead: Duration },
    Then { feed: FeedId, next: FeedId },
    Pause(FeedId),
    Resume { feed: FeedId, lead: Duration },
    Stop(FeedId),
    ForgetFeed(FeedId),
    OpenOutput { id: u64, speaker: SpeakerId, endpoint: Box<dyn Endpoint>, sink: OutputSink },
    Attach { output: u64, feed: FeedId },
    Detach(u64),
    SetGains { output: u64, gains: InputGains, over: Duration, from: Option<HubTime> },
    SetEqualizer { output: u64, db: [i8; 3] },
    Swell { output: u64, voice: Voice, over: Duration },
    OpenSound(Box<SoundState>),
    PlaySound { output: u64, sound: SoundKey, voice: Voice, start: Start },
    StopSound(SoundKey),
    Control { output: u64, control: Control },
    CloseOutput(u64),
}

/// All that sounds.
pub(crate) struct Engine {
    pub rules: Rules,
    pub tick: Duration,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
    /// Takes endpoints that are to be dropped.
    pub graveyard: SyncSender<Box<dyn Endpoint>>,
    /// When the thread last came round, nanoseconds of hub time.
    pub heartbeat: Arc<AtomicI64>,
    /// Timelines by the feed they began with.
    pub timelines: HashMap<FeedId, Timeline>,
    /// Which timeline each feed is (or was) on, as long as somebody holds the feed.
    pub feeds: HashMap<FeedId, FeedId>,
    pub outputs: HashMap<u64, OutputState>,
    /// Sounds that are prepared and not on an output yet.
    pub sounds: HashMap<SoundKey, SoundState>,
}

impl Engine {
    /// Runs until every handle is gone.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        let mut next = self.clock.now();
        loop {
            let now = self.clock.now();
            if now >= next {
                self.round(now);
                let after = self.clock.now();
                self.metrics.tick.observe(after.since(now).as_secs_f64());
                let pause = if self.timelines.is_empty() && self.is_silent() { IDLE } else { self.tick };
                next = (next + pause).max(after);
            }
            let wait = next.since(self.clock.now());
            match commands.recv_timeout(wait) {
                Ok(command) => {
                    self.obey(command);
                    // Whatever was asked may be due at once, and ticks may have been rare until now.
                    let behind = self.outputs.values().any(OutputState::is_behind);
                    let pause = if behind { Duration::ZERO } else { self.tick };
                    next = next.min(self.clock.now() + pause);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        for (_, output) in self.outputs.drain() {
            bury(&self.graveyard, output);
        }
    }

    fn is_silent(&self) -> bool {
        self.sounds.is_empty() && self.outputs.values().all(OutputState::is_idle)
    }

    fn round(&mut self, now: HubTime) {
        self.heartbeat.store(now.nanos(), Ordering::Relaxed);
        for timeline in self.timelines.values_mut() {
            timeline.listeners.count_anew();
        }
        for output in self.outputs.values() {
            let Some(timeline) = output.timeline.and_then(|id| self.timelines.get_mut(&id)) else { continue };
            timeline.listeners.count(output.lead(), output.established);
        }
        for timeline in self.timelines.values_mut() {
            timeline.fill(now, &self.rules);
            timeline.advance(now, &self.rules);
            self.metrics.stalls.inc_by(std::mem::take(&mut timeline.stalls));
        }
        for output in self.outputs.values_mut() {
            let timeline = output.timeline.and_then(|id| self.timelines.get(&id));
            output.pump(timeline, now, &self.rules, self.clock.as_ref(), &self.metrics);
        }
        for timeline in self.timelines.values_mut() {
            timeline.report(now);
        }
        self.deliver();
        for output in self.outputs.values_mut() {
            output.report(now);
        }
        self.prepare_sounds(now);
        self.forget_timelines();
    }

    /// Sounds nobody plays yet: those that failed say so and are forgotten.
    fn prepare_sounds(&mut self, now: HubTime) {
        self.sounds.retain(|_, sound| {
            sound.fill(1);
            !(sound.is_stillborn() && sound.report(now))
        });
        let playing: usize = self.outputs.values().map(OutputState::sounds).sum();
        self.metrics.sounds.set(i64::try_from(playing + self.sounds.len()).unwrap_or(i64::MAX));
    }

    fn deliver(&mut self) {
        let mut open = 0;
        for timeline in self.timelines.values_mut() {
            for (sink, event) in timeline.news() {
                if let FeedEvent::Failed { error, .. } = &event {
                    self.metrics.source_failures.with_label_values(&[label(error.kind)]).inc();
                }
                tell(&sink, event);
            }
            open += i64::from(!timeline.is_empty());
        }
        self.metrics.feeds.set(open);
    }

    /// A timeline goes when all its feeds are over and nobody holds one that could get a successor.
    fn forget_timelines(&mut self) {
        let Self { timelines, feeds, outputs, .. } = self;
        timelines.retain(|id, timeline| !timeline.is_empty() || feeds.values().any(|of| of == id));
        for output in outputs.values_mut() {
            if output.timeline.is_some_and(|id| !timelines.contains_key(&id)) {
                output.timeline = None;
            }
        }
    }

    fn timeline(&mut self, feed: FeedId) -> Option<&mut Timeline> {
        let id = self.feeds.get(&feed)?;
        self.timelines.get_mut(id)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::OpenFeed(segment) => {
                let id = segment.feed;
                self.feeds.insert(id, id);
                self.timelines.insert(id, Timeline::new(*segment));
            }
            Command::Start { feed, lead } => {
                if let Some(timeline) = self.timeline(feed) {
                    timeline.start(lead);
                }
            }
            Command::Then { feed, next } => self.follow(feed, next),
            Command::Pause(feed) => {
                let now = self.clock.now();
                let cut = self.timeline(feed).and_then(|timeline| timeline.pause(now));
                self.cut(feed, cut);
                self.deliver();
            }
            Command::Resume { feed, lead } => {
                if let Some(timeline) = self.timeline(feed) {
                    timeline.resume(lead);
                }
            }
            Command::Stop(feed) => self.stop(feed),
            Command::ForgetFeed(feed) => {
                self.stop(feed);
                self.feeds.remove(&feed);
                self.forget_timelines();
            }
            Command::OpenOutput { id, speaker, endpoint, sink } => {
                self.outputs.insert(id, OutputState::new(speaker, endpoint, sink, &self.metrics));
                self.count_outputs();
            }
            Command::Attach { output, feed } => self.attach(output, feed),
            Command::Detach(output) => {
                let clock = Arc::clone(&self.clock);
                if let Some(output) = self.outputs.get_mut(&output) {
                    output.detach(clock.as_ref());
                }
            }
            Command::SetGains { output, gains, over, from } => {
                if let Some(output) = self.outputs.get_mut(&output) {
                    output.set_gains(gains, over, from);
                }
            }
            Command::SetEqualizer { output, db } => {
                if let Some(output) = self.outputs.get_mut(&output) {
                    output.set_equalizer(db);
                }
            }
            Command::Swell { output, voice, over } => {
                if let Some(output) = self.outputs.get_mut(&output) {
                    output.swell(voice, over);
                }
            }
            Command::OpenSound(sound) => {
                self.sounds.insert(sound.key, *sound);
            }
            Command::PlaySound { output, sound, voice, start } => {
                let Some(sound) = self.sounds.remove(&sound) else { return };
                match self.outputs.get_mut(&output) {
                    Some(output) => output.play_sound(Playing { sound, voice, start, leaving: None }),
                    None => sound.fail(MediaError {
                        kind: MediaErrorKind::InternalDeviceError,
                        message: "the speaker's session ended".into(),
                    }),
                }
            }
            Command::StopSound(sound) => self.stop_sound(sound),
            Command::Control { output, control } => {
                let clock = Arc::clone(&self.clock);
                if let Some(output) = self.outputs.get_mut(&output) {
                    output.control(control, clock.as_ref());
                }
            }
            Command::CloseOutput(output) => {
                if let Some(output) = self.outputs.remove(&output) {
                    bury(&self.graveyard, output);
                }
                self.count_outputs();
            }
        }
    }

    fn count_outputs(&self) {
        let alive = self.outputs.values().filter(|output| !output.is_dead()).count();
        self.metrics.outputs.set(i64::try_from(alive).unwrap_or(i64::MAX));
    }

    fn follow(&mut self, feed: FeedId, next: FeedId) {
        let (Some(&id), Some(&from)) = (self.feeds.get(&feed), self.feeds.get(&next)) else { return };
        if id == from || !self.timelines.get(&from).is_some_and(Timeline::is_untouched) {
            debug!(?feed, ?next, "a feed that was started already cannot follow another");
            return;
        }
        let Some(segment) = self.timelines.remove(&from).and_then(Timeline::into_segment) else { return };
        let Some(timeline) = self.timelines.get_mut(&id) else { return };
        timeline.follow(segment);
        self.feeds.insert(next, id);
        let Self { outputs, timelines, clock, .. } = self;
        for output in outputs.values_mut().filter(|output| output.timeline == Some(from)) {
            if let Some(timeline) = timelines.get(&id) {
                output.attach(id, timeline, clock.as_ref());
            }
        }
    }

    fn stop(&mut self, feed: FeedId) {
        let now = self.clock.now();
        let Some(timeline) = self.timeline(feed) else { return };
        let cut = timeline.stop(feed, now);
        let over = timeline.is_empty();
        self.cut(feed, cut);
        self.deliver();
        if !over {
            return;
        }
        let Some(&id) = self.feeds.get(&feed) else { return };
        let Self { outputs, clock, .. } = self;
        for output in outputs.values_mut().filter(|output| output.timeline == Some(id)) {
            output.detach(clock.as_ref());
        }
    }

    fn stop_sound(&mut self, sound: SoundKey) {
        if self.sounds.remove(&sound).is_some() {
            return;
        }
        let Self { outputs, timelines, clock, .. } = self;
        for output in outputs.values_mut() {
            let timeline = output.timeline.and_then(|id| timelines.get(&id));
            if output.stop_sound(sound, timeline, clock.as_ref()) {
                return;
            }
        }
    }

    fn cut(&mut self, feed: FeedId, cut: Option<Cut>) {
        let (Some(cut), Some(&id)) = (cut, self.feeds.get(&feed)) else { return };
        let Self { outputs, clock, .. } = self;
        for output in outputs.values_mut().filter(|output| output.timeline == Some(id)) {
            output.cut(cut, clock.as_ref());
        }
    }

    fn attach(&mut self, output: u64, feed: FeedId) {
        let Some(&id) = self.feeds.get(&feed) else { return };
        let Self { outputs, timelines, clock, .. } = self;
        let (Some(output), Some(timeline)) = (outputs.get_mut(&output), timelines.get(&id)) else { return };
        if output.timeline != Some(id) {
            output.attach(id, timeline, clock.as_ref());
        }
    }
}

fn bury(graveyard: &SyncSender<Box<dyn Endpoint>>, output: OutputState) {
    if let Some(endpoint) = output.into_endpoint()
        && let Err(refused) = graveyard.try_send(endpoint)
    {
        // Full or gone: better a late block than an endpoint that is never closed.
        drop(refused);
    }
}

fn tell(sink: &FeedSink, event: FeedEvent) {
    if catch_unwind(AssertUnwindSafe(|| sink(event))).is_err() {
        error!("the listener of a feed panicked");
    }
}

fn label(kind: MediaErrorKind) -> &'static str {
    match kind {
        MediaErrorKind::Unknown => "unknown",
        MediaErrorKind::InvalidRequest => "invalid_request",
        MediaErrorKind::ServiceUnavailable => "service_unavailable",
        MediaErrorKind::InternalServerError => "internal_server_error",
        MediaErrorKind::InternalDeviceError => "internal_device_error",
    }
}
