//! Who is in front: the audio channels of one speaker and what each holder must do about it.
//!
//! Pure; owned by a speaker's device machine, which tells the interfaces and the mixer what came out. Channels, their
//! order and the interrupt matrix are the AVS interaction model's ("About the AVS Interaction Model", "About AVS Focus
//! Management"; the matrix is the AVS Device SDK's). The visual channel is another manager's.

use std::time::Duration;

use crate::units::HubTime;

/// The audio channels, highest priority first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Alexa speaks or listens.
    Dialog,
    /// Calls.
    Communications,
    /// Alarms, timers, reminders.
    Alerts,
    /// Music and other long-lived sound.
    Content,
}

impl Channel {
    /// All of them, highest priority first.
    pub const ALL: [Channel; 4] =
        [Channel::Dialog, Channel::Communications, Channel::Alerts, Channel::Content];

    const fn index(self) -> usize {
        self as usize
    }
}

/// What the holder of a channel must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// Be heard.
    Foreground,
    /// Go on, ducked.
    Ducked,
    /// Stand still until in front again. What already stands still is not softened to `Ducked`.
    Paused,
    /// Stop: the channel is somebody else's, or was taken away.
    None,
}

/// Whether sound may go on, ducked, under something more important.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mixability {
    /// Music.
    Mixable,
    /// Spoken content: two voices at once help nobody.
    NonMixable,
}

/// One piece of news for one holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FocusChange {
    /// Its channel.
    pub channel: Channel,
    /// The interface that holds (or held) it.
    pub interface: &'static str,
    /// What it must do now.
    pub focus: Focus,
}

/// Who is where, for a mixer: what each channel must do, `None` where nobody is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FocusView {
    /// Indexed in the order of [`Channel::ALL`].
    channels: [Option<Focus>; 4],
}

impl FocusView {
    /// What a channel's holder must do; `None` when nobody holds it.
    pub fn of(&self, channel: Channel) -> Option<Focus> {
        self.channels[channel.index()]
    }
}

#[derive(Clone, Copy, Debug)]
struct Holder {
    interface: &'static str,
    mixability: Mixability,
    focus: Focus,
}

#[derive(Clone, Copy, Debug)]
struct LastUse {
    interface: &'static str,
    released: HubTime,
}

/// The channels of one speaker.
#[derive(Clone, Debug)]
pub struct FocusState {
    ducking: bool,
    holders: [Option<Holder>; 4],
    last: [Option<LastUse>; 4],
}

impl FocusState {
    /// Nobody holds anything. Without `ducking` whatever would be ducked is paused.
    pub fn new(ducking: bool) -> Self {
        Self { ducking, holders: [None; 4], last: [None; 4] }
    }

    /// Gives a channel to an interface; whoever held it gets `None` first. The taker always gets an answer, even when
    /// nothing changed for it, so that it may take again with another mixability.
    pub fn take(
        &mut self,
        channel: Channel,
        interface: &'static str,
        mixability: Mixability,
        now: HubTime,
    ) -> Vec<FocusChange> {
        let mut changes = Vec::new();
        let slot = channel.index();
        if let Some(old) = self.holders[slot].filter(|old| old.interface != interface) {
            self.last[slot] = Some(LastUse { interface: old.interface, released: now });
            changes.push(FocusChange { channel, interface: old.interface, focus: Focus::None });
        }
        // `None` differs from whatever `settle` finds, so the taker is answered.
        self.holders[slot] = Some(Holder { interface, mixability, focus: Focus::None });
        self.settle(&mut changes);
        changes
    }

    /// Takes an interface's hold on a channel away at its own wish; nothing when it holds it no longer.
    pub fn give_up(&mut self, channel: Channel, interface: &'static str, now: HubTime) -> Vec<FocusChange> {
        let mut changes = Vec::new();
        let slot = channel.index();
        if self.holders[slot].is_some_and(|holder| holder.interface == interface) {
            self.holders[slot] = None;
            self.last[slot] = Some(LastUse { interface, released: now });
            self.settle(&mut changes);
        }
        changes
    }

    /// What each channel must do.
    pub fn view(&self) -> FocusView {
        let mut channels = [None; 4];
        for (slot, holder) in self.holders.iter().enumerate() {
            channels[slot] = holder.map(|holder| holder.focus);
        }
        FocusView { channels }
    }

    /// Who uses or last used a channel, and for how long not any more: zero while it is held.
    pub fn activity(&self, channel: Channel, now: HubTime) -> Option<(&'static str, Duration)> {
        let slot = channel.index();
        if let Some(holder) = self.holders[slot] {
            return Some((holder.interface, Duration::ZERO));
        }
        self.last[slot].map(|last| (last.interface, now.since(last.released)))
    }

