//! Notifications 1.0: the flags, and the tones one after the other.

use std::time::Duration;

use antiphon_avs::device::DeviceInput;
use antiphon_avs::signal::{Signal, SoundNews, Wish};
use antiphon_domain::media::{MediaError, MediaErrorKind};
use antiphon_domain::sound::Voice;
use serde_json::{Value, json};

use crate::alerts_support::{listen, say_no_more, set, started as alert_started};
use crate::support::{Bench, lines};

fn indicate(bench: &mut Bench, asset: &str, persist: bool) -> Vec<String> {
    let asset = json!({ "assetId": asset, "url": format!("https://media.test/{asset}") });
    let payload = json!({ "persistVisualIndicator": persist, "playAudioIndicator": true, "asset": asset });
    bench.directive("Notifications.SetIndicator", payload)
}

fn started(bench: &mut Bench, number: u64) {
    let at = bench.now;
    assert!(bench.sound(Voice::Notification, number, SoundNews::Started { at }).is_empty());
}

fn state(bench: &Bench) -> Value {
    let context = bench.device.context(bench.moment());
    context.into_iter().find(|entry| entry.header.name == "IndicatorState").unwrap().payload
}

fn flags(enabled: bool, persisted: bool) -> Value {
    json!({ "isEnabled": enabled, "isVisualIndicatorPersisted": persisted })
}

/// Only the sounds, without where they are.
fn sounds(lines: &[String]) -> Vec<String> {
    let heard = lines.iter().filter(|line| line.starts_with("sound "));
    heard.map(|line| line.split('(').next().unwrap().to_owned()).collect()
}

#[test]
fn an_indicator_is_heard_and_seen_at_once() {
    let mut bench = Bench::new();
    assert_eq!(state(&bench), flags(false, false));
    let told = indicate(&mut bench, "ding", true);
    assert_eq!(told[0], "store notifications.indicator {\"enabled\":true,\"persisted\":true}");
    assert_eq!(sounds(&told), ["sound Notification1 is Media", "sound Notification1"]);
    assert!(told[1].contains("https://media.test/ding"));
    assert_eq!(state(&bench), flags(true, true));
    assert!(bench.device.picture(bench.moment()).notification);
    // Of the same nothing is to be kept again.
    started(&mut bench, 1);
    bench.sound(Voice::Notification, 1, SoundNews::Finished);
    assert_eq!(sounds(&indicate(&mut bench, "ding", true)).len(), 2);
}

#[test]
fn the_same_asset_does_not_sound_twice_at_once_and_another_one_after_it() {
    let mut bench = Bench::new();
    indicate(&mut bench, "ding", false);
    started(&mut bench, 1);
    // Its visual part counts all the same.
    let same = indicate(&mut bench, "ding", true);
    assert_eq!(same, ["store notifications.indicator {\"enabled\":true,\"persisted\":true}"]);
    assert!(sounds(&indicate(&mut bench, "dong", true)).is_empty());
    assert!(sounds(&indicate(&mut bench, "dong", true)).is_empty());
    for number in 2..=3 {
        let next = bench.sound(Voice::Notification, number - 1, SoundNews::Finished);
        assert_eq!(sounds(&next)[1], format!("sound Notification{number}"));
    }
    assert!(bench.sound(Voice::Notification, 3, SoundNews::Finished).is_empty());
}

#[test]
fn without_sound_only_the_light_goes_on() {
    let mut bench = Bench::new();
    let payload = json!({ "persistVisualIndicator": false, "playAudioIndicator": false });
    assert!(sounds(&bench.directive("Notifications.SetIndicator", payload)).is_empty());
    assert_eq!(state(&bench), flags(true, false));
    let payload = json!({ "persistVisualIndicator": false, "playAudioIndicator": true });
    let refused = bench.directive("Notifications.SetIndicator", payload);
    assert_eq!(refused, ["! UNEXPECTED_INFORMATION_RECEIVED"]);
}

#[test]
fn a_tone_that_cannot_be_had_is_replaced() {
    let error = || MediaError { kind: MediaErrorKind::ServiceUnavailable, message: String::new() };
    let mut bench = Bench::new();
    indicate(&mut bench, "ding", false);
    let instead = bench.sound(Voice::Notification, 1, SoundNews::Failed(error()));
    assert_eq!(instead, ["sound Notification2 is BuiltIn(Notification)", "sound Notification2"]);
    // If that fails too, the next one has its turn.
    indicate(&mut bench, "dong", false);
    let next = bench.sound(Voice::Notification, 2, SoundNews::Failed(error()));
    assert_eq!(sounds(&next), ["sound Notification3 is Media", "sound Notification3"]);
    // A server that says nothing holds nothing up.
    let late = bench.pass(5_000);
    assert_eq!(
        late,
        ["sound Notification3 stops", "sound Notification4 is BuiltIn(Notification)", "sound Notification4"]
    );
    started(&mut bench, 4);
    // A tone without end is cut.
    assert_eq!(bench.pass(30_000), ["sound Notification4 stops"]);
    assert_eq!(bench.device.deadline().filter(|due| *due <= bench.now), None);

    let payload = json!({
        "persistVisualIndicator": false,
        "playAudioIndicator": true,
        "asset": { "assetId": "x", "url": "file:///etc/passwd" },
    });
    let told = bench.directive("Notifications.SetIndicator", payload);
    assert_eq!(told, ["sound Notification5 is BuiltIn(Notification)", "sound Notification5"]);
}

