//! An alert is heard, or somebody else rings it: this speaker's part.
//!
//! It watches whether the endpoint took each alert within [`PATIENCE`] of its moment; if not it cries for help, and the
//! coordinator finds the nearest speaker that can ring. Once its own endpoint takes the alert, the other is let off. As
//! the other, it repeats a built-in tone until it is told to stop, by anybody.

use std::time::Duration;

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::{SoundSource, SoundStart};
use antiphon_avs::signal::{Signal, SoundNews};
use antiphon_domain::sound::{BuiltIn, SoundId, Voice};
use antiphon_domain::{HubTime, SpeakerId};
use tracing::{info, warn};

use super::Speaker;
use super::levels::Cause;
use super::sounds::FOREIGN;
use crate::messages::{Distress, Ring};
use crate::post;

/// How long after its moment an alert may stay unheard.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause between two passes of a tone rung for somebody else.
const PAUSE: Duration = Duration::from_millis(500);

/// Who rings for whom.
#[derive(Default)]
pub(super) struct Ringing {
    /// Help was called for.
    calls: bool,
    /// Wakes when the next alert should have been heard.
    check: Option<(HubTime, SpawnHandle)>,
    /// The alert the device believes sounding because another speaker rings it.
    believed: Option<SoundId>,
    foreign: Option<Foreign>,
    last: u64,
}

/// An alert of another speaker, rung here.
struct Foreign {
    whom: SpeakerId,
    tone: BuiltIn,
    confirmed: bool,
    check: Option<SpawnHandle>,
}

impl Speaker {
    /// Looks whether every alert that should be heard is; called whenever that may have changed.
    pub(super) fn watch_alerts(&mut self, ctx: &mut Context<Self>) {
        let alerts = self.voices.alerts();
        let ready = self.playback.session.as_ref().is_some_and(|s| s.ready);
        let heard = ready && alerts.iter().any(|(.., heard)| *heard);
        let now = self.parts.now();
        // Something of an alert that is rung now is due: one that only waits for its time is none yet.
        let due = alerts.iter().filter(|(.., heard)| !heard).map(|(_, due, _)| *due + PATIENCE).min();
        let overdue = !heard && due.is_some_and(|due| due <= now);
        if overdue != self.ringing.calls {
            self.ringing.calls = overdue;
            let distress = if overdue {
                warn!(speaker = %self.id, "an alert is not heard here; looking for a speaker that rings it");
                Distress::Calls { speaker: self.id.clone(), tone: self.voices.alert_tone() }
            } else {
                self.ringing.believed = None;
                Distress::Over { speaker: self.id.clone() }
            };
            // Refused, it is said again at the next look, below.
            if post::tell(&self.roads.distress, distress, &self.parts.metrics).is_err() {
                self.ringing.calls = !overdue;
            }
        }
        let next = due
            .filter(|due| !heard && *due > now)
            .or((self.ringing.calls != overdue).then_some(now + PATIENCE));
        if self.ringing.check.as_ref().map(|(at, _)| *at) != next {
            if let Some((_, old)) = self.ringing.check.take() {
                ctx.cancel_future(old);
            }
            if let Some(at) = next {
                let handle = ctx.run_later(at.since(now) + Duration::from_millis(1), |speaker, ctx| {
                    speaker.ringing.check = None;
                    speaker.watch_alerts(ctx);
                });
                self.ringing.check = Some((at, handle));
            }
        }
        self.ring_on(ctx);
    }

    /// A sound fell due at this speaker's own output.
    pub(super) fn sound_started(&mut self, id: SoundId, at: HubTime, ctx: &mut Context<Self>) {
        if id.number >= FOREIGN {
            self.foreign_heard(id, ctx);
        } else if self.ringing.believed == Some(id) {
            // The device knows already: it rang elsewhere until now.
            info!(speaker = %self.id, "its endpoint is back and rings on itself");
            self.ringing.believed = None;
        } else {
            self.drive(DeviceInput::Signal(Signal::Sound(id, SoundNews::Started { at })), ctx);
        }
    }

    /// Begins the tone of another's alert, when this speaker's own alert voice is free.
    fn ring_on(&mut self, ctx: &mut Context<Self>) {
        let Some(tone) = self.ringing.foreign.as_ref().map(|f| f.tone) else { return };
        let current = SoundId { voice: Voice::Alert, number: FOREIGN + self.ringing.last };
        let alerts = self.voices.alerts();
        if !alerts.is_empty() {
            // Its own alert comes first; whoever hears that one is awake.
            if self.voices.forget(current) {
                self.set_gain(Cause::Tone, ctx);
            }
            if alerts.iter().any(|(.., heard)| *heard) {
                self.foreign_confirmed();
            }
            return;
        }
        if self.voices.knows_foreign() {
            return;
        }
        self.ring_pass(tone, SoundStart::Now, ctx);
    }

