//! The device machine's wishes, carried out in their order.

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::{Effect, PlayerCommand, PlayerSource};
use antiphon_avs::signal::Signal;
use antiphon_domain::bluetooth;
use antiphon_domain::group::Target;
use std::sync::Arc;
use tracing::warn;

use super::Speaker;
use super::levels::Cause;
use crate::messages::{BluetoothNews, ChangeLevel, PlayerOrder};
use crate::post;

impl Speaker {
    /// Runs the device machine on an input and carries its effects out.
    pub(super) fn drive(&mut self, input: DeviceInput, ctx: &mut Context<Self>) {
        self.device.handle_input(input, self.parts.moment());
        loop {
            while let Some(effect) = self.device.poll_output() {
                self.perform(effect, ctx);
            }
            // What an effect answered at once is news like any other, but not in the midst of the others.
            let Some(signal) = self.echoes.pop_front() else { break };
            self.device.handle_input(DeviceInput::Signal(signal), self.parts.moment());
        }
        self.arm(ctx);
        let picture = self.device.picture(self.parts.moment());
        if self.begun && picture != self.view.device {
            self.view.device = picture;
            self.publish();
        }
    }

    fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Send(event) => self.send(event),
            Effect::ChangeLevel(command) => {
                let change = ChangeLevel {
                    target: Target::SpeakerInGroup(self.id.clone()),
                    command,
                    by_directive: true,
                    received: self.received,
                };
                if post::tell(&self.roads.levels, change, &self.parts.metrics).is_err() {
                    warn!(speaker = %self.id, "a volume directive was refused by the coordinator");
                }
            }
            Effect::Player(command) => self.order(command, ctx),
            Effect::Focus(view) => {
                self.voices.focus = view;
                self.set_gain(Cause::Focus, ctx);
            }
            Effect::Sound(command) => self.sound(command, ctx),
            Effect::Capture(command) => self.capture(command, ctx),
            Effect::Equalize(equalizer) => {
                self.voices.equalizer = equalizer;
                if let Some(session) = &self.playback.session {
                    session.output.set_equalizer(equalizer.gains());
                }
            }
            Effect::Bluetooth(command) => match self.adapter() {
                Some(adapter) => adapter.command(command),
                None => self.echoes.push_back(Signal::Bluetooth(bluetooth::News::NoAdapter)),
            },
            Effect::Fetch { asset, url } => self.fetch(asset, &url, ctx),
            Effect::Discard(asset) => self.discard(&asset, ctx),
            Effect::Store { key, value, receipt } => self.store(key, value, receipt, ctx),
            Effect::Redeclare => self.redeclare(),
            Effect::LogOut => self.log_out(ctx),
        }
    }

    fn order(&mut self, command: PlayerCommand, ctx: &mut Context<Self>) {
        let mut attachment = None;
        if let PlayerCommand::Prepare {
            source: PlayerSource::Attachment { stream, content_id, .. }, ..
        } = &command
        {
            attachment = self.attachments.claim(&(*stream, content_id.clone()), self.parts.now());
            self.tidy_attachments(ctx);
        }
        let order = PlayerOrder { speaker: self.id.clone(), command, attachment, received: self.received };
        if post::tell(&self.roads.orders, order, &self.parts.metrics).is_err() {
            warn!(speaker = %self.id, "a player order was refused by the coordinator");
        }
    }

    fn adapter(&self) -> Option<Arc<dyn crate::requests::BluetoothAdapter>> {
        self.parts.bluetooth.clone().filter(|_| self.settings.bluetooth)
    }

    /// Hears of the adapter from now on, where it is this speaker's.
    pub(super) fn meet_adapter(&mut self, ctx: &mut Context<Self>) {
        let Some(adapter) = self.adapter() else { return };
        if !adapter.is_present() {
            // Its own word comes a moment later, when the link has begun to declare what is there.
            self.drive(DeviceInput::Signal(Signal::Bluetooth(bluetooth::News::NoAdapter)), ctx);
        }
        let news = ctx.address().recipient();
        let metrics = self.parts.metrics.clone();
        adapter.watch(Arc::new(move |told| {
            // Counted when refused.
            let _ = post::tell(&news, BluetoothNews(told), &metrics);
        }));
    }
}

impl Handler<BluetoothNews> for Speaker {
    type Result = ();

    fn handle(&mut self, message: BluetoothNews, ctx: &mut Self::Context) {
        self.drive(DeviceInput::Signal(Signal::Bluetooth(message.0)), ctx);
    }
}