#[test]
fn cleared_it_is_silent_and_dark() {
    let mut bench = Bench::new();
    indicate(&mut bench, "ding", true);
    indicate(&mut bench, "dong", true);
    let cleared = bench.directive("Notifications.ClearIndicator", json!({}));
    assert_eq!(cleared, ["sound Notification1 stops", "store notifications.indicator null"]);
    assert_eq!(state(&bench), flags(false, false));
    assert!(bench.sound(Voice::Notification, 1, SoundNews::Finished).is_empty());
    assert!(!bench.device.picture(bench.moment()).notification);
    // With the account it is the same.
    indicate(&mut bench, "ding", true);
    let gone = lines(&bench.input(DeviceInput::LoggedOut));
    assert!(gone.contains(&"sound Notification2 stops".into()), "{gone:?}");
    assert_eq!(state(&bench), flags(false, false));
}

#[test]
fn both_flags_outlive_a_restart() {
    let mut bench = Bench::new();
    indicate(&mut bench, "ding", true);
    assert_eq!(state(&bench.restarted(Duration::from_secs(60))), flags(true, true));
    indicate(&mut bench, "ding", false);
    let mut again = bench.restarted(Duration::from_secs(60));
    assert_eq!(state(&again), flags(true, false));
    again.directive("Notifications.ClearIndicator", json!({}));
    assert_eq!(state(&again.restarted(Duration::from_secs(60))), flags(false, false));
}

#[test]
fn a_tone_waits_for_the_end_of_an_alert() {
    let mut bench = Bench::new();
    set(&mut bench, "a", "TIMER", -1, json!({}));
    alert_started(&mut bench, 1);
    assert!(sounds(&indicate(&mut bench, "ding", false)).is_empty());
    assert_eq!(state(&bench), flags(true, false));
    let after = bench.signal(Signal::Wish(Wish::StopAlert));
    assert_eq!(sounds(&after).last().unwrap(), "sound Notification1");
}

#[test]
fn after_a_long_alert_one_tone_is_heard() {
    for (seconds, heard) in [(10, 3), (120, 1)] {
        let mut bench = Bench::new();
        set(&mut bench, "a", "TIMER", -1, json!({}));
        alert_started(&mut bench, 1);
        for asset in ["one", "two", "three"] {
            assert!(sounds(&indicate(&mut bench, asset, false)).is_empty());
        }
        bench.now = bench.now + Duration::from_secs(seconds);
        let after = bench.signal(Signal::Wish(Wish::StopAlert));
        let first = if heard == 1 { "three" } else { "one" };
        assert!(after.iter().any(|line| line.contains(&format!("https://media.test/{first}"))), "{after:?}");
        let mut played = 1;
        while !bench.sound(Voice::Notification, played, SoundNews::Finished).is_empty() {
            played += 1;
        }
        assert_eq!(played, heard, "after {seconds} s");
    }
}

#[test]
fn a_tone_waits_while_somebody_is_listened_to() {
    let mut bench = Bench::new();
    bench.input(DeviceInput::Connected);
    indicate(&mut bench, "ding", false);
    let begun = listen(&mut bench);
    assert!(begun.contains(&"sound Notification1 stops".into()), "{begun:?}");
    assert!(sounds(&indicate(&mut bench, "dong", false)).is_empty());
    assert_eq!(state(&bench), flags(true, false));
    // The one that was not heard is heard first.
    assert!(sounds(&say_no_more(&mut bench)).is_empty(), "the tone that says so comes first");
    let after = bench.pass(1_000);
    assert!(after.iter().any(|line| line.contains("media.test/ding")), "{after:?}");
    started(&mut bench, 2);
    let next = bench.sound(Voice::Notification, 2, SoundNews::Finished);
    assert!(next[0].contains("media.test/dong"));
}

#[test]
fn a_flood_of_indicators_is_bounded() {
    let mut bench = Bench::new();
    for n in 0..100 {
        indicate(&mut bench, &format!("{n}"), false);
    }
    let mut played = 1;
    while !bench.sound(Voice::Notification, played, SoundNews::Finished).is_empty() {
        played += 1;
    }
    assert_eq!(played, 17);
}
