//! Carrying out what interfaces wish for and only the device can do.

use antiphon_domain::Moment;
use antiphon_domain::focus::{FocusChange, FocusState};
use serde_json::json;

use super::Device;
use crate::effect::Effect;
use crate::interfaces::{Announcement, Wish};
use crate::message::Event;

impl Device {
    /// Carries out one wish, in its place among the effects.
    pub(super) fn grant(&mut self, wish: Wish, now: Moment) {
        match wish {
            Wish::Effect(effect) => self.effects.push_back(effect),
            Wish::Take { channel, interface, mixability } => {
                self.refocus(now, |focus| focus.take(channel, interface, mixability, now.hub));
            }
            Wish::TakePatiently { channel, interface, mixability, patience } => {
                self.refocus(now, |focus| {
                    focus.take_patiently(channel, interface, mixability, patience, now.hub)
                });
            }
            Wish::GiveUp { channel, interface } => {
                self.refocus(now, |focus| focus.give_up(channel, interface, now.hub));
            }
            Wish::StopForeground => self.refocus(now, |focus| focus.stop_foreground(now.hub)),
            Wish::TakeVisual(interface) => self.visual = Some(interface),
            Wish::GiveUpVisual(interface) => {
                if self.visual == Some(interface) {
                    self.visual = None;
                }
            }
            Wish::SendCertified(event) => self.outbox.push(event, now.hub, &mut self.effects),
            Wish::SendInOrder(event) => self.outbox.push_fleeting(event, now.hub, &mut self.effects),
            Wish::Announce(announcement) => {
                for index in 0..self.interfaces.len() {
                    self.call(index, now, |interface, turn| interface.on_announcement(&announcement, turn));
                }
            }
            Wish::SendWithContext(mut event) => {
                event.context = Some(self.context(now));
                self.effects.push_back(Effect::Send(event));
            }
            Wish::Request(event) => self.request(event, now),
            Wish::SendStateReport(mut event) => {
                let mut states = Vec::new();
                for interface in &self.interfaces {
                    states.extend(interface.settings());
                }
                event.payload = json!({ "states": states });
                self.effects.push_back(Effect::Send(event));
            }
            Wish::BeginDialog(id) => self.begin_dialog(id, now),
            Wish::Complete(message_id) => self.sequencer.completed(&message_id),
            Wish::Abandon(directive) => {
                let rest = self.sequencer.failed(&directive);
                self.cancel(&rest, now);
            }
            Wish::Refuse(directive, refusal) => self.fail(&directive, &refusal, now),
            Wish::Settle(interface) => self.settling.push_back(interface),
        }
    }

    /// A person asks something. The context tells how things were just before, so it is taken first; the dialog is
    /// the current one before the event leaves; what the old one had under way ends after it.
    fn request(&mut self, mut event: Event, now: Moment) {
        event.context = Some(self.context(now));
        self.exchange.asked(event.header.message_id.clone());
        let dialog = event.header.dialog_request_id.clone();
        self.effects.push_back(Effect::Send(event));
        if let Some(id) = dialog {
            self.begin_dialog(id, now);
        }
    }

    fn begin_dialog(&mut self, id: String, now: Moment) {
        let cancelled = self.sequencer.begin_dialog(id.clone());
        self.cancel(&cancelled, now);
        self.wishes.push_back(Wish::Announce(Announcement::Dialog(id)));
    }

    /// Changes who holds which channel, and tells the mixer and everybody concerned.
    pub(super) fn refocus(&mut self, now: Moment, change: impl FnOnce(&mut FocusState) -> Vec<FocusChange>) {
        let before = self.focus.view();
        let changes = change(&mut self.focus);
        let after = self.focus.view();
        if after != before {
            self.effects.push_back(Effect::Focus(after));
        }
        for change in changes {
            if let Some(index) = self.interfaces.iter().position(|i| i.namespace() == change.interface) {
                self.call(index, now, |interface, turn| interface.on_focus(change, turn));
            }
        }
    }
}