    fn ring_pass(&mut self, tone: BuiltIn, start: SoundStart, ctx: &mut Context<Self>) {
        self.ringing.last += 1;
        let id = SoundId { voice: Voice::Alert, number: FOREIGN + self.ringing.last };
        self.prepare_sound(id, SoundSource::BuiltIn(tone), ctx);
        self.play_sound(id, start, ctx);
    }

    fn foreign_heard(&mut self, id: SoundId, ctx: &mut Context<Self>) {
        self.foreign_confirmed();
        if let Some(tone) = self.ringing.foreign.as_ref().map(|f| f.tone) {
            self.ring_pass(tone, SoundStart::After { id, pause: PAUSE }, ctx);
        }
    }

    fn foreign_confirmed(&mut self) {
        let Some(foreign) = self.ringing.foreign.as_mut().filter(|f| !f.confirmed) else { return };
        foreign.confirmed = true;
        let whom = foreign.whom.clone();
        self.parts.metrics.rung_elsewhere.with_label_values(&[whom.as_str(), self.id.as_str()]).inc();
        self.say_ringing(whom, true);
    }

    /// A pass of a tone rung for somebody else is over, or came to nothing.
    pub(super) fn foreign_over(&mut self, _: SoundId, news: &SoundNews, ctx: &mut Context<Self>) {
        if matches!(news, SoundNews::Finished) {
            return;
        }
        if let Some(foreign) = self.ringing.foreign.take() {
            self.hush(ctx);
            self.say_ringing(foreign.whom, false);
        }
    }

    fn say_ringing(&self, whom: SpeakerId, heard: bool) {
        let rings = Distress::Rings { ringer: self.id.clone(), whom, heard };
        // Counted when refused; the coordinator asks somebody else when it hears nothing.
        let _ = post::tell(&self.roads.distress, rings, &self.parts.metrics);
    }

    fn hush(&mut self, ctx: &mut Context<Self>) {
        if let Some(check) = self.ringing.foreign.take().and_then(|f| f.check) {
            ctx.cancel_future(check);
        }
        self.voices.forget_foreign();
        self.view.rings_for = None;
        self.set_gain(Cause::Tone, ctx);
        self.settle_session(ctx);
        self.publish();
    }

    /// "Stop" was said here: also for what rings here for somebody else.
    pub(super) fn stop_foreign(&mut self, ctx: &mut Context<Self>) {
        let Some(whom) = self.ringing.foreign.as_ref().map(|f| f.whom.clone()) else { return };
        self.hush(ctx);
        let silence = Distress::Silence { whom };
        if post::tell(&self.roads.distress, silence, &self.parts.metrics).is_err() {
            warn!(speaker = %self.id, "the coordinator did not hear that an alert was stopped here");
        }
    }
}

impl Handler<Ring> for Speaker {
    type Result = ();

    fn handle(&mut self, message: Ring, ctx: &mut Self::Context) {
        match message {
            Ring::For { whom, tone } => {
                info!(speaker = %self.id, %whom, "rings for another speaker");
                self.hush(ctx);
                let check = ctx.run_later(PATIENCE, |speaker, ctx| {
                    let mute =
                        speaker.ringing.foreign.as_ref().filter(|f| !f.confirmed).map(|f| f.whom.clone());
                    if let Some(whom) = mute {
                        speaker.hush(ctx);
                        speaker.say_ringing(whom, false);
                    }
                });
                self.view.rings_for = Some(whom.clone());
                self.ringing.foreign = Some(Foreign { whom, tone, confirmed: false, check: Some(check) });
                self.publish();
                self.ring_on(ctx);
            }
            Ring::Hush => self.hush(ctx),
            Ring::By(ringer) => {
                self.view.unheard = ringer.is_none() && self.ringing.calls;
                self.view.rung_by = ringer;
                self.publish();
                if self.view.unheard {
                    self.parts.metrics.unheard.with_label_values(&[self.id.as_str()]).inc();
                }
                // Its device goes on as if it rang here: Alexa is told, and "stop" finds something to stop.
                let waiting = self.voices.alerts().first().map(|(id, ..)| *id);
                if self.view.rung_by.is_some()
                    && self.ringing.believed.is_none()
                    && let Some(id) = waiting
                {
                    self.ringing.believed = Some(id);
                    let at = self.parts.now();
                    self.drive(DeviceInput::Signal(Signal::Sound(id, SoundNews::Started { at })), ctx);
                }
            }
        }
    }
}
