//! Volume and mute together, and how a command moves them.
//!
//! The table of edge cases is AVS Speaker 1.0 as `avs/interfaces.md` section 1 of the wire notes gives it (the
//! AVS Device SDK's behaviour where Amazon's page is silent).

use serde::{Deserialize, Serialize};

use crate::units::{Volume, VolumeStep};

/// How loud a speaker is asked to be. While muted, `volume` keeps its stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// The volume heard when not muted.
    pub volume: Volume,
    /// Whether nothing is heard.
    pub muted: bool,
}

/// A wish about loudness. Every road (voice, page, command line, a knob) brings one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelCommand {
    /// Go to this volume.
    SetVolume(Volume),
    /// Go up or down by this much, saturating.
    AdjustVolume(VolumeStep),
    /// Mute or unmute.
    SetMute(bool),
}

/// Which of Speaker's two events a change is due to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// `Speaker.VolumeChanged`.
    pub volume: bool,
    /// `Speaker.MuteChanged`, after VolumeChanged when both are due.
    pub mute: bool,
}

impl Report {
    /// Nothing to say.
    pub const NONE: Report = Report { volume: false, mute: false };

    /// What changed between two levels.
    fn difference(before: Level, after: Level) -> Report {
        Report { volume: before.volume != after.volume, mute: before.muted != after.muted }
    }
}

/// What a member that was moved, not addressed, must report: one VolumeChanged tells of an unmute too.
pub fn report_of_moved(before: Level, after: Level) -> Report {
    let changed = Report::difference(before, after);
    Report { mute: changed.mute && !changed.volume, ..changed }
}

/// What the speaker that was addressed must report, given its level before and after (Speaker 1.0 edge cases).
///
/// `by_directive` is false for a local change: then a volume set again says nothing.
pub fn report_of(command: LevelCommand, before: Level, after: Level, by_directive: bool) -> Report {
    let changed = Report::difference(before, after);
    if !by_directive {
        return match command {
            LevelCommand::SetMute(muted) => Report { mute: changed.mute || muted, ..changed },
            LevelCommand::SetVolume(_) | LevelCommand::AdjustVolume(_) => report_of_moved(before, after),
        };
    }
    match command {
        // One VolumeChanged even when nothing changed; an unmute on the way is silent.
        LevelCommand::SetVolume(_) | LevelCommand::AdjustVolume(_) => Report { volume: true, mute: false },
        // Muting again says so again; unmuting what is not muted says nothing; unmuting at 0 raises the volume first.
        LevelCommand::SetMute(true) => Report { volume: changed.volume, mute: true },
        LevelCommand::SetMute(false) => changed,
    }
}
