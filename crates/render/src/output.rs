//! An output: one speaker's mixer and the endpoint behind it.
//!
//! Driven by the render thread. It promises the endpoint blocks in order of their due times, and the thread that an
//! endpoint which panics or is slow harms nobody else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use antiphon_audio::Block;
use antiphon_audio::mix::{Input, Mixer};
use antiphon_audio::ramp::{JOIN_RAMP, Ramp};
use antiphon_domain::{Frames, Gain, HubTime, SampleRate, SpeakerId};
use antiphon_endpoint::{Clock, Control, Endpoint};
use tracing::{error, warn};

use crate::metrics::{Metrics, OutputMetrics, SLOW_CALL};
use crate::news::{FeedId, OutputEvent, OutputSink};
use crate::timeline::{BLOCK, Cut, Timeline};

/// A speaker's way out.
pub(crate) struct OutputState {
    speaker: SpeakerId,
    /// Absent once it broke.
    endpoint: Option<Box<dyn Endpoint>>,
    sink: OutputSink,
    lead: Duration,
    mixer: Mixer,
    /// The content input's own gain: only fades, so far.
    content: Ramp,
    /// The timeline it listens to.
    pub timeline: Option<FeedId>,
    next: u64,
    /// It has had a block since it was attached: a lack of sound would be heard.
    pub established: bool,
    /// After the last block handed out.
    end: Option<HubTime>,
    /// A first block after silence that has not fallen due yet.
    announce: Option<(FeedId, HubTime)>,
    metrics: OutputMetrics,
}

impl OutputState {
    pub(crate) fn new(
        speaker: SpeakerId,
        endpoint: Box<dyn Endpoint>,
        sink: OutputSink,
        metrics: &Metrics,
    ) -> Self {
        let metrics = metrics.of_output(speaker.as_str());
        Self {
            lead: endpoint.caps().lead.0,
            speaker,
            endpoint: Some(endpoint),
            sink,
            mixer: Mixer::new(),
            content: Ramp::new(Gain::UNITY),
            timeline: None,
            next: 0,
            established: false,
            end: None,
            announce: None,
            metrics,
        }
    }

    pub(crate) fn lead(&self) -> Duration {
        self.lead
    }

    /// Listens to another timeline, from the first block that can still be heard in time.
    pub(crate) fn attach(&mut self, id: FeedId, timeline: &Timeline, clock: &dyn Clock) {
        let now = clock.now();
        self.detach(clock);
        self.timeline = Some(id);
        self.next = timeline.first_from(now + self.lead);
    }

    /// Falls silent now.
    pub(crate) fn detach(&mut self, clock: &dyn Clock) {
        self.timeline = None;
        self.forget(clock.now(), clock);
        self.established = false;
    }

    /// What was handed out from the cut on is not to be heard; playing goes on there some time.
    pub(crate) fn cut(&mut self, cut: Cut, clock: &dyn Clock) {
        if self.next > cut.index {
            self.next = cut.index;
            self.forget(cut.from, clock);
        }
    }

    fn forget(&mut self, from: HubTime, clock: &dyn Clock) {
        if let Some(end) = self.end
            && end > from
        {
            self.call(clock, |endpoint| endpoint.flush(from));
            // The block that is just being heard is heard to its end.
            self.end = Some(end.min(from + Frames(BLOCK).duration(SampleRate::HUB)));
        }
        if self.announce.is_some_and(|(_, at)| at >= from) {
            self.announce = None;
        }
    }

    pub(crate) fn set_gain(&mut self, gain: Gain, over: Duration) {
        self.mixer.master.to(gain, over);
        if self.end.is_none() {
            // Nobody hears the way.
            self.mixer.master.finish();
        }
    }

    pub(crate) fn control(&mut self, control: Control, clock: &dyn Clock) {
        self.call(clock, |endpoint| endpoint.control(control));
    }

    /// Hands out every block whose time has come.
    pub(crate) fn pump(
        &mut self,
        timeline: &Timeline,
        now: HubTime,
        margin: Duration,
        clock: &dyn Clock,
        metrics: &Metrics,
    ) {
        if let Some(limit) = timeline.limit() {
            self.next = self.next.min(limit);
        }
        while let Some(due) = timeline.due(self.next) {
            if due > now + self.lead + margin {
                break;
            }
            if due < now {
                let in_time = timeline.first_from(now + self.lead);
                self.metrics.skipped.inc_by(in_time.saturating_sub(self.next));
                self.next = in_time;
                continue;
            }
            let Some(samples) = timeline.block(self.next) else { break };
            let spare = due.since(now + self.lead);
            metrics.margin.observe(spare.as_secs_f64());
            if spare.is_zero() {
                self.metrics.late.inc();
            }
            let after_silence = self.end.is_none_or(|end| due.since(end) > Duration::from_millis(1));
            if after_silence {
                self.content = Ramp::new(Gain::UNITY);
                if timeline.is_inside(self.next) {
                    self.content = Ramp::new(Gain::Silence);
                    self.content.to(Gain::UNITY, JOIN_RAMP);
                }
                self.announce = timeline.feed_at(self.next).map(|feed| (feed, due));
            }
            let mixed = self.mixer.mix(&mut [Input { samples, gain: &mut self.content }]);
            let block = Block { due, samples: mixed };
            if std::sync::Arc::ptr_eq(&block.samples, samples) {
                metrics.passed.inc();
            } else {
                metrics.mixed.inc();
            }
            self.end = Some(block.end());
            self.established = true;
            self.next += 1;
            self.call(clock, |endpoint| endpoint.play(&block));
        }
    }

    /// Says what has fallen due.
    pub(crate) fn report(&mut self, now: HubTime) {
        if let Some((feed, at)) = self.announce
            && at <= now
        {
            self.announce = None;
            self.tell(OutputEvent::Playing { feed, at });
        }
        if self.end.is_some_and(|end| end <= now) {
            self.end = None;
            self.established = false;
            self.mixer.master.finish();
            self.tell(OutputEvent::Silent);
        }
    }

    /// Gives up the endpoint, to be dropped where nobody waits.
    pub(crate) fn into_endpoint(self) -> Option<Box<dyn Endpoint>> {
        self.endpoint
    }

    /// Whether the endpoint broke.
    pub(crate) fn is_dead(&self) -> bool {
        self.endpoint.is_none()
    }

    fn call(&mut self, clock: &dyn Clock, act: impl FnOnce(&mut dyn Endpoint)) {
        let Some(endpoint) = self.endpoint.as_mut() else { return };
        let before = clock.now();
        let done = catch_unwind(AssertUnwindSafe(|| act(endpoint.as_mut())));
        if clock.now().since(before) > SLOW_CALL {
            self.metrics.slow.inc();
        }
        let Err(panic) = done else { return };
        self.metrics.panics.inc();
        let words = words_of(panic.as_ref());
        error!(speaker = %self.speaker, panic = %words, "an endpoint panicked and is dropped");
        let broken = self.endpoint.take();
        if catch_unwind(AssertUnwindSafe(|| drop(broken))).is_err() {
            warn!(speaker = %self.speaker, "it panicked again while it was dropped");
        }
        self.tell(OutputEvent::Failed(words));
    }

    fn tell(&self, event: OutputEvent) {
        let sink = &self.sink;
        if catch_unwind(AssertUnwindSafe(|| sink(event))).is_err() {
            error!(speaker = %self.speaker, "the listener of an output panicked");
        }
    }
}

/// What a panic said, when it said it in words.
pub(crate) fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(words) = panic.downcast_ref::<&str>() {
        return (*words).to_owned();
    }
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "no words".to_owned())
}
