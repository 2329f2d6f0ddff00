//! How well this speaker keeps time, as far as its protocol lets us know: into the picture and the metrics.
//!
//! What is not told is absent, never zero; and what was told is forgotten soon after it is told no more.

use std::time::Duration;

use actix::prelude::*;
use antiphon_endpoint::{Pace, SyncReport};

use super::Speaker;
use crate::snapshot::SyncView;

/// Told nothing for so long, nothing is known (ours; reports come once a second).
const STALE: Duration = Duration::from_secs(5);

impl Speaker {
    /// A session begins: what its lead is, and that nothing went wrong in it yet.
    pub(super) fn show_lead(&mut self) {
        let Some(session) = &self.playback.session else { return };
        let lead = session.caps.lead.0;
        let view = self.view.sync.get_or_insert_with(SyncView::default);
        view.lead_ms = u64::try_from(lead.as_millis()).unwrap_or(u64::MAX);
        view.pace = match session.pace {
            Pace::Steady => "steady",
            Pace::Quick => "quick",
        };
        let labels = [self.id.as_str(), self.kind.name()];
        let sync = &self.parts.metrics.sync;
        sync.lead.with_label_values(&labels).set(lead.as_secs_f64());
        // From the start, so that the first one is seen to be one more.
        sync.underruns.with_label_values(&labels);
    }

    /// The endpoint says how well it keeps time.
    pub(super) fn synced(&mut self, report: &SyncReport, ctx: &mut Context<Self>) {
        let view = self.view.sync.get_or_insert_with(SyncView::default);
        view.take(report);
        self.parts.metrics.sync.take(self.id.as_str(), self.kind.name(), report);
        let stale = ctx.run_later(STALE, |speaker, ctx| {
            speaker.forget_sync(ctx);
            speaker.publish();
        });
        if let Some(old) = self.playback.stale.replace(stale) {
            ctx.cancel_future(old);
        }
        self.publish();
    }

    /// Blocks were not delivered in time.
    pub(super) fn underrun(&mut self, blocks: u32) {
        let labels = [self.id.as_str(), self.kind.name()];
        self.parts.metrics.sync.underruns.with_label_values(&labels).inc_by(u64::from(blocks));
        if let Some(view) = &mut self.view.sync {
            view.underruns += u64::from(blocks);
        }
        self.publish();
    }

    /// Nothing is known of its time any more.
    pub(super) fn forget_sync(&mut self, ctx: &mut Context<Self>) {
        if let Some(stale) = self.playback.stale.take() {
            ctx.cancel_future(stale);
        }
        if let Some(view) = &mut self.view.sync {
            view.forget();
        }
        let closed = self.playback.session.is_none();
        self.parts.metrics.sync.forget(self.id.as_str(), self.kind.name(), closed);
    }
}
