//! AudioPlayer 1.5 under a virtual clock: the life of a stream, event by event.

use std::time::Duration;

use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::Effect;
use antiphon_avs::signal::{Attributes, PlayerNews};
use antiphon_domain::SampleRate;
use antiphon_domain::media::{MediaError, MediaErrorKind};
use serde_json::{Value, json};

use crate::support::{Bench, directive};

pub fn play(behaviour: &str, token: &str, more: Value) -> Value {
    let mut stream = json!({ "url": format!("https://media.test/{token}.mp3"), "token": token });
    for (key, value) in more.as_object().unwrap() {
        stream[key] = value.clone();
    }
    json!({ "playBehavior": behaviour, "audioItem": { "audioItemId": token, "stream": stream } })
}

/// A device that plays `a` (stream 1) from its start.
pub fn playing() -> Bench {
    let mut bench = Bench::new();
    bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "a", json!({})));
    bench.started(1);
    bench
}

#[test]
fn two_songs_in_a_row() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "a", json!({ "offsetInMilliseconds": 500 }))),
        ["prepare 1", "content Some(Foreground)", "play 1"]
    );
    assert_eq!(bench.state(), "a@500 BUFFER_UNDERRUN");
    assert_eq!(bench.started(1), ["PlaybackStarted a@500"]);
    bench.pass(1234);
    assert_eq!(bench.state(), "a@1734 PLAYING");
    assert_eq!(bench.news(1, PlayerNews::Buffered), ["PlaybackNearlyFinished a@1734"]);
    assert_eq!(
        bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({ "expectedPreviousToken": "a" }))),
        ["prepare 2", "play 2 after 1"]
    );
    bench.pass(1000);
    assert_eq!(bench.news(1, PlayerNews::Finished), ["PlaybackFinished a@2734"]);
    assert_eq!(bench.started(2), ["PlaybackStarted b@0"]);
    bench.pass(100);
    assert_eq!(
        bench.news(2, PlayerNews::Finished),
        ["PlaybackNearlyFinished b@100", "PlaybackFinished b@100", "content None"]
    );
    assert_eq!(bench.state(), "b@100 FINISHED");
}

#[test]
fn stop_is_told_once_and_ends_the_queue() {
    let mut bench = playing();
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({})));
    bench.pass(700);
    assert_eq!(
        bench.directive("AudioPlayer.Stop", json!({})),
        ["stop 2", "stop 1", "PlaybackStopped a@700", "content None"]
    );
    // With nothing of its own to stop it is what else is heard in the room that must.
    assert_eq!(bench.directive("AudioPlayer.Stop", json!({})), ["silence"]);
    // Too late.
    assert!(bench.news(1, PlayerNews::Finished).is_empty());
    assert!(bench.news(1, PlayerNews::Paused { offset: Duration::from_secs(1) }).is_empty());
    assert!(bench.started(2).is_empty());
    assert_eq!(bench.state(), "a@700 STOPPED");
}

#[test]
fn progress_is_reported_on_time_and_stands_still_with_the_stream() {
    let mut bench = Bench::new();
    let report = json!({ "progressReportDelayInMilliseconds": 20_000, "progressReportIntervalInMilliseconds": 20_000 });
    let wish = json!({ "offsetInMilliseconds": 10_000, "progressReport": report });
    bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "a", wish));
    assert!(bench.pass(60_000).is_empty());
    bench.started(1);
    assert!(bench.pass(9_999).is_empty());
    assert_eq!(
        bench.pass(1),
        ["ProgressReportDelayElapsed a@20000", "ProgressReportIntervalElapsed a@20000"]
    );
    bench.news(1, PlayerNews::Paused { offset: Duration::from_millis(20_500) });
    assert_eq!(bench.state(), "a@20500 PAUSED");
    assert!(bench.pass(100_000).is_empty());
    let at = bench.now;
    bench.news(1, PlayerNews::Resumed { at });
    assert!(bench.pass(19_499).is_empty());
    assert_eq!(bench.pass(1), ["ProgressReportIntervalElapsed a@40000"]);
    let update = "AudioPlayer.UpdateProgressReportInterval";
    assert_eq!(
        bench.directive(update, json!({ "progressReportIntervalInMilliseconds": 7_000 })),
        ["ProgressReportIntervalUpdated a@40000"]
    );
    assert_eq!(bench.pass(2_000), ["ProgressReportIntervalElapsed a@42000"]);
    assert!(bench.directive(update, json!({ "progressReportIntervalInMilliseconds": 0 })).is_empty());
    for bad in [json!({}), json!({ "progressReportIntervalInMilliseconds": -1 })] {
        assert_eq!(bench.directive(update, bad), ["! UNEXPECTED_INFORMATION_RECEIVED"]);
    }
    bench.directive("AudioPlayer.Stop", json!({}));
    assert!(bench.pass(100_000).is_empty());
    assert!(bench.directive(update, json!({ "progressReportIntervalInMilliseconds": 5 })).is_empty());
}

