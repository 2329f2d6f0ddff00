//! The sounds of one speaker alone: speech, alerts, notifications. They are inputs of its own mixer beside the content.

use serde::{Deserialize, Serialize};

/// Whose sound it is; each voice has its own loudness and at most one sound at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    /// Alexa speaks; heard at the Speaker volume.
    Dialog,
    /// An alarm, timer or reminder; heard at the alert volume, also while the speaker is muted.
    Alert,
    /// A notification or another short tone; heard at the alert volume.
    Notification,
}

impl Voice {
    /// All of them.
    pub const ALL: [Voice; 3] = [Voice::Dialog, Voice::Alert, Voice::Notification];

    /// The place of this voice in [`Voice::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// One sound of one voice; never used twice by a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SoundId {
    /// Whose.
    pub voice: Voice,
    /// Counted by the interface that owns the voice.
    pub number: u64,
}

/// The tones the hub makes itself, which need neither network nor file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuiltIn {
    /// One pass of the alarm.
    Alarm,
    /// One pass of the timer.
    Timer,
    /// One pass of the reminder.
    Reminder,
    /// The short form of an alarm under a conversation.
    AlarmShort,
    /// The short form of a timer.
    TimerShort,
    /// The short form of a reminder.
    ReminderShort,
    /// Something has arrived.
    Notification,
    /// The microphone is open (AVS "wake word confirmation" tone).
    Listening,
    /// The end of the request was heard (AVS "speech confirmation" tone).
    Heard,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [BuiltIn; 9] = [
        BuiltIn::Alarm,
        BuiltIn::Timer,
        BuiltIn::Reminder,
        BuiltIn::AlarmShort,
        BuiltIn::TimerShort,
        BuiltIn::ReminderShort,
        BuiltIn::Notification,
        BuiltIn::Listening,
        BuiltIn::Heard,
    ];
}
