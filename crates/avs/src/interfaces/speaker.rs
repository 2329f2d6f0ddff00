//! Speaker 1.0: volume and mute ("Speaker Interface 1.0"; edge cases in `antiphon_domain::level`).
//!
//! A directive only wishes for a change: which speakers move, and what each owes, is decided for the whole group and
//! comes back as a signal. So voice takes the same road as every other surface.

use antiphon_domain::{Level, LevelCommand, Volume, VolumeStep};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Handling, Interface, Known, Turn, View, payload, unlisted};
use crate::context::entry;
use crate::effect::Effect;
use crate::exception::Refusal;
use crate::message::{ContextEntry, Directive, Event};
use crate::sequencer::Policy;
use crate::signal::Signal;

const NAMESPACE: &str = "Speaker";

#[derive(Debug)]
pub(super) struct Speaker;

#[derive(Deserialize)]
struct VolumePayload {
    volume: i64,
}

#[derive(Deserialize)]
struct MutePayload {
    mute: bool,
}

impl Interface for Speaker {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn directives(&self) -> &'static [Known] {
        const {
            &[
                Known::in_turn("SetVolume", Policy::FREE),
                Known::in_turn("AdjustVolume", Policy::FREE),
                Known::in_turn("SetMute", Policy::FREE),
            ]
        }
    }

    fn on_directive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        let command = match directive.header.name.as_str() {
            "SetVolume" => {
                let wanted: VolumePayload = payload(directive)?;
                LevelCommand::SetVolume(Volume::new(wanted.volume).map_err(out_of_range)?)
            }
            "AdjustVolume" => {
                let wanted: VolumePayload = payload(directive)?;
                LevelCommand::AdjustVolume(VolumeStep::new(wanted.volume).map_err(out_of_range)?)
            }
            "SetMute" => {
                let wanted: MutePayload = payload(directive)?;
                LevelCommand::SetMute(wanted.mute)
            }
            _ => return Err(unlisted(directive)),
        };
        turn.effect(Effect::ChangeLevel(command));
        Ok(Handling::Done)
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        if let Signal::Levels { level, report } = signal {
            if report.volume {
                turn.send(Event::new(NAMESPACE, "VolumeChanged", state(*level)));
            }
            if report.mute {
                turn.send(Event::new(NAMESPACE, "MuteChanged", state(*level)));
            }
        }
    }

    fn context(&self, view: &View<'_>) -> Option<ContextEntry> {
        Some(entry(NAMESPACE, "VolumeState", state(view.level)))
    }
}

fn out_of_range(error: antiphon_domain::units::OutOfRange) -> Refusal {
    Refusal::unexpected(error.to_string())
}

/// The same in both events and in the context; `muted`, where the directive says `mute`.
fn state(level: Level) -> Value {
    json!({ "volume": level.volume.get(), "muted": level.muted })
}