#[test]
fn a_stutter_is_told_at_both_ends() {
    let mut bench = Bench::new();
    bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "a", json!({})));
    let at = bench.now;
    assert!(bench.news(1, PlayerNews::Stalled { at }).is_empty());
    bench.started(1);
    bench.pass(1000);
    let at = bench.now;
    assert_eq!(bench.news(1, PlayerNews::Stalled { at }), ["PlaybackStutterStarted a@1000"]);
    assert!(bench.news(1, PlayerNews::Stalled { at }).is_empty());
    bench.pass(250);
    assert_eq!(bench.state(), "a@1000 BUFFER_UNDERRUN");
    let at = bench.now;
    assert_eq!(bench.news(1, PlayerNews::Recovered { at }), ["PlaybackStutterFinished a@1000"]);
    bench.pass(50);
    assert_eq!(bench.state(), "a@1050 PLAYING");
    let at = bench.now;
    bench.news(1, PlayerNews::Stalled { at });
    // Stopped during a stutter: that alone is told.
    assert_eq!(bench.directive("AudioPlayer.Stop", json!({}))[1], "PlaybackStopped a@1050");
}

#[test]
fn a_failure_is_told_with_its_type_and_the_queue_goes_on() {
    let error = || MediaError { kind: MediaErrorKind::InvalidRequest, message: "403 forbidden".into() };
    let mut bench = playing();
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({})));
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "c", json!({})));
    // A queued one that fails does not disturb the current one.
    assert!(bench.news(2, PlayerNews::Failed(error())).is_empty());
    let lines = bench.news(1, PlayerNews::Finished);
    assert_eq!(lines[..2], ["PlaybackNearlyFinished a@0", "PlaybackFinished a@0"]);
    assert!(
        lines[2].contains("MEDIA_ERROR_INVALID_REQUEST") && lines[2].contains("403 forbidden"),
        "{lines:?}"
    );
    assert_eq!(lines[3..], ["prepare 3", "play 3"]);
    bench.started(3);
    bench.pass(10);
    let lines = bench.news(3, PlayerNews::Failed(error()));
    assert!(lines[0].contains("\"playerActivity\":\"PLAYING\""), "{lines:?}");
    assert_eq!(lines[1..], ["content None"]);
    assert_eq!(bench.state(), "c@10 STOPPED");
    assert!(
        !bench
            .directive("AudioPlayer.Play", play("ENQUEUE", "d", json!({ "expectedPreviousToken": "c" })))
            .is_empty()
    );
}

#[test]
fn what_is_fetched_before_it_sounds_is_nearly_finished_at_once() {
    let mut bench = Bench::new();
    bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "a", json!({})));
    assert!(bench.news(1, PlayerNews::Buffered).is_empty());
    assert_eq!(bench.started(1), ["PlaybackStarted a@0", "PlaybackNearlyFinished a@0"]);
}

#[test]
fn news_of_a_successor_proves_the_end_of_its_predecessor() {
    let mut bench = playing();
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({})));
    assert_eq!(
        bench.started(2),
        ["PlaybackNearlyFinished a@0", "PlaybackFinished a@0", "PlaybackStarted b@0"]
    );
    assert!(bench.news(1, PlayerNews::Finished).is_empty());
}

#[test]
fn an_end_offset_ends_the_position() {
    let mut bench = Bench::new();
    let wish = json!({
        "offsetInMilliseconds": 100,
        "endOffsetInMilliseconds": 2_000,
        "progressReport": { "progressReportIntervalInMilliseconds": 1_500 },
    });
    bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "a", wish));
    bench.started(1);
    assert_eq!(bench.pass(5_000), ["ProgressReportIntervalElapsed a@1500"]);
    assert_eq!(bench.news(1, PlayerNews::Finished)[1], "PlaybackFinished a@2000");
}

#[test]
fn attributes_and_reports_join_the_events() {
    let mut bench = Bench::new();
    bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "a", json!({})));
    let attributes = |codec: &str| {
        let rate = SampleRate::new(48_000);
        PlayerNews::Attributes(Attributes { codec: codec.into(), rate, bits_per_second: None })
    };
    bench.news(1, attributes("MP3"));
    bench.started(1);
    bench.pass(1000);
    bench.news(1, attributes("AAC"));
    bench.pass(500);
    let effects = bench.input(DeviceInput::Directive(directive("AudioPlayer.Stop", "m", None, json!({}))));
    let Effect::Send(event) = &effects[1] else { panic!("{effects:?}") };
    let coded = |codec: &str| json!({ "name": "", "codec": codec, "samplingRateInHertz": 48_000, "dataRateInBitsPerSecond": -1 });
    let report = |from: u32, to: u32, codec: &str| {
        json!({
            "startOffsetInMilliseconds": from,
            "endOffsetInMilliseconds": to,
            "playbackAttributes": coded(codec),
        })
    };
    assert_eq!(event.payload["playbackAttributes"], coded("AAC"));
    assert_eq!(event.payload["playbackReports"], json!([report(0, 1000, "MP3"), report(1000, 1500, "AAC")]));
}

#[test]
fn titles_are_told_at_most_once_a_second_and_never_twice() {
    let told = |title: &str| {
        format!("StreamMetadataExtracted {{\"metadata\":{{\"title\":\"{title}\"}},\"token\":\"a\"}}")
    };
    let title = |title: &str| PlayerNews::Title(title.into());
    let mut bench = Bench::new();
    bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "a", json!({})));
    assert!(bench.news(1, title("one")).is_empty());
    assert_eq!(bench.started(1), ["PlaybackStarted a@0".to_owned(), told("one")]);
    assert!(bench.news(1, title("one")).is_empty());
    assert!(bench.news(1, title("two")).is_empty());
    assert!(bench.news(1, title("three")).is_empty());
    assert!(bench.pass(999).is_empty());
    assert_eq!(bench.pass(1), [told("three")]);
    assert!(bench.pass(10_000).is_empty());
}
