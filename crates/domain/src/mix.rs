//! Where loudness is applied, and what each input of a speaker's mixer is heard at.
//!
//! Volume goes to the last place that can do it, so that it is heard at once and not a buffer later; ducking and
//! equalizer stay in our mixer. Alerts have a volume of their own, which neither the Speaker volume nor its mute
//! touches: where the receiver has the volume, it is turned up for them and everything else down in the mixer.

use crate::focus::{Channel, Focus, FocusView};
use crate::level::Level;
use crate::units::{Gain, Volume};

/// All that decides how loud a speaker's inputs are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loudness {
    /// What the speaker is asked to play content and speech at.
    pub level: Level,
    /// What it plays alerts and notification tones at.
    pub alerts: Volume,
    /// The bound on anything heard (product law 5).
    pub ceiling: Volume,
    /// Who is in front.
    pub focus: FocusView,
    /// Whether an alert or a notification sounds now.
    pub tone: bool,
    /// Whether the receiver has a volume of its own.
    pub receiver_has_volume: bool,
}

/// What each input of the mixer is multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputGains {
    /// The group's content.
    pub content: Gain,
    /// In the order of [`Voice::ALL`](crate::sound::Voice::ALL).
    pub voices: [Gain; 3],
}

impl InputGains {
    /// Everything as it is.
    pub const UNITY: InputGains = InputGains::all(Gain::UNITY);

    /// Everything at one gain.
    pub const fn all(gain: Gain) -> Self {
        Self { content: gain, voices: [gain; 3] }
    }
}

/// Where each part of a speaker's loudness is applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// What the receiver is told, when it has a volume of its own.
    pub receiver: Option<Level>,
    /// What our mixer applies to each input.
    pub inputs: InputGains,
}

/// What a volume becomes while it is ducked (AVS Device SDK: 20 for 40 and more, 20 less below, silence below 20).
pub fn ducked(volume: Volume) -> Volume {
    Volume::nearest(f64::from(volume.get()) - 20.0).min(Volume::DUCKED)
}

