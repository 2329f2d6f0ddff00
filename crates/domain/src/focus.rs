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

/// Who was displaced for a while.
#[derive(Clone, Copy, Debug)]
struct Parked {
    holder: Holder,
    until: HubTime,
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
    parked: [Option<Parked>; 4],
    last: [Option<LastUse>; 4],
    unrecorded: Option<&'static str>,
}

impl FocusState {
    /// Nobody holds anything. Without `ducking` whatever would be ducked is paused.
    pub fn new(ducking: bool) -> Self {
        Self { ducking, holders: [None; 4], parked: [None; 4], last: [None; 4], unrecorded: None }
    }

    /// Leaves an interface out of [`activity`](Self::activity), as though it had never held anything.
    pub fn not_recording(mut self, interface: &'static str) -> Self {
        self.unrecorded = Some(interface);
        self
    }

    /// Gives a channel to an interface; whoever held it, or waits for it, gets `None` first. The taker always gets an
    /// answer, even when nothing changed for it, so that it may take again with another mixability.
    pub fn take(
        &mut self,
        channel: Channel,
        interface: &'static str,
        mixability: Mixability,
        now: HubTime,
    ) -> Vec<FocusChange> {
        let mut changes = Vec::new();
        self.unpark(channel, Some(interface), &mut changes);
        self.displace(channel, interface, now, &mut changes);
        self.hold(channel, interface, mixability, &mut changes);
        changes
    }

    /// The same for a newcomer that may soon be gone: whoever held the channel is told `Paused` and has it back when
    /// the newcomer gives it up within `patience`; after that it gets `None`.
    pub fn take_patiently(
        &mut self,
        channel: Channel,
        interface: &'static str,
        mixability: Mixability,
        patience: Duration,
        now: HubTime,
    ) -> Vec<FocusChange> {
        let mut changes = Vec::new();
        let slot = channel.index();
        if self.parked[slot].is_some() {
            // One waits already; whoever is displaced now was itself a guest.
            self.displace(channel, interface, now, &mut changes);
        } else if let Some(old) = self.holders[slot].filter(|old| old.interface != interface) {
            let holder = Holder { focus: Focus::Paused, ..old };
            self.parked[slot] = Some(Parked { holder, until: now + patience });
            if old.focus != Focus::Paused {
                changes.push(FocusChange { channel, interface: old.interface, focus: Focus::Paused });
            }
        }
        if self.parked[slot].is_some_and(|parked| parked.holder.interface == interface) {
            self.parked[slot] = None;
        }
        self.hold(channel, interface, mixability, &mut changes);
        changes
    }

    /// Takes an interface's hold on a channel away at its own wish, also one that waits to be given back; nothing when
    /// it has none.
    pub fn give_up(&mut self, channel: Channel, interface: &'static str, now: HubTime) -> Vec<FocusChange> {
        let mut changes = Vec::new();
        let slot = channel.index();
        if self.holders[slot].is_some_and(|holder| holder.interface == interface) {
            self.record(slot, interface, now);
            self.holders[slot] = self.parked[slot].take().map(|parked| parked.holder);
            self.settle(&mut changes);
        } else if self.parked[slot].is_some_and(|parked| parked.holder.interface == interface) {
            self.parked[slot] = None;
        }
        changes
    }

    /// Takes the channel in front away from its holder, and from whoever waits for it; the next one comes to front.
    pub fn stop_foreground(&mut self, now: HubTime) -> Vec<FocusChange> {
        let mut changes = Vec::new();
        let front = Channel::ALL.into_iter().find(|channel| self.holders[channel.index()].is_some());
        let Some(channel) = front else { return changes };
        self.unpark(channel, None, &mut changes);
        if let Some(old) = self.holders[channel.index()].take() {
            self.record(channel.index(), old.interface, now);
            changes.push(FocusChange { channel, interface: old.interface, focus: Focus::None });
        }
        self.settle(&mut changes);
        changes
    }

    /// When [`expire`](Self::expire) has something to do.
    pub fn deadline(&self) -> Option<HubTime> {
        self.parked.iter().flatten().map(|parked| parked.until).min()
    }

    /// Tells those that waited for too long.
    pub fn expire(&mut self, now: HubTime) -> Vec<FocusChange> {
        let mut changes = Vec::new();
        for channel in Channel::ALL {
            if self.parked[channel.index()].is_some_and(|parked| parked.until <= now) {
                self.unpark(channel, None, &mut changes);
            }
        }
        changes
    }

    fn unpark(&mut self, channel: Channel, taker: Option<&'static str>, changes: &mut Vec<FocusChange>) {
        let Some(parked) = self.parked[channel.index()].take() else { return };
        let interface = parked.holder.interface;
        if taker != Some(interface) {
            changes.push(FocusChange { channel, interface, focus: Focus::None });
        }
    }

    fn displace(
        &mut self,
        channel: Channel,
        taker: &'static str,
        now: HubTime,
        changes: &mut Vec<FocusChange>,
    ) {
        let old = self.holders[channel.index()].filter(|old| old.interface != taker);
        if let Some(old) = old {
            self.record(channel.index(), old.interface, now);
            changes.push(FocusChange { channel, interface: old.interface, focus: Focus::None });
        }
    }

    fn hold(
        &mut self,
        channel: Channel,
        interface: &'static str,
        mixability: Mixability,
        changes: &mut Vec<FocusChange>,
    ) {
        // `None` differs from whatever `settle` finds, so the taker is answered.
        self.holders[channel.index()] = Some(Holder { interface, mixability, focus: Focus::None });
        self.settle(changes);
    }

    fn record(&mut self, slot: usize, interface: &'static str, now: HubTime) {
        if self.unrecorded != Some(interface) {
            self.last[slot] = Some(LastUse { interface, released: now });
        }
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
        if let Some(holder) = self.holders[slot].filter(|holder| self.unrecorded != Some(holder.interface)) {
            return Some((holder.interface, Duration::ZERO));
        }
        self.last[slot].map(|last| (last.interface, now.since(last.released)))
    }

    /// Finds what each holder must do, and collects what changed, the background first: a music that must fall silent
    /// hears it before the voice that will speak.
    fn settle(&mut self, changes: &mut Vec<FocusChange>) {
        let holders = self.holders;
        for channel in Channel::ALL.into_iter().rev() {
            let Some(holder) = self.holders[channel.index()].as_mut() else { continue };
            // The sternest of all that are more important counts: a call that itself stands still under Alexa's voice
            // keeps music silent.
            let mut focus = Focus::Foreground;
            for higher in holders[..channel.index()].iter().flatten() {
                let under = if self.ducking {
                    behind(channel, holder.mixability, higher.mixability)
                } else {
                    Focus::Paused
                };
                if focus != Focus::Paused {
                    focus = under;
                }
            }
            // Once paused, a holder is told so until it is in front again, or takes anew.
            if holder.focus == Focus::Paused && focus == Focus::Ducked {
                focus = Focus::Paused;
            }
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
mod tests;
