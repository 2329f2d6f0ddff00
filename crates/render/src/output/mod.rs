//! An output: one speaker's mixer and the endpoint behind it.
//!
//! Driven by the render thread. It promises the endpoint blocks in order of their due times, all on the one grid, and
//! the thread that an endpoint which panics or is slow harms nobody else. A block is made of what the content and each
//! voice have at its place; content that is paused, stalled or absent does not hold up a voice.

mod calls;
mod gains;
mod voices;
#[cfg(test)]
mod walk;

use std::sync::Arc;
use std::time::Duration;

use antiphon_audio::Block;
use antiphon_audio::mix::{Input, Mixer};
use antiphon_domain::mix::InputGains;
use antiphon_domain::sound::Voice;
use antiphon_domain::{HubTime, SpeakerId};
use antiphon_endpoint::{Clock, Control, Endpoint};

use self::calls::Held;
pub(crate) use self::calls::words_of;
use self::gains::Gains;
use self::voices::{Ready, Voices};
use crate::grid;
use crate::metrics::{Metrics, OutputMetrics};
use crate::news::{FeedId, OutputEvent, OutputSink};
use crate::sound::{Playing, SoundKey};
use crate::timeline::{BLOCK, Cut, Rules, Timeline};

/// How soon what was handed out can be taken back: a block that is as good as heard stays.
const TAKE_BACK: Duration = Duration::from_millis(10);

/// An endpoint that is handed blocks no earlier than this before they are due (one on this machine) takes new ones for
/// those it had; one that is handed them earlier would lose content that way.
const NIMBLE: Duration = Duration::from_millis(500);

/// Due times of a timeline are rounded down.
const ROUNDING: Duration = Duration::from_micros(1);

