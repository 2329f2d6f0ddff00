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

#[test]
fn a_guest_gives_the_channel_back_in_time_or_keeps_it() {
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let content = |interface, focus| change(Channel::Content, interface, focus);
    let mut state = FocusState::new(true);
    state.take(Channel::Content, "music", Mixable, T0);
    let taken = state.take_patiently(Channel::Content, "phone", Mixable, minutes(2), T0);
    assert_eq!(taken, [content("music", Focus::Paused), content("phone", Focus::Foreground)]);
    assert_eq!(state.deadline(), Some(T0 + minutes(2)));
    assert_eq!(state.expire(T0 + minutes(1)), []);
    assert_eq!(state.give_up(Channel::Content, "phone", T0), [content("music", Focus::Foreground)]);
    assert_eq!(state.deadline(), None);

    state.take_patiently(Channel::Content, "phone", Mixable, minutes(2), T0);
    assert_eq!(state.expire(T0 + minutes(2)), [content("music", Focus::None)]);
    assert_eq!(state.give_up(Channel::Content, "phone", T0), []);

    state.take(Channel::Content, "music", Mixable, T0);
    state.take_patiently(Channel::Content, "phone", Mixable, minutes(2), T0);
    let taken = state.take(Channel::Content, "music", Mixable, T0);
    assert_eq!(taken, [content("phone", Focus::None), content("music", Focus::Foreground)]);
    state.take_patiently(Channel::Content, "phone", Mixable, minutes(2), T0);
    let taken = state.take(Channel::Content, "input", Mixable, T0);
    let lost = [content("music", Focus::None), content("phone", Focus::None)];
    assert_eq!(taken, [lost[0], lost[1], content("input", Focus::Foreground)]);
}

#[test]
fn a_guest_that_leaves_under_speech_gives_back_a_paused_channel() {
    let mut state = FocusState::new(true);
    state.take(Channel::Content, "music", Mixable, T0);
    state.take_patiently(Channel::Content, "phone", Mixable, Duration::from_secs(9), T0);
    state.take(Channel::Dialog, "speech", Mixable, T0);
    assert_eq!(state.give_up(Channel::Content, "phone", T0), []);
    assert_eq!(state.view().of(Channel::Content), Some(Focus::Paused));
    let given = state.give_up(Channel::Dialog, "speech", T0);
    assert_eq!(given, [change(Channel::Content, "music", Focus::Foreground)]);
}

#[test]
fn whoever_is_in_front_can_be_stopped_one_after_the_other() {
    let mut state = FocusState::new(true);
    state.take(Channel::Content, "music", Mixable, T0);
    state.take_patiently(Channel::Content, "phone", Mixable, Duration::from_secs(9), T0);
    state.take(Channel::Alerts, "alarm", Mixable, T0);
    let alarm = change(Channel::Alerts, "alarm", Focus::None);
    let phone = |focus| change(Channel::Content, "phone", focus);
    assert_eq!(state.stop_foreground(T0), [alarm, phone(Focus::Foreground)]);
    let music = change(Channel::Content, "music", Focus::None);
    assert_eq!(state.stop_foreground(T0), [music, phone(Focus::None)]);
    assert_eq!(state.stop_foreground(T0), []);
    assert_eq!(state.view(), FocusView::default());
}

#[test]
fn a_call_that_stands_still_keeps_music_silent() {
    let mut state = FocusState::new(true);
    state.take(Channel::Communications, "call", NonMixable, T0);
    state.take(Channel::Dialog, "speech", Mixable, T0);
    state.take(Channel::Content, "music", Mixable, T0);
    assert_eq!(state.view().of(Channel::Content), Some(Focus::Paused));
}

#[test]
fn a_listener_is_no_source_of_sound() {
    let mut state = FocusState::new(true).not_recording("ear");
    let later = T0 + Duration::from_secs(3);
    state.take(Channel::Dialog, "ear", Mixable, T0);
    assert_eq!(state.activity(Channel::Dialog, later), None);
    state.take(Channel::Dialog, "mouth", Mixable, T0);
    assert_eq!(state.activity(Channel::Dialog, later), Some(("mouth", Duration::ZERO)));
    state.take(Channel::Dialog, "ear", Mixable, T0);
    assert_eq!(state.activity(Channel::Dialog, later), Some(("mouth", Duration::from_secs(3))));
    state.give_up(Channel::Dialog, "ear", later);
    assert_eq!(state.activity(Channel::Dialog, later), Some(("mouth", Duration::from_secs(3))));
}
