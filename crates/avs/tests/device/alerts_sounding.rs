//! Alerts 1.5, sounding: when an alert is heard, and what is heard of it.

use std::time::Duration;

use antiphon_avs::device::{DeviceConfig, DeviceInput};
use antiphon_avs::effect::AssetId;
use antiphon_avs::signal::{Signal, SoundNews};
use antiphon_domain::sound::Voice;
use serde_json::json;

use crate::alerts_support::*;
use crate::support::lines;

#[test]
fn the_first_sample_is_due_at_the_second_it_was_set_for() {
    let config = DeviceConfig { lead: Duration::from_millis(2_000), ..Default::default() };
    let mut bench = with(config);
    bench.now = bench.now + Duration::from_millis(345);
    // A fraction is not heeded: the resolution is a second.
    set(&mut bench, "a", "ALARM", 60, json!({}));
    assert!(sounds(&bench.pass(54_654)).is_empty());
    // Five seconds ahead the endpoint is woken.
    assert_eq!(sounds(&bench.pass(1)), ["sound Alert1 is BuiltIn(Alarm)"]);
    assert!(bench.pass(2_749).is_empty());
    assert_eq!(bench.pass(1), ["sound Alert1 at 1060000 ms"]);
    // Content ducks by the time the alert is heard: the channel is taken a lead ahead.
    assert!(bench.pass(249).is_empty());
    assert_eq!(bench.pass(1), ["content None"]);
    assert!(bench.pass(2_000).is_empty());
    let told_of = started(&mut bench, 1);
    assert_eq!(told(&told_of), ["AlertStarted a", "AlertEnteredForeground a"]);
    let event = told_of.iter().find(|line| line.starts_with("AlertStarted")).unwrap();
    assert!(event.contains("\"eventTime\":\"2030-01-01T00:17:40.000Z\""), "{event}");
    assert!(event.contains("\"scheduledTime\":\"2030-01-01T00:17:40.345Z\""), "{event}");
}

#[test]
fn an_alert_passes_again_and_again_each_pass_chained_to_the_one_before() {
    let mut bench = bench();
    set(&mut bench, "a", "TIMER", 10, json!({ "loopCount": "2", "loopPauseInMilliSeconds": 700 }));
    bench.pass(10_000);
    let next = started(&mut bench, 1);
    assert_eq!(sounds(&next), ["sound Alert2 is BuiltIn(Timer)", "sound Alert2 after Alert1 + 700 ms"]);
    assert!(finished(&mut bench, 1).is_empty());
    assert!(started(&mut bench, 2).is_empty());
    assert_eq!(told(&finished(&mut bench, 2)), ["AlertStopped a"]);
    assert_eq!(state(&bench), (vec![], vec![]));
}

#[test]
fn assets_are_played_in_their_order_repeats_included() {
    let mut bench = bench();
    let effects = set(&mut bench, "a", "REMINDER", 10, two_assets());
    fetched(&mut bench, &effects);
    let mut played = bench.pass(10_000);
    for number in 1..=6 {
        played.extend(started(&mut bench, number));
        played.extend(finished(&mut bench, number));
    }
    let names: Vec<&str> = played
        .iter()
        .filter_map(|line| line.split_once(" is Asset(AssetId(").map(|(_, name)| name))
        .collect();
    assert_eq!(names.len(), 6);
    assert_eq!([names[0], names[1], names[0]], names[3..6]);
    assert_eq!((names[0], names[0] == names[1]), (names[2], false));
    // Only between passes there is a pause.
    let pauses: Vec<&str> = played.iter().filter_map(|l| l.split_once(" + ").map(|(_, p)| p)).collect();
    assert_eq!(pauses, ["0 ms", "0 ms", "500 ms", "0 ms", "0 ms"]);
    assert_eq!(told(&played).last().unwrap(), "AlertStopped a");
    assert_eq!(played.iter().filter(|line| line.starts_with("discard")).count(), 2);
}