/// A speaker's way out.
pub(crate) struct OutputState {
    speaker: SpeakerId,
    /// Absent once it broke.
    endpoint: Option<Box<dyn Endpoint>>,
    sink: OutputSink,
    lead: Duration,
    mixer: Mixer,
    gains: Gains,
    voices: Voices,
    /// The timeline it listens to.
    pub timeline: Option<FeedId>,
    /// The timeline's next block.
    next: u64,
    /// It has had content since it was attached, up to now: a lack of it would be heard.
    pub established: bool,
    /// The block after the last handed out, while that is not over.
    end: Option<u64>,
    /// The same, of blocks with content.
    content_end: Option<u64>,
    /// Blocks before this one were taken back: they may come late.
    again: u64,
    /// A first block after silence that has not fallen due yet.
    announce: Option<(Option<FeedId>, u64)>,
    /// What its slow calls cost the others.
    held: Held,
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
            gains: Gains::new(),
            voices: Voices::default(),
            timeline: None,
            next: 0,
            established: false,
            end: None,
            content_end: None,
            again: 0,
            announce: None,
            held: Held::NEVER,
            metrics,
        }
    }

    pub(crate) fn lead(&self) -> Duration {
        self.lead
    }

    /// Whether it waits for nothing and plays nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.timeline.is_none() && self.end.is_none() && self.voices.is_empty()
    }

    /// Listens to another timeline, from the first block that can still be heard in time.
    pub(crate) fn attach(&mut self, id: FeedId, timeline: &Timeline, clock: &dyn Clock) {
        let now = clock.now();
        self.detach(clock);
        self.timeline = Some(id);
        self.next = timeline.first_from(now + self.lead);
    }

    /// Content falls silent now.
    pub(crate) fn detach(&mut self, clock: &dyn Clock) {
        self.timeline = None;
        if self.content_end.is_some() {
            self.forget(grid::from(clock.now()), clock);
        }
        self.content_end = None;
        self.established = false;
    }

    /// What was handed out from the cut on is not to be heard; playing goes on there some time.
    pub(crate) fn cut(&mut self, cut: Cut, clock: &dyn Clock) {
        if self.next > cut.index {
            self.next = cut.index;
            self.forget(grid::nearest(cut.from), clock);
        }
    }

    /// Takes back the blocks from `block` on. Voices in them are handed out again.
    fn forget(&mut self, block: u64, clock: &dyn Clock) {
        if let Some(end) = self.end
            && end > block
        {
            self.call(clock, |endpoint| endpoint.flush(grid::due(block)));
            self.end = Some(block);
            self.content_end = self.content_end.map(|content| content.min(block));
            self.again = self.again.max(end);
        }
        if self.announce.is_some_and(|(_, at)| at >= block) {
            self.announce = None;
        }
    }

    /// See [`Output::set_gains`](crate::Output::set_gains).
    pub(crate) fn set_gains(&mut self, gains: InputGains, over: Duration, from: Option<HubTime>) {
        let next = self.end.map_or(0, |end| end * BLOCK);
        let at = match from {
            Some(from) => Some(grid::frame(from).max(next)),
            // Nobody hears the way.
            None if self.end.is_none() => None,
            None => Some(next),
        };
        self.gains.set(gains, over, at);
    }

    pub(crate) fn set_equalizer(&mut self, db: [i8; 3]) {
        self.mixer.equalizer.set(db.map(f64::from));
        if self.content_end.is_none() {
            self.mixer.equalizer.rest();
        }
    }

    pub(crate) fn swell(&mut self, voice: Voice, over: Duration) {
        self.gains.swell(voice, over);
    }

    pub(crate) fn play_sound(&mut self, playing: Playing) {
        if self.is_dead() {
            self.voices.add(playing);
            self.voices.fail();
        } else {
            self.voices.add(playing);
        }
    }

    /// Ends a sound as soon as can be heard. Whether it was here.
    pub(crate) fn stop_sound(
        &mut self,
        sound: SoundKey,
        timeline: Option<&Timeline>,
        clock: &dyn Clock,
    ) -> bool {
        let soon = grid::from(clock.now() + TAKE_BACK);
        let end = self.end.unwrap_or(soon).max(soon);
        let under_content = self.content_end.is_some_and(|content| content > soon);
        let take_back = self.voices.is_heard(sound, soon, end) && (!under_content || self.lead <= NIMBLE);
        let last = if take_back { soon } else { end };
        let here = self.voices.stop(sound, last);
        if here && take_back {
            if let Some(timeline) = timeline.filter(|_| under_content) {
                self.next = self.next.min(timeline.first_from(grid::due(soon) - ROUNDING));
            }
            self.forget(soon, clock);
        }
        here
    }

    pub(crate) fn control(&mut self, control: Control, clock: &dyn Clock) {
        let shifts = matches!(control, Control::Shift(_));
        let mut lead = self.lead;
        self.call(clock, |endpoint| {
            endpoint.control(control);
            if shifts {
                lead = endpoint.caps().lead.0;
            }
        });
        self.lead = lead;
    }

    /// Hands out every block whose time has come.
    pub(crate) fn pump(
        &mut self,
        timeline: Option<&Timeline>,
        now: HubTime,
        rules: &Rules,
        clock: &dyn Clock,
        metrics: &Metrics,
    ) {
        let reach = now + self.lead + rules.margin;
        let earliest = grid::from(reach).max(self.end.unwrap_or(0));
        self.voices.settle(now, self.lead + rules.margin, earliest, rules, &mut self.gains, metrics);
        loop {
            let content = timeline.and_then(|timeline| self.next_content(timeline, now, reach));
            let floor = self.floor(now);
            let voice = self.voices.next_block(floor).filter(|block| grid::due(*block) <= reach);
            let Some(block) = content.into_iter().chain(voice).min() else { break };
            let spare = grid::due(block).since(now + self.lead);
            if self.voices.check(block, spare.is_zero()) == Ready::Wait {
                break;
            }
            let with_content = timeline.filter(|_| content == Some(block));
            if with_content.is_none() && self.voices.next_block(floor) != Some(block) {
                // The sound that was to be heard there has stalled.
                continue;
            }
            metrics.margin.observe(spare.as_secs_f64());
            if spare.is_zero() && block >= self.again {
                self.metrics.late.inc();
            }
            self.hand_out(block, with_content, clock, metrics);
        }
        self.gains.prune(grid::frame(now).saturating_sub(BLOCK));
    }

    /// The first block that may still be handed out. One that was taken back just now is made again even where its
    /// moment is here: the endpoint may make more of it than of nothing.
    fn floor(&self, now: HubTime) -> u64 {
        let in_time = grid::from(now);
        let end = self.end.unwrap_or(0);
        if end < in_time.min(self.again) { end.max(grid::from(now - TAKE_BACK)) } else { end.max(in_time) }
    }

    /// Whether blocks were taken back, which are to be made again soon.
    pub(crate) fn is_behind(&self) -> bool {
        !self.voices.is_empty() && self.end.is_some_and(|end| end < self.again)
    }

    /// Where the content's next block lies, if it is there and its time has come.
    fn next_content(&mut self, timeline: &Timeline, now: HubTime, reach: HubTime) -> Option<u64> {
        if let Some(limit) = timeline.limit() {
            self.next = self.next.min(limit);
        }
        loop {
            let due = timeline.due(self.next).filter(|due| *due <= reach)?;
            if due < now {
                let in_time = timeline.first_from(now + self.lead);
                self.metrics.skipped.inc_by(in_time.saturating_sub(self.next));
                self.next = in_time;
                continue;
            }
            let block = grid::nearest(due);
            if let Some(end) = self.end.filter(|end| block < *end) {
                // A voice was there first: a listener who joins does so a little later.
                let after = timeline.first_from(grid::due(end) - ROUNDING);
                if after <= self.next {
                    return None;
                }
                self.next = after;
                continue;
            }
            timeline.block(self.next)?;
            return Some(block);
        }
    }

    fn hand_out(&mut self, block: u64, content: Option<&Timeline>, clock: &dyn Clock, metrics: &Metrics) {
        let begin = block * BLOCK;
        if self.end != Some(block) {
            self.announce = Some((None, block));
        }
        let samples = content.and_then(|timeline| timeline.block(self.next));
        if let Some(timeline) = content {
            if self.content_end != Some(block) {
                self.gains.content_begins(begin, timeline.is_inside(self.next));
                self.announce = Some((timeline.feed_at(self.next), block));
            }
            self.next += 1;
            self.content_end = Some(block + 1);
            self.established = true;
        }
        let own = Voice::ALL.map(|voice| self.voices.samples(voice, block).map(|samples| (voice, samples)));
        let mut voices = Vec::new();
        for (voice, samples) in own.iter().flatten() {
            let (gain, fade) = self.gains.voice(*voice, begin);
            voices.push(Input { samples, gain, fade });
        }
        let input = samples.map(|samples| {
            let (gain, fade) = self.gains.content(begin);
            Input { samples, gain, fade }
        });
        let mixed = self.mixer.mix(input, &voices);
        if samples.is_some_and(|samples| Arc::ptr_eq(&mixed, samples)) {
            metrics.passed.inc();
        } else {
            metrics.mixed.inc();
        }
        self.end = Some(block + 1);
        let block = Block { due: grid::due(block), samples: mixed };
        self.call(clock, |endpoint| endpoint.play(&block));
    }

    /// Says what has fallen due.
    pub(crate) fn report(&mut self, now: HubTime) {
        self.voices.report(now);
        if let Some((feed, block)) = self.announce
            && grid::due(block) <= now
        {
            self.announce = None;
            self.tell(OutputEvent::Playing { feed, at: grid::due(block) });
        }
        if self.content_end.is_some_and(|end| grid::due(end) <= now) {
            self.content_end = None;
            self.established = false;
        }
        if self.end.is_some_and(|end| grid::due(end) <= now) {
            self.end = None;
            self.tell(OutputEvent::Silent);
        }
    }

    /// Sounds that wait or are heard here.
    pub(crate) fn sounds(&self) -> usize {
        self.voices.len()
    }
}