/// Decides where a loudness is applied.
pub fn place(loudness: &Loudness) -> Placement {
    let Loudness { level, alerts, ceiling, focus, tone, receiver_has_volume } = *loudness;
    let speaker = if level.muted { Volume::MIN } else { level.volume.min(ceiling) };
    let alert = alerts.min(ceiling);
    // An alert over content is at least as loud as the content was (AVS Device SDK), from its first sample on: that is
    // settled before it holds its channel. Content ducks beneath it.
    let over_content = focus.of(Channel::Content).is_some();
    let ringing = if over_content { alert.max(speaker) } else { alert };
    let in_front = [Channel::Dialog, Channel::Communications, Channel::Alerts];
    let under = tone || in_front.into_iter().any(|channel| focus.of(channel).is_some());
    let content = if under { ducked(speaker) } else { speaker };
    let behind = focus.of(Channel::Alerts).is_some_and(|focus| focus != Focus::Foreground);
    let ringing = if behind { ducked(ringing) } else { ringing };
    let heard = [content, speaker, ringing, alert];

    let (receiver, full) = if !receiver_has_volume {
        (None, Volume::MAX)
    } else if tone {
        let volume = speaker.max(alert);
        (Some(Level { volume, muted: false }), volume)
    } else {
        let volume = level.volume.min(ceiling);
        (Some(Level { volume, muted: level.muted }), volume)
    };
    // What the receiver takes away itself is not taken away twice: a muted one has silenced all of it.
    let muted_there = receiver.is_some_and(|level| level.muted);
    let gain = |volume: Volume| {
        if muted_there || volume == full { Gain::UNITY } else { volume.gain().over(full.gain()) }
    };
    let [content, dialog, ringing, notification] = heard.map(gain);
    Placement { receiver, inputs: InputGains { content, voices: [dialog, ringing, notification] } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::focus::{FocusState, Mixability};
    use crate::units::HubTime;

    fn volume(v: i64) -> Volume {
        Volume::new(v).unwrap()
    }

    fn quiet(v: i64, receiver_has_volume: bool) -> Loudness {
        Loudness {
            level: Level { volume: volume(v), muted: false },
            alerts: volume(40),
            ceiling: Volume::MAX,
            focus: FocusState::new(true).view(),
            tone: false,
            receiver_has_volume,
        }
    }

    fn with(channels: &[Channel]) -> FocusView {
        let mut state = FocusState::new(true);
        for channel in channels {
            state.take(*channel, "test", Mixability::Mixable, HubTime::EPOCH);
        }
        state.view()
    }

    #[test]
    fn ducking_follows_the_table() {
        for (from, to) in [(100, 20), (60, 20), (40, 20), (30, 10), (20, 0), (10, 0), (0, 0)] {
            assert_eq!(ducked(volume(from)), volume(to), "{from}");
        }
    }

    #[test]
    fn a_receiver_with_a_volume_gets_it_and_the_mixer_does_nothing() {
        let placed = place(&quiet(30, true));
        assert_eq!(placed.receiver, Some(Level { volume: volume(30), muted: false }));
        assert_eq!(placed.inputs.content, Gain::UNITY);
        assert_eq!(placed.inputs.voices[0], Gain::UNITY);
        let placed = place(&quiet(30, false));
        assert_eq!(placed.receiver, None);
        assert_eq!(placed.inputs.content, volume(30).gain());
    }

    #[test]
    fn content_ducks_under_speech_and_speech_does_not() {
        for own in [false, true] {
            let placed =
                place(&Loudness { focus: with(&[Channel::Dialog, Channel::Content]), ..quiet(60, own) });
            let base = if own { volume(60).gain() } else { Gain::UNITY };
            assert_eq!(placed.inputs.content, volume(20).gain().over(base));
            assert_eq!(placed.inputs.voices[0], volume(60).gain().over(base));
        }
        // The content of somebody else's, which this speaker's own channels know nothing of, ducks too.
        let placed = place(&Loudness { focus: with(&[Channel::Dialog]), ..quiet(60, false) });
        assert_eq!(placed.inputs.content, volume(20).gain());
    }

    #[test]
    fn an_alert_is_heard_at_its_own_volume_also_while_muted() {
        for own in [false, true] {
            let mut loudness = Loudness { focus: with(&[Channel::Alerts]), tone: true, ..quiet(70, own) };
            loudness.level.muted = true;
            let placed = place(&loudness);
            let receiver = placed.receiver.map_or(Gain::UNITY, |level| level.volume.gain());
            assert_eq!(placed.receiver.map(|level| level.muted), own.then_some(false));
            assert!(
                (placed.inputs.voices[1].factor() * receiver.factor() - volume(40).gain().factor()).abs()
                    < 1e-6
            );
            assert_eq!(placed.inputs.content, Gain::Silence);
        }
    }

    #[test]
    fn an_alert_over_content_is_as_loud_as_that_was_before_it_has_begun() {
        let raised = |channels: &[Channel], v| {
            place(&Loudness { focus: with(channels), tone: true, ..quiet(v, false) }).inputs.voices
        };
        for channels in [&[Channel::Content][..], &[Channel::Alerts, Channel::Content]] {
            assert_eq!(raised(channels, 70)[1], volume(70).gain());
            assert_eq!(raised(channels, 70)[2], volume(40).gain(), "a notification is no alert");
            assert_eq!(raised(channels, 20)[1], volume(40).gain());
        }
        assert_eq!(raised(&[Channel::Alerts], 70)[1], volume(40).gain());
    }

    #[test]
    fn nothing_is_above_the_ceiling() {
        let loudness = Loudness {
            ceiling: volume(30),
            alerts: volume(90),
            tone: true,
            focus: with(&[Channel::Alerts, Channel::Content]),
            ..quiet(90, false)
        };
        let placed = place(&loudness);
        for gain in placed.inputs.voices.into_iter().chain([placed.inputs.content]) {
            assert!(gain.factor() <= volume(30).gain().factor());
        }
    }
}