#[test]
fn a_file_that_is_not_there_in_time_makes_place_for_the_tone() {
    let mut bench = bench();
    let effects = set(&mut bench, "a", "REMINDER", 10, two_assets());
    assert_eq!(kinds(&bench.pass(6_000)), ["sound Alert1 is BuiltIn(Reminder)"]);
    // It came just in time after all.
    fetched(&mut bench, &effects);
    assert_eq!(kinds(&bench.pass(4_000)), ["sound Alert2 at 1010000 ms"]);

    let mut bench = self::bench();
    let effects = set(&mut bench, "a", "REMINDER", 10, two_assets());
    bench.pass(10_000);
    fetched(&mut bench, &effects);
    let next = started(&mut bench, 1);
    assert_eq!(kinds(&next), ["sound Alert2 is BuiltIn(Reminder)", "sound Alert2 after Alert1 + 500 ms"]);
}

#[test]
fn a_tone_that_lost_its_endpoint_is_asked_for_again_and_the_alert_goes_on() {
    let mut bench = sounding("a", "ALARM", json!({}));
    // The present pass and the one chained to it, in the order in which the speaker tells.
    let again = bench.sound(Voice::Alert, 1, SoundNews::Lost);
    assert_eq!(kinds(&again), ["sound Alert2 stops", "sound Alert3 is BuiltIn(Alarm)", "sound Alert3"]);
    assert_eq!(kinds(&bench.sound(Voice::Alert, 2, SoundNews::Lost)), [""; 0]);
    // As often as it takes, heard or not.
    let again = bench.sound(Voice::Alert, 3, SoundNews::Lost);
    assert_eq!(kinds(&again), ["sound Alert4 is BuiltIn(Alarm)", "sound Alert4"]);
    let next = started(&mut bench, 4);
    assert_eq!(told(&next), [""; 0], "it is the same alert still");
    assert_eq!(kinds(&next), ["sound Alert5 is BuiltIn(Alarm)", "sound Alert5 after Alert4 + 0 ms"]);
    assert_eq!(state(&bench).1, ["a"]);

    // Before it is due: it is due then.
    let mut bench = self::bench();
    set(&mut bench, "a", "ALARM", 10, json!({}));
    bench.pass(9_900);
    let again = bench.sound(Voice::Alert, 1, SoundNews::Lost);
    assert_eq!(kinds(&again), ["sound Alert2 is BuiltIn(Alarm)", "sound Alert2 at 1010000 ms"]);
}

#[test]
fn a_file_that_cannot_be_played_makes_place_for_the_tone_for_good() {
    let mut bench = bench();
    let effects = set(&mut bench, "a", "REMINDER", 10, two_assets());
    fetched(&mut bench, &effects);
    bench.pass(10_000);
    started(&mut bench, 1);
    // The second one, prepared while the first sounds.
    let instead = failed(&mut bench, 2);
    assert_eq!(kinds(&instead), ["sound Alert3 is BuiltIn(Reminder)", "sound Alert3 after Alert1 + 0 ms"]);
    finished(&mut bench, 1);
    let next = started(&mut bench, 3);
    assert_eq!(kinds(&next), ["sound Alert4 is BuiltIn(Reminder)", "sound Alert4 after Alert3 + 500 ms"]);

    // The first one, before it is due: the tone is due then.
    let mut bench = self::bench();
    let effects = set(&mut bench, "a", "REMINDER", 10, two_assets());
    fetched(&mut bench, &effects);
    bench.pass(6_000);
    assert_eq!(kinds(&failed(&mut bench, 1)), ["sound Alert2 is BuiltIn(Reminder)"]);
    assert_eq!(kinds(&bench.pass(3_700)), ["sound Alert2 at 1010000 ms"]);
    // Not even the tone: it ends, and that is told.
    assert_eq!(told(&failed(&mut bench, 2)), ["AlertStopped a"]);
    assert_eq!(state(&bench).0, Vec::<String>::new());

    // A file with nothing in it would be a silent alarm.
    let mut bench = self::bench();
    let effects = set(&mut bench, "a", "REMINDER", 10, two_assets());
    fetched(&mut bench, &effects);
    bench.pass(10_000);
    let instead = finished(&mut bench, 1);
    assert_eq!(kinds(&instead), ["sound Alert2 is BuiltIn(Reminder)", "sound Alert2"]);
}

