//! The volume and the mute switch of a client: what we set, what it says, and whose doing it was.
//!
//! Pure. A client reports every change, also those that we asked for; such a report is an echo and no news. Where a
//! client has no such command the level is applied to its samples instead ([`Knob::factor`]).

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_domain::{Gain, HubTime, Level, Volume};
use serde_json::{Map, Value};

/// How long a report may take to come back. Estimated, not measured: a client that saves power may take a second.
const ECHO: Duration = Duration::from_secs(2);

/// A client whose own scale is coarser may report what it made of a volume: up to this far from it.
const COARSE: u8 = 2;

/// Volumes set and not reported yet, at most.
const UNTOLD: usize = 32;

/// What a client can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Able {
    /// `volume`.
    pub volume: bool,
    /// `mute`.
    pub mute: bool,
}

/// What a report says that the hub did not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turned {
    /// Somebody turned the volume there.
    pub volume: Option<Volume>,
    /// Somebody muted it there, or let it be heard again.
    pub muted: Option<bool>,
}

/// One client's volume and mute switch.
#[derive(Debug, Default)]
pub struct Knob {
    able: Able,
    /// What the hub wants; `None` before it said so.
    wanted: Option<Level>,
    /// What is set there as far as we know: sent by us, or turned there since.
    volume: Option<Volume>,
    muted: Option<bool>,
    /// What it said last. Every report is whole, so most of them say again what was said.
    reported_volume: Option<Volume>,
    reported_mute: Option<bool>,
    /// Sent and not reported yet.
    volumes: VecDeque<(Volume, HubTime)>,
    mutes: VecDeque<(bool, HubTime)>,
}

impl Knob {
    /// The hub wants this level.
    pub fn want(&mut self, level: Level) {
        self.wanted = Some(level);
    }

    /// The session is over: the next begins with a level of its own.
    pub fn forget(&mut self) {
        self.wanted = None;
    }

    /// The client's report. The first of a connection is how it is, not a change of it.
    pub fn report(
        &mut self,
        able: Able,
        volume: Option<Volume>,
        muted: Option<bool>,
        now: HubTime,
    ) -> Turned {
        self.able = able;
        let mut turned = Turned::default();
        if let Some(volume) = volume
            && self.reported_volume != Some(volume)
        {
            let first = self.reported_volume.replace(volume).is_none();
            if !echo(&mut self.volumes, now, |sent| sent.get().abs_diff(volume.get()) <= COARSE) {
                self.volume = Some(volume);
                if !first {
                    turned.volume = Some(volume);
                    self.wanted = self.wanted.map(|level| Level { volume, ..level });
                }
            }
        }
        if let Some(muted) = muted
            && self.reported_mute != Some(muted)
        {
            let first = self.reported_mute.replace(muted).is_none();
            if !echo(&mut self.mutes, now, |sent| sent == muted) {
                self.muted = Some(muted);
                if !first {
                    turned.muted = Some(muted);
                    self.wanted = self.wanted.map(|level| Level { muted, ..level });
                }
            }
        }
        turned
    }

    /// The next command to send (a `server/command` player object); to be asked until there is none.
    pub fn command(&mut self, now: HubTime) -> Option<Map<String, Value>> {
        let wanted = self.wanted?;
        if self.able.mute && self.muted != Some(wanted.muted) {
            self.muted = Some(wanted.muted);
            remember(&mut self.mutes, wanted.muted, now);
            return Some(object("mute", "mute", wanted.muted.into()));
        }
        if self.able.volume && self.volume != Some(wanted.volume) {
            self.volume = Some(wanted.volume);
            remember(&mut self.volumes, wanted.volume, now);
            return Some(object("volume", "volume", wanted.volume.get().into()));
        }
        None
    }

    /// What the samples are to be multiplied by for want of commands; 1 where nothing is to be done.
    pub fn factor(&self) -> f32 {
        let Some(wanted) = self.wanted else { return 1.0 };
        if !self.able.mute && wanted.muted {
            return Gain::Silence.factor();
        }
        if self.able.volume { 1.0 } else { wanted.volume.gain().factor() }
    }

    /// The volume as far as it is known: the client's word, else ours.
    pub fn volume(&self) -> Option<Volume> {
        self.reported_volume.or(self.volume)
    }
}

