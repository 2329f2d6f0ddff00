//! What people do at a receiver: its knob is a wish for that speaker, its buttons mean what its group hears.

use actix::prelude::*;
use antiphon_avs::signal::{Button as Key, Signal, Wish};
use antiphon_domain::group::Target;
use antiphon_domain::{GroupId, LevelCommand, SpeakerId};
use antiphon_endpoint::Button;
use tracing::{debug, info};

use super::Coordinator;
use super::content::{Ending, Owner};
use crate::messages::{AtDevice, Done, Tell};

impl Handler<AtDevice> for Coordinator {
    type Result = ();

    fn handle(&mut self, message: AtDevice, _: &mut Self::Context) {
        let AtDevice { speaker, done } = message;
        let Some(group) = self.house.group_of(&speaker).map(|g| g.id.clone()) else { return };
        let alone = Target::SpeakerAlone(speaker.clone());
        match done {
            Done::Turned(volume) => self.change(&alone, LevelCommand::SetVolume(volume)),
            Done::Muted(muted) => self.change(&alone, LevelCommand::SetMute(muted)),
            Done::Pressed(button) => {
                info!(%speaker, ?button, "pressed at the device");
                match button {
                    Button::GroupVolume(volume) => {
                        self.change(&Target::Group(group), LevelCommand::SetVolume(volume));
                    }
                    Button::GroupMute(muted) => {
                        self.change(&Target::Group(group), LevelCommand::SetMute(muted));
                    }
                    Button::VolumeStep(step) => {
                        self.change(&Target::Group(group), LevelCommand::AdjustVolume(step));
                    }
                    button => self.press(&speaker, &group, button),
                }
            }
        }
    }
}

impl Coordinator {
    /// By the laws of volume, as every other wish; written to disk a moment later, for nobody waits for it.
    fn change(&mut self, target: &Target, command: LevelCommand) {
        match self.house.command(target, command, false) {
            Ok(fan_out) => {
                self.fan_out(&fan_out, None);
                self.save();
            }
            Err(why) => debug!(%why, "a knob of nobody's"),
        }
    }

    /// A key of the remote control: to the device that leads, whose Alexa decides; what is nobody's, we hold and go on
    /// with ourselves.
    fn press(&mut self, speaker: &SpeakerId, group: &GroupId, button: Button) {
        let current = self.contents.current(group).map(|(id, c)| (id, c.owner.clone(), c.is_held()));
        if button == Button::Stop {
            self.end_all(group, None, Ending::Stopped);
            return self.reconcile();
        }
        let held = current.as_ref().is_none_or(|(.., held)| *held);
        let key = match button {
            Button::Play => Key::Play,
            Button::Pause => Key::Pause,
            Button::PlayPause if held => Key::Play,
            Button::PlayPause => Key::Pause,
            Button::Next => Key::Next,
            Button::Previous => Key::Previous,
            _ => return,
        };
        match current {
            Some((content, Owner::Person, held)) => match key {
                Key::Play if held => self.resume(content),
                Key::Pause if !held => self.pause(content),
                // There is no queue of a person's.
                _ => {}
            },
            Some((_, Owner::Device(leader, _), _)) => {
                self.tell_speaker(&leader, Tell(Signal::Wish(Wish::Button(key))));
            }
            None => self.tell_speaker(speaker, Tell(Signal::Wish(Wish::Button(key)))),
        }
    }
}