    /// Finds what each holder must do, and collects what changed, the background first: a music that must fall silent
    /// hears it before the voice that will speak.
    fn settle(&mut self, changes: &mut Vec<FocusChange>) {
        let front =
            Channel::ALL.into_iter().find_map(|channel| self.holders[channel.index()].map(|h| (channel, h)));
        let Some((front, holder_in_front)) = front else { return };
        for channel in Channel::ALL.into_iter().rev() {
            let ducking = self.ducking;
            let Some(holder) = self.holders[channel.index()].as_mut() else { continue };
            let focus = if channel == front {
                Focus::Foreground
            } else if !ducking {
                Focus::Paused
            } else {
                behind(channel, holder.mixability, holder_in_front.mixability)
            };
            // Once paused, a holder is told so until it is in front again, or takes anew.
            let focus =
                if holder.focus == Focus::Paused && focus == Focus::Ducked { Focus::Paused } else { focus };
            if holder.focus != focus {
                holder.focus = focus;
                changes.push(FocusChange { channel, interface: holder.interface, focus });
            }
        }
    }
}

/// The interrupt matrix, for a channel behind another one, where ducking is allowed.
fn behind(channel: Channel, mine: Mixability, front: Mixability) -> Focus {
    // An alert is never silenced by a voice, only shortened.
    if channel == Channel::Alerts {
        return Focus::Ducked;
    }
    match (mine, front) {
        (Mixability::Mixable, Mixability::Mixable) => Focus::Ducked,
        _ => Focus::Paused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Mixability::{Mixable, NonMixable};

    const T0: HubTime = HubTime::EPOCH;

    fn change(channel: Channel, interface: &'static str, focus: Focus) -> FocusChange {
        FocusChange { channel, interface, focus }
    }

    #[test]
    fn the_interrupt_matrix() {
        let table = [
            (Channel::Content, Mixable, Channel::Dialog, Mixable, Focus::Ducked),
            (Channel::Content, Mixable, Channel::Communications, Mixable, Focus::Ducked),
            (Channel::Content, Mixable, Channel::Communications, NonMixable, Focus::Paused),
            (Channel::Content, Mixable, Channel::Alerts, Mixable, Focus::Ducked),
            (Channel::Content, NonMixable, Channel::Dialog, Mixable, Focus::Paused),
            (Channel::Content, NonMixable, Channel::Alerts, Mixable, Focus::Paused),
            (Channel::Alerts, Mixable, Channel::Dialog, Mixable, Focus::Ducked),
            (Channel::Alerts, Mixable, Channel::Communications, NonMixable, Focus::Ducked),
            (Channel::Communications, Mixable, Channel::Dialog, Mixable, Focus::Ducked),
            (Channel::Communications, NonMixable, Channel::Dialog, Mixable, Focus::Paused),
        ];
        for (low, mine, high, theirs, expected) in table {
            let mut state = FocusState::new(true);
            state.take(low, "low", mine, T0);
            let changes = state.take(high, "high", theirs, T0);
            assert_eq!(changes, [change(low, "low", expected), change(high, "high", Focus::Foreground)]);
            assert_eq!(state.give_up(high, "high", T0), [change(low, "low", Focus::Foreground)]);

            let mut state = FocusState::new(false);
            state.take(low, "low", mine, T0);
            state.take(high, "high", theirs, T0);
            assert_eq!(state.view().of(low), Some(Focus::Paused));
        }
    }

    #[test]
    fn a_newcomer_displaces_and_a_holder_may_take_again() {
        let mut state = FocusState::new(true);
        state.take(Channel::Content, "AudioPlayer", Mixable, T0);
        assert_eq!(
            state.take(Channel::Content, "AudioPlayer", NonMixable, T0),
            [change(Channel::Content, "AudioPlayer", Focus::Foreground)]
        );
        assert_eq!(
            state.take(Channel::Content, "Bluetooth", Mixable, T0),
            [
                change(Channel::Content, "AudioPlayer", Focus::None),
                change(Channel::Content, "Bluetooth", Focus::Foreground),
            ]
        );
        assert_eq!(state.give_up(Channel::Content, "AudioPlayer", T0), []);
    }

    #[test]
    fn what_is_paused_is_not_softened() {
        let mut state = FocusState::new(true);
        state.take(Channel::Content, "music", Mixable, T0);
        state.take(Channel::Communications, "call", NonMixable, T0);
        assert_eq!(state.view().of(Channel::Content), Some(Focus::Paused));
        state.take(Channel::Dialog, "speech", Mixable, T0);
        assert_eq!(state.view().of(Channel::Content), Some(Focus::Paused));
        state.give_up(Channel::Dialog, "speech", T0);
        state.give_up(Channel::Communications, "call", T0);
        assert_eq!(state.view().of(Channel::Content), Some(Focus::Foreground));
    }

    #[test]
    fn idle_time_runs_from_the_release() {
        let mut state = FocusState::new(true);
        let later = T0 + Duration::from_secs(3);
        assert_eq!(state.activity(Channel::Content, later), None);
        state.take(Channel::Content, "AudioPlayer", Mixable, T0);
        assert_eq!(state.activity(Channel::Content, later), Some(("AudioPlayer", Duration::ZERO)));
        state.give_up(Channel::Content, "AudioPlayer", T0);
        assert_eq!(state.activity(Channel::Content, later), Some(("AudioPlayer", Duration::from_secs(3))));
    }
}
