//! Loudness at one speaker: stop 6 of the SetVolume road.
//!
//! Volume goes to the last place that can do it ([`place`]). The first sound after start-up or a return is no louder
//! than [`Volume::SAFE`] and climbs from there, unless somebody asked for a level meanwhile (law 10).

use std::time::Duration;

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::signal::Signal;
use antiphon_domain::mix::{InputGains, Loudness, place};
use antiphon_domain::{HubTime, Level, Report, Volume};
use antiphon_endpoint::Control;

use super::Speaker;
use super::playback::{Session, Tone};
use crate::messages::ApplyLevel;

/// Gains ramp this long when a person changes them: short enough to be "at once", long enough not to click.
const RAMP: Duration = Duration::from_millis(30);
/// The cautious climb: one volume step each.
const CLIMB: Duration = Duration::from_millis(100);

/// Content steps back this fast, and comes back this slowly.
const DUCK: Duration = Duration::from_millis(100);
const RETURN: Duration = Duration::from_millis(300);

/// A receiver with a volume of its own plays at a new one this long after it was told, about: what it holds ready for
/// its sound card is scaled already. Measured at shairport-sync: 180 ms. An alert must not lose its beginning.
const REACTION: Duration = Duration::from_millis(250);
/// The mixer may be this much further than an endpoint's lead.
const MIXED: Duration = Duration::from_millis(100);
/// Between two passes of a tone with no longer pause nothing changes.
const PAUSE: Duration = Duration::from_secs(2);

/// Why loudness changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody asked for it.
    Volume,
    /// Who is in front changed.
    Focus,
    /// An alert or a tone begins or ends.
    Tone,
}

/// How long the way from some gains to others is.
fn ramp(cause: Cause, from: InputGains, to: InputGains) -> Duration {
    match cause {
        Cause::Volume => RAMP,
        Cause::Focus | Cause::Tone if to.content.factor() < from.content.factor() => DUCK,
        Cause::Focus | Cause::Tone => RETURN,
    }
}

impl Handler<ApplyLevel> for Speaker {
    type Result = ();

    fn handle(&mut self, message: ApplyLevel, ctx: &mut Self::Context) {
        // Atomic and ordered (law 9): a late or repeated fan-out changes nothing.
        if message.version < self.version || (message.version == self.version && message.asked) {
            return;
        }
        self.version = message.version;
        self.level = message.level;
        if message.asked {
            self.playback.cautious_at = None;
        }
        self.set_gain(Cause::Volume, ctx);
        let set = self.parts.now();
        // The event can wait a turn of the actors' thread: first every member of the group is as loud as it should be.
        // One future reports all that waits: several would not keep their order.
        self.unreported.push_back((message, set));
        if self.unreported.len() == 1 {
            let turn = tokio::task::yield_now().into_actor(self);
            ctx.spawn(turn.map(|(), speaker, ctx| {
                while let Some((message, set)) = speaker.unreported.pop_front() {
                    speaker.report_level(&message, set, ctx);
                }
            }));
        }
    }
}

impl Session {
    /// Settles when room is made for a tone that falls due at `next`; once settled, that stays. The mixer steps back
    /// before the receiver is turned up, or the music would come up with it.
    fn plan(&mut self, next: Option<HubTime>, now: HubTime) {
        let before = self.tone;
        let tone = next.map(|from| match before.filter(|tone| tone.from == from) {
            Some(tone) => tone,
            None if !self.caps.own_volume => Tone { from, step: from, turn: from, turned: false },
            None => {
                let mixed = now + self.caps.lead.0 + MIXED;
                let step = (from - REACTION - DUCK).max(mixed).min(from);
                Tone { from, step, turn: (from - REACTION).max(step), turned: false }
            }
        });
        let goes_on = before.is_some_and(|tone| tone.turned);
        self.tone = tone.map(|tone| {
            let soon = goes_on && tone.from <= now + PAUSE;
            Tone { turned: tone.turned || soon || tone.turn <= now, ..tone }
        });
    }
}