/// A command with its one argument.
pub fn object(command: &str, key: &str, value: Value) -> Map<String, Value> {
    let mut player = Map::new();
    player.insert("command".into(), command.into());
    player.insert(key.into(), value);
    player
}

fn remember<T>(sent: &mut VecDeque<(T, HubTime)>, value: T, now: HubTime) {
    if sent.len() == UNTOLD {
        sent.pop_front();
    }
    sent.push_back((value, now));
}

/// Whether a report answers something sent; that and all sent before it are then done with.
fn echo<T: Copy>(sent: &mut VecDeque<(T, HubTime)>, now: HubTime, is_it: impl Fn(T) -> bool) -> bool {
    sent.retain(|(_, at)| now.since(*at) <= ECHO);
    let Some(place) = sent.iter().position(|(value, _)| is_it(*value)) else { return false };
    sent.drain(..=place);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABLE: Able = Able { volume: true, mute: true };

    fn level(volume: i64, muted: bool) -> Level {
        Level { volume: Volume::new(volume).unwrap(), muted }
    }

    fn volume(value: i64) -> Option<Volume> {
        Some(Volume::new(value).unwrap())
    }

    const fn at(millis: i64) -> HubTime {
        HubTime::from_nanos(millis * 1_000_000)
    }

    fn drain(knob: &mut Knob, now: HubTime) -> Vec<Map<String, Value>> {
        std::iter::from_fn(|| knob.command(now)).collect()
    }

    #[test]
    fn an_echo_is_no_news_and_a_turn_is() {
        let mut knob = Knob::default();
        assert_eq!(knob.report(ABLE, volume(70), Some(false), at(0)), Turned::default());
        knob.want(level(30, false));
        let sent = drain(&mut knob, at(1));
        assert_eq!(sent, [object("volume", "volume", 30.into())]);
        knob.want(level(40, false));
        assert_eq!(drain(&mut knob, at(2)).len(), 1);
        // The reports of both come late, the first after the second was sent.
        assert_eq!(knob.report(ABLE, volume(30), Some(false), at(100)), Turned::default());
        assert_eq!(knob.report(ABLE, volume(41), Some(false), at(110)), Turned::default());
        // A whole report that says it again, once no echo is awaited any more.
        assert_eq!(knob.report(ABLE, volume(41), Some(false), at(150)), Turned::default());
        assert_eq!(drain(&mut knob, at(151)), []);
        // Somebody turns it, and the hub does not turn it back.
        let turned = knob.report(ABLE, volume(55), Some(false), at(200));
        assert_eq!(turned, Turned { volume: volume(55), muted: None });
        assert_eq!(drain(&mut knob, at(201)), []);
        let turned = knob.report(ABLE, volume(55), Some(true), at(300));
        assert_eq!(turned, Turned { volume: None, muted: Some(true) });
        assert_eq!(drain(&mut knob, at(301)), []);
        knob.want(level(55, false));
        assert_eq!(drain(&mut knob, at(302)), [object("mute", "mute", false.into())]);
    }

    #[test]
    fn a_command_that_was_never_answered_does_not_hide_a_turn_for_ever() {
        let mut knob = Knob::default();
        knob.report(ABLE, volume(70), Some(false), at(0));
        knob.want(level(30, false));
        drain(&mut knob, at(0));
        let turned = knob.report(ABLE, volume(31), Some(false), at(3_000));
        assert_eq!(turned.volume, volume(31));
    }

    #[test]
    fn what_a_client_cannot_do_is_done_to_its_samples() {
        let mut knob = Knob::default();
        assert_eq!(knob.factor(), 1.0);
        knob.report(Able::default(), None, None, at(0));
        knob.want(level(50, false));
        assert_eq!(drain(&mut knob, at(0)), []);
        assert!((knob.factor() - 0.25).abs() < 1e-6);
        knob.want(level(50, true));
        assert_eq!(knob.factor(), 0.0);
        knob.report(Able { volume: true, mute: false }, volume(50), None, at(1));
        assert_eq!(knob.factor(), 0.0);
        knob.want(level(50, false));
        assert_eq!(knob.factor(), 1.0);
    }
}
