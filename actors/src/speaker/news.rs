//! What the endpoint tells: that it is ready or lost, how well it keeps time, what somebody did at the device. An echo of
//! our own command is not a change (law 6).

use std::time::Duration;

use actix::prelude::*;
use antiphon_domain::Volume;
use antiphon_endpoint::EndpointEvent;
use tracing::info;

use super::Speaker;
use crate::messages::{AtDevice, Done, EndpointNews};
use crate::post;

/// A session that lived so long is sound: the next failure is a first one.
const SOUND: Duration = Duration::from_secs(5);

impl Handler<EndpointNews> for Speaker {
    type Result = ();

    fn handle(&mut self, message: EndpointNews, ctx: &mut Self::Context) {
        if self.playback.session.as_ref().map(|s| s.number) != Some(message.session) {
            return;
        }
        match message.event {
            EndpointEvent::Ready => self.ready(message.session, ctx),
            EndpointEvent::Meter { rms_dbfs, .. } => {
                self.parts.metrics.meter.with_label_values(&[self.id.as_str()]).set(f64::from(rms_dbfs));
                self.view.level_dbfs = Some(rms_dbfs);
                self.publish();
            }
            EndpointEvent::Sync(report) => self.synced(&report, ctx),
            EndpointEvent::Underrun { blocks } => self.underrun(blocks),
            EndpointEvent::VolumeTurned(volume) => self.turned(volume),
            EndpointEvent::Muted(muted) => self.muted(muted),
            EndpointEvent::Pressed(button) => self.at_device(Done::Pressed(button)),
            EndpointEvent::Lost(why) => self.lost(why, ctx),
            // Counted where they happen.
            _ => {}
        }
    }
}

impl Speaker {
    fn ready(&mut self, number: u64, ctx: &mut Context<Self>) {
        if let Some(session) = &mut self.playback.session {
            session.ready = true;
        }
        self.playback.why = None;
        // One that accepts and hangs up at once has not recovered.
        ctx.run_later(SOUND, move |speaker, _| {
            if speaker.playback.session.as_ref().is_some_and(|s| s.number == number) {
                speaker.playback.failures = 0;
            }
        });
        info!(speaker = %self.id, kind = self.kind.name(), "endpoint ready");
        self.count_session("ready");
        self.show_endpoint();
        self.publish();
        self.hand_over_sounds(ctx);
    }

    /// Somebody turned the knob at the device: its new balance.
    fn turned(&mut self, volume: Volume) {
        let Some(session) = &mut self.playback.session else { return };
        let ours = session.told.is_some_and(|told| told.volume == volume);
        if ours || volume == self.level.volume || self.playback.cautious_at == Some(volume) {
            return;
        }
        session.told = None;
        self.at_device(Done::Turned(volume));
    }

    /// Somebody muted the device, or let it be heard again.
    fn muted(&mut self, muted: bool) {
        let Some(session) = &mut self.playback.session else { return };
        if session.told.is_some_and(|told| told.muted == muted) || self.level.muted == muted {
            return;
        }
        session.told = None;
        self.at_device(Done::Muted(muted));
    }

    fn at_device(&self, done: Done) {
        let message = AtDevice { speaker: self.id.clone(), done };
        // Counted when refused; the device keeps its knob where it is.
        let _ = post::tell(&self.roads.at_device, message, &self.parts.metrics);
    }
}
