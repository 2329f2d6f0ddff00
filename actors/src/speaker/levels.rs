//! Loudness at one speaker: stop 6 of the SetVolume road.
//!
//! Volume goes to the last place that can do it ([`place`]). The first sound after start-up or a return is no louder
//! than [`Volume::SAFE`] and climbs from there, unless somebody asked for a level meanwhile (law 10).

use std::time::Duration;

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::signal::Signal;
use antiphon_domain::focus::FocusView;
use antiphon_domain::mix::{Loudness, place};
use antiphon_domain::{HubTime, Level, Report, Volume};
use antiphon_endpoint::Control;

use super::Speaker;
use crate::messages::ApplyLevel;

/// Gains ramp this long when a person changes them: short enough to be "at once", long enough not to click.
const RAMP: Duration = Duration::from_millis(30);
/// The cautious climb: one volume step each.
const CLIMB: Duration = Duration::from_millis(100);

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
        self.set_gain();
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

    /// Puts the level, or the cautious part of it, where it is heard.
    pub(super) fn set_gain(&mut self) {
        let Some(session) = &mut self.playback.session else { return };
        let cautious = self.playback.cautious_at.unwrap_or(Volume::MAX);
        let level = Level { volume: self.level.volume.min(cautious), muted: self.level.muted };
        let placement = place(&Loudness {
            level,
            alerts: Volume::SAFE,
            ceiling: self.settings.ceiling,
            focus: FocusView::default(),
            tone: false,
            receiver_has_volume: session.caps.own_volume,
        });
        if let Some(level) = placement.receiver {
            session.output.control(Control::Level(level));
        }
        // Where the receiver has the volume, the mixer's gain stays: the render thread need not hear of it again.
        if session.mixer_gain.replace(placement.inputs.content) != Some(placement.inputs.content) {
            session.output.set_mixer_gain(placement.inputs.content, RAMP);
        }
    }

    /// A first sound is coming: begin at a safe level and climb to the wished one.
    pub(super) fn be_cautious(&mut self, ctx: &mut Context<Self>) {
        self.playback.cautious_at = Some(Volume::SAFE);
        self.set_gain();
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
        if self.view.playing {
            self.playback.cautious_at = Some(Volume::nearest(f64::from(here.get()) + 1.0));
            self.set_gain();
        }
        self.climb_on(ctx);
    }
}