impl Speaker {
    /// Tells everybody else of the level that was put in force at `set`.
    fn report_level(&mut self, message: &ApplyLevel, set: HubTime, ctx: &mut Context<Self>) {
        if let Some(received) = message.received {
            let took = set.since(received);
            self.parts.metrics.directive_to_gain.observe(took.as_secs_f64());
        }
        let speaker = self.id.as_str();
        self.parts.metrics.volume.with_label_values(&[speaker]).set(i64::from(self.level.volume.get()));
        self.parts.metrics.muted.with_label_values(&[speaker]).set(i64::from(self.level.muted));
        let signal = Signal::Levels { level: message.level, report: message.report };
        self.drive(DeviceInput::Signal(signal), ctx);
        if message.report != Report::NONE {
            self.publish();
        }
    }

    /// Puts everything that is heard here at its loudness; `cause` says how gently. What is to change with a tone that
    /// is not due yet is settled for that very moment.
    pub(super) fn set_gain(&mut self, cause: Cause, ctx: &mut Context<Self>) {
        let now = self.parts.now();
        let next = self.voices.tone_from();
        let Some(session) = &mut self.playback.session else { return };
        session.plan(next, now);
        let (has, tone) = (session.caps.own_volume, session.tone);
        let here = self.loudness(tone.is_some_and(|tone| tone.turned));
        let later = tone.filter(|tone| !tone.turned).map(|tone| (tone, self.loudness(true)));
        let Some(session) = &mut self.playback.session else { return };
        let placement = place(&Loudness { receiver_has_volume: has, ..here });
        if let Some(level) = placement.receiver
            && (session.told != Some(level) || cause == Cause::Volume)
        {
            session.told = Some(level);
            session.output.control(Control::Level(level));
        }
        let planned = later.map(|(tone, loudness)| {
            (tone.step, place(&Loudness { receiver_has_volume: has, ..loudness }).inputs)
        });
        let wished = (placement.inputs, planned);
        // Where the receiver has the volume, the mixer's gains stay: the render thread need not hear of it again.
        if session.gains != Some(wished) {
            let before = session.gains.map_or(wished.0, |(inputs, _)| inputs);
            session.gains = Some(wished);
            session.output.set_gains(wished.0, ramp(cause, before, wished.0), None);
            if let Some((from, inputs)) = planned {
                session.output.set_gains(inputs, ramp(Cause::Tone, wished.0, inputs), Some(from));
            }
        }
        if let Some((tone, _)) = later {
            // The receiver is turned up in time for the tone, not before.
            let turn = ctx.run_later(tone.turn.since(now), |speaker, ctx| {
                speaker.playback.turn = None;
                speaker.set_gain(Cause::Tone, ctx);
            });
            if let Some(old) = self.playback.turn.replace(turn) {
                ctx.cancel_future(old);
            }
        }
    }

    fn loudness(&self, tone: bool) -> Loudness {
        let cautious = self.playback.cautious_at.unwrap_or(Volume::MAX);
        Loudness {
            level: Level { volume: self.level.volume.min(cautious), muted: self.level.muted },
            alerts: self.voices.alerts,
            ceiling: self.settings.ceiling,
            focus: self.voices.focus,
            tone,
            receiver_has_volume: false,
        }
    }

    /// A first sound is coming: begin at a safe level and climb to the wished one.
    pub(super) fn be_cautious(&mut self, ctx: &mut Context<Self>) {
        self.playback.cautious_at = Some(Volume::SAFE);
        self.set_gain(Cause::Volume, ctx);
        self.climb_on(ctx);
    }

    fn climb_on(&mut self, ctx: &mut Context<Self>) {
        let next = ctx.run_later(CLIMB, |speaker, ctx| speaker.climb(ctx));
        if let Some(other) = self.playback.climb.replace(next) {
            ctx.cancel_future(other);
        }
    }

    fn climb(&mut self, ctx: &mut Context<Self>) {
        let Some(here) = self.playback.cautious_at else { return };
        if here >= self.level.volume {
            self.playback.cautious_at = None;
            return;
        }
        // The climb waits for sound: what nobody hears needs no climbing.
        if self.view.playing || self.voices.is_heard() {
            self.playback.cautious_at = Some(Volume::nearest(f64::from(here.get()) + 1.0));
            self.set_gain(Cause::Volume, ctx);
        }
        self.climb_on(ctx);
    }
}