#[test]
fn what_could_not_be_fetched_is_asked_for_again() {
    let mut bench = bench();
    let effects = set(&mut bench, "a", "REMINDER", 1000, two_assets());
    let name = effects.iter().find_map(|line| line.strip_prefix("fetch ")).unwrap().to_owned();
    bench.signal(Signal::Fetched(AssetId(name.clone()), Err("no route".into())));
    let again = bench.pass(300_000);
    assert!(again.contains(&format!("fetch {name}")), "{again:?}");
    bench.input(DeviceInput::Disconnected);
    let again = lines(&bench.input(DeviceInput::Connected));
    assert!(again.contains(&format!("fetch {name}")), "{again:?}");
    // Names that were never asked for are nothing to it.
    bench.signal(Signal::Fetched(AssetId("alerts/x/y".into()), Ok(())));
}

#[test]
fn an_alert_ends_an_hour_after_the_moment_it_was_set_for() {
    let mut bench = bench();
    set(&mut bench, "a", "ALARM", -1200, json!({}));
    started(&mut bench, 1);
    assert!(told(&bench.pass(2_399_999)).is_empty());
    assert_eq!(told(&bench.pass(1)), ["AlertStopped a"]);
}

#[test]
fn one_alert_sounds_at_a_time_by_time_and_then_by_token() {
    let mut bench = bench();
    for (token, seconds) in [("c", 10), ("b", 10), ("a", 20)] {
        set(&mut bench, token, "TIMER", seconds, json!({ "loopCount": 1 }));
    }
    bench.pass(10_000);
    assert_eq!(told(&started(&mut bench, 1)), ["AlertStarted b", "AlertEnteredForeground b"]);
    assert!(told(&bench.pass(20_000)).is_empty());
    assert_eq!(state(&bench), (vec!["b".into(), "c".into(), "a".into()], vec!["b".into()]));
    let next = finished(&mut bench, 1);
    assert_eq!(told(&next), ["AlertStopped b"]);
    assert_eq!(sounds(&next), ["sound Alert2 is BuiltIn(Timer)", "sound Alert2"]);
    assert_eq!(told(&started(&mut bench, 2)), ["AlertStarted c", "AlertEnteredForeground c"]);
    finished(&mut bench, 2);
    assert_eq!(told(&started(&mut bench, 3)), ["AlertStarted a", "AlertEnteredForeground a"]);
}

#[test]
fn who_waits_an_hour_for_another_never_sounds() {
    let mut bench = bench();
    set(&mut bench, "a", "ALARM", 10, json!({}));
    set(&mut bench, "b", "ALARM", 11, json!({}));
    bench.pass(10_000);
    started(&mut bench, 1);
    let ended = bench.pass(3_600_000);
    assert_eq!(told(&ended).last().unwrap(), "AlertStopped a");
    assert_eq!(told(&bench.pass(1_000)), ["AlertStopped b"]);
}

#[test]
fn music_takes_the_place_of_the_alarm_it_was_asked_for() {
    let mut bench = sounding("a", "ALARM", json!({}));
    let play = |id: &str| {
        json!({
            "playBehavior": "REPLACE_ALL",
            "playRequestor": { "type": "ALERT", "id": id },
            "audioItem": { "audioItemId": "i", "stream": { "url": "https://media.test/m", "token": "t" } },
        })
    };
    bench.directive("AudioPlayer.Play", play("another"));
    assert!(!told(&bench.started(1)).contains(&"AlertStopped a".into()));
    bench.directive("AudioPlayer.Play", play("a"));
    let music = bench.started(2);
    assert!(told(&music).contains(&"AlertStopped a".into()), "{music:?}");
    assert_eq!(state(&bench), (vec![], vec![]));
}

#[test]
fn behind_a_request_it_is_short_and_in_front_again_when_the_request_is_over() {
    let mut bench = bench();
    set(&mut bench, "a", "TIMER", 5, json!({}));
    listen(&mut bench);
    let begun = bench.pass(5_000);
    assert!(sounds(&begun).contains(&"sound Alert2 is BuiltIn(TimerShort)"), "{begun:?}");
    assert_eq!(told(&started(&mut bench, 2)), ["AlertStarted a", "AlertEnteredBackground a"]);
    say_no_more(&mut bench);
    // Nothing comes of it.
    let over = bench.pass(10_000);
    assert!(told(&over).contains(&"AlertEnteredForeground a".into()), "{over:?}");
    assert!(sounds(&over).contains(&"sound Alert3 is BuiltIn(Timer)"), "{over:?}");
}
