//! A leader hands its streams over to another device.

use std::time::Duration;

use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::PlayerId;
use antiphon_avs::interfaces::Estate;
use antiphon_avs::signal::{PlayerNews, Signal};
use serde_json::json;

use crate::audio_player::{play, playing};
use crate::support::Bench;

const NEW: u64 = PlayerId::INHERITED;

/// What `old` leaves, under new names, at its moment; and an idle heir.
fn handed_over(old: &Bench) -> (Bench, Signal) {
    let mut estate = old.estate.clone();
    estate.rename(|id| PlayerId(NEW + id.0));
    let mut heir = Bench::new();
    heir.now = old.now;
    (heir, Signal::Inherit(Box::new(estate)))
}

#[test]
fn the_stream_goes_on_and_the_rest_of_its_life_is_the_heirs() {
    let mut old = Bench::new();
    let report = json!({ "progressReport": { "progressReportIntervalInMilliseconds": 1_000 } });
    old.directive("AudioPlayer.Play", play("REPLACE_ALL", "a", report));
    old.started(1);
    old.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({})));
    old.directive("AudioPlayer.Play", play("ENQUEUE", "c", json!({})));
    assert_eq!(old.estate.players(), [PlayerId(1), PlayerId(2), PlayerId(3)]);
    old.pass(1_700);

    let (mut heir, inherit) = handed_over(&old);
    heir.directive("AudioPlayer.Play", play("REPLACE_ALL", "own", json!({})));
    heir.started(1);
    // Its own content first; of the other's, the player hears nothing.
    assert_eq!(heir.signal(inherit), ["stop 1", "PlaybackStopped own@0", "PlaybackStarted a@1700"]);
    assert_eq!(heir.state(), "a@1700 PLAYING");
    assert_eq!(
        old.signal(Signal::ContentTaken),
        ["stop 2", "stop 1", "PlaybackStopped a@1700", "content None"]
    );
    assert!(old.estate.is_empty());

    assert_eq!(heir.pass(300), ["ProgressReportIntervalElapsed a@2000"]);
    // The queue is already asked for, and chained.
    assert_eq!(
        heir.started(NEW + 2),
        [
            "PlaybackNearlyFinished a@2000".to_owned(),
            "PlaybackFinished a@2000".into(),
            format!("prepare {}", NEW + 3),
            format!("play {} after {}", NEW + 3, NEW + 2),
            "PlaybackStarted b@0".into(),
        ]
    );
    let expects = json!({ "expectedPreviousToken": "c" });
    assert!(heir.directive("AudioPlayer.Play", play("ENQUEUE", "d", expects)).is_empty());
    assert_eq!(heir.directive("AudioPlayer.Stop", json!({}))[2], "PlaybackStopped b@0");
}

#[test]
fn what_stands_still_is_told_to_stand_still() {
    let mut old = playing();
    old.news(1, PlayerNews::Paused { offset: Duration::from_millis(40) });
    let (mut heir, inherit) = handed_over(&old);
    assert_eq!(
        heir.signal(inherit),
        ["PlaybackStarted a@40", "PlaybackPaused a@40", "content Some(Foreground)"]
    );
    let at = heir.now;
    assert_eq!(heir.news(NEW + 1, PlayerNews::Resumed { at }), ["PlaybackResumed a@40"]);

    let mut old = playing();
    old.pass(50);
    let at = old.now;
    old.news(1, PlayerNews::Stalled { at });
    old.pass(50);
    let (mut heir, inherit) = handed_over(&old);
    assert_eq!(heir.signal(inherit)[..2], ["PlaybackStarted a@50", "PlaybackStutterStarted a@50"]);
    let at = heir.now;
    assert_eq!(heir.news(NEW + 1, PlayerNews::Recovered { at }), ["PlaybackStutterFinished a@50"]);
}

#[test]
fn a_stream_that_did_not_sound_yet_begins_with_the_heir() {
    let mut old = Bench::new();
    old.directive("AudioPlayer.Play", play("REPLACE_ALL", "a", json!({ "offsetInMilliseconds": 7 })));
    let (mut heir, inherit) = handed_over(&old);
    assert_eq!(heir.signal(inherit), ["content Some(Foreground)"]);
    assert_eq!(old.signal(Signal::ContentTaken), ["stop 1", "content None"]);
    assert_eq!(heir.started(NEW + 1), ["PlaybackStarted a@7"]);
}

#[test]
fn the_next_song_is_asked_for_again_where_its_answer_can_come() {
    let mut old = playing();
    old.pass(10);
    assert_eq!(old.news(1, PlayerNews::Buffered), ["PlaybackNearlyFinished a@10"]);
    let (mut heir, inherit) = handed_over(&old);
    assert_eq!(heir.signal(inherit)[..2], ["PlaybackStarted a@10", "PlaybackNearlyFinished a@10"]);
    // The answer that still comes to the old one does not start it again.
    old.signal(Signal::ContentTaken);
    let expects = json!({ "expectedPreviousToken": "a" });
    assert!(old.directive("AudioPlayer.Play", play("ENQUEUE", "b", expects.clone())).is_empty());
    assert!(!heir.directive("AudioPlayer.Play", play("ENQUEUE", "b", expects)).is_empty());
    assert_eq!(heir.news(NEW + 1, PlayerNews::Finished), ["PlaybackFinished a@10"]);
}

#[test]
fn an_attachment_of_anothers_connection_is_a_failure_not_an_exception() {
    let mut old = playing();
    old.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({})));
    old.directive("AudioPlayer.Play", play("ENQUEUE", "c", json!({ "url": "cid:c" })));
    let (mut heir, inherit) = handed_over(&old);
    heir.signal(inherit);
    let told = heir.started(NEW + 2);
    assert_eq!(told.last().unwrap(), "PlaybackStarted b@0");
    let told = heir.news(NEW + 2, PlayerNews::Finished);
    assert!(told[2].starts_with("PlaybackFailed") && told[2].contains("DEVICE_ERROR"), "{told:?}");
    assert_eq!(heir.state(), "c@0 STOPPED");
}

#[test]
fn nothing_left_is_nothing_taken() {
    let mut heir = playing();
    assert!(heir.signal(Signal::Inherit(Box::default())).is_empty());
    assert_eq!(heir.state(), "a@0 PLAYING");
    heir.directive("AudioPlayer.Stop", json!({}));
    assert_eq!(heir.estate, Estate::default());
}

#[test]
fn an_account_that_goes_takes_its_streams_with_it_silently() {
    let mut bench = playing();
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({})));
    let told = crate::support::lines(&bench.input(DeviceInput::LoggedOut));
    for expected in ["stop 1", "stop 2", "content None"] {
        assert!(told.contains(&expected.to_owned()), "{told:?}");
    }
    assert!(!told.iter().any(|line| line.contains("Playback")), "{told:?}");
    assert!(bench.estate.is_empty());
    assert_eq!(bench.state(), "@0 IDLE");
}
