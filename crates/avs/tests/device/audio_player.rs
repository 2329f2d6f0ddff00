//! AudioPlayer 1.5 under a virtual clock.

use std::time::Duration;

use antiphon_avs::signal::PlayerNews;
use serde_json::{Value, json};

use crate::support::Bench;

fn play(behaviour: &str, token: &str, more: Value) -> Value {
    let mut stream = json!({ "url": format!("https://media.test/{token}.mp3"), "token": token });
    for (key, value) in more.as_object().unwrap() {
        stream[key] = value.clone();
    }
    json!({ "playBehavior": behaviour, "audioItem": { "audioItemId": token, "stream": stream } })
}

/// A device that plays `a` (stream 1) from its start.
fn playing() -> Bench {
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
    assert!(bench.directive("AudioPlayer.Stop", json!({})).is_empty());
    // Too late.
    assert!(bench.news(1, PlayerNews::Finished).is_empty());
    assert!(bench.news(1, PlayerNews::Paused { offset: Duration::from_secs(1) }).is_empty());
    assert!(bench.started(2).is_empty());
    assert_eq!(bench.state(), "a@700 STOPPED");
}
