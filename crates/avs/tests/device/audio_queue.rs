//! AudioPlayer 1.5: what its directives make of the queue.

use std::time::Duration;

use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::{Effect, PlayerCommand, PlayerSource};
use antiphon_avs::message::StreamId;
use antiphon_avs::signal::{PlayerNews, Signal};
use serde_json::{Value, json};

use crate::audio_player::{play, playing};
use crate::support::{Bench, directive, lines};

#[test]
fn replacing_stops_the_old_stream_first() {
    let mut bench = playing();
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({})));
    bench.pass(300);
    assert_eq!(
        bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "c", json!({}))),
        ["prepare 3", "stop 2", "stop 1", "PlaybackStopped a@300", "play 3"]
    );
    assert_eq!(bench.started(3), ["PlaybackStarted c@0"]);
}

#[test]
fn replacing_what_never_sounded_says_nothing_about_it() {
    let mut bench = Bench::new();
    bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "a", json!({})));
    assert_eq!(
        bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "b", json!({}))),
        ["prepare 2", "stop 1", "play 2"]
    );
}

#[test]
fn next_reuses_what_is_preloaded() {
    let mut bench = playing();
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({ "url": "https://media.test/b?key=1" })));
    let again =
        play("REPLACE_ALL", "b", json!({ "url": "https://media.test/b?key=2", "offsetInMilliseconds": 9 }));
    assert_eq!(bench.directive("AudioPlayer.Play", again), ["stop 1", "PlaybackStopped a@0", "play 2"]);
    assert_eq!(bench.started(2), ["PlaybackStarted b@9"]);
}

#[test]
fn replacing_the_queue_leaves_the_current_stream() {
    let mut bench = playing();
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({})));
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "c", json!({})));
    assert_eq!(
        bench.directive("AudioPlayer.Play", play("REPLACE_ENQUEUED", "d", json!({}))),
        ["stop 2", "prepare 4", "play 4 after 1"]
    );
    assert_eq!(bench.news(1, PlayerNews::Finished).len(), 2);
    assert_eq!(bench.started(4), ["PlaybackStarted d@0"]);
}

#[test]
fn a_play_that_expects_another_past_is_dropped_without_a_word() {
    let expects = |token: &str| json!({ "expectedPreviousToken": token });
    let mut bench = Bench::new();
    assert!(bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", expects("a"))).is_empty());
    let mut bench = playing();
    for behaviour in ["ENQUEUE", "REPLACE_ALL", "REPLACE_ENQUEUED"] {
        assert!(bench.directive("AudioPlayer.Play", play(behaviour, "b", expects("x"))).is_empty());
    }
    assert!(!bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", expects("a"))).is_empty());
    // The tail of the queue counts, not the stream that plays.
    assert!(bench.directive("AudioPlayer.Play", play("ENQUEUE", "c", expects("a"))).is_empty());
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "c", expects("b")));
    bench.directive("AudioPlayer.Stop", json!({}));
    // The late answer to a NearlyFinished does not start the music again; after a failure it would.
    assert!(bench.directive("AudioPlayer.Play", play("ENQUEUE", "d", expects("a"))).is_empty());
    assert!(!bench.directive("AudioPlayer.Play", play("ENQUEUE", "d", expects(""))).is_empty());
    assert_eq!(bench.device.counts().refused, 0);
}

#[test]
fn unknown_behaviours_are_taken_as_the_reference_client_does() {
    let mut bench = playing();
    assert_eq!(
        bench.directive("AudioPlayer.Play", play("LATER", "b", json!({}))),
        ["prepare 2", "play 2 after 1"]
    );
}

#[test]
fn clearing_the_queue_is_always_confirmed() {
    let cleared = "PlaybackQueueCleared {}";
    let mut bench = Bench::new();
    assert_eq!(bench.directive("AudioPlayer.ClearQueue", json!({})), [cleared]);
    assert_eq!(bench.directive("AudioPlayer.ClearQueue", json!({ "clearBehavior": "CLEAR_ALL" })), [cleared]);
    let mut bench = playing();
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({})));
    assert_eq!(
        bench.directive("AudioPlayer.ClearQueue", json!({ "clearBehavior": "CLEAR_ENQUEUED" })),
        ["stop 2", cleared]
    );
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "c", json!({})));
    assert_eq!(
        bench.directive("AudioPlayer.ClearQueue", json!({ "clearBehavior": "CLEAR_ALL" })),
        ["stop 3", "stop 1", "PlaybackStopped a@0", "content None", cleared]
    );
    assert_eq!(
        bench.directive("AudioPlayer.ClearQueue", json!({ "clearBehavior": "CLEAR_SOME" })),
        ["! UNEXPECTED_INFORMATION_RECEIVED"]
    );
}

#[test]
fn bad_plays_change_nothing() {
    let mut bench = playing();
    let stream = |stream: Value| json!({ "audioItem": { "stream": stream } });
    for bad in [
        json!({}),
        json!({ "audioItem": {} }),
        json!({ "audioItem": { "stream": {} } }),
        stream(json!({ "url": "" })),
        stream(json!({ "url": 5 })),
        stream(json!({ "url": "https://u", "offsetInMilliseconds": -1 })),
        stream(json!({ "url": "https://u", "offsetInMilliseconds": "0" })),
        stream(json!({ "url": "https://u", "offsetInMilliseconds": 9, "endOffsetInMilliseconds": 9 })),
        stream(json!({ "url": "https://u", "progressReport": { "progressReportDelayInMilliseconds": -5 } })),
        stream(json!({ "url": "cid:x", "streamFormat": "AUDIO_OGG" })),
        json!({ "playBehavior": 1, "audioItem": { "stream": { "url": "https://u" } } }),
        json!({ "playRequestor": { "type": "ALERT" }, "audioItem": { "stream": { "url": "https://u" } } }),
    ] {
        let text = bad.to_string();
        assert_eq!(bench.directive("AudioPlayer.Play", bad), ["! UNEXPECTED_INFORMATION_RECEIVED"], "{text}");
    }
    assert_eq!(bench.state(), "a@0 PLAYING");
    // The least a Play may have.
    assert_eq!(
        bench.directive("AudioPlayer.Play", stream(json!({ "url": "https://u", "unknown": [] }))),
        ["prepare 2", "play 2 after 1"]
    );
}

#[test]
fn the_same_play_twice_is_refused() {
    let mut bench = Bench::new();
    for expected in [3, 1] {
        let twin = directive("AudioPlayer.Play", "twin", None, play("REPLACE_ALL", "a", json!({})));
        assert_eq!(lines(&bench.input(DeviceInput::Directive(twin))).len(), expected);
    }
}

#[test]
fn the_queue_is_bounded() {
    let mut bench = playing();
    for _ in 0..100 {
        assert_ne!(
            bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({}))),
            ["! INTERNAL_ERROR"]
        );
    }
    assert_eq!(bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({}))), ["! INTERNAL_ERROR"]);
}

#[test]
fn an_attachment_is_looked_up_where_the_directive_came_from() {
    let mut bench = Bench::new();
    let wish = play("REPLACE_ALL", "a", json!({ "url": "cid:song" }));
    let effects = bench.input(DeviceInput::Directive(directive("AudioPlayer.Play", "m", None, wish)));
    let Effect::Player(PlayerCommand::Prepare { source, .. }) = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(
        *source,
        PlayerSource::Attachment {
            stream: StreamId(7),
            content_id: "song".into(),
            offset: Duration::ZERO,
            end: None
        }
    );
    assert_eq!(bench.news(1, PlayerNews::Unattached), ["! UNEXPECTED_INFORMATION_RECEIVED", "content None"]);
}

#[test]
fn who_loses_its_content_stops_and_forgets_its_queue() {
    for signal in [Signal::ContentTaken, Signal::ContentStopped] {
        let mut bench = playing();
        bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({})));
        bench.pass(20);
        let expected = ["stop 2", "stop 1", "PlaybackStopped a@20", "content None"];
        assert_eq!(bench.signal(signal.clone()), expected);
        assert!(bench.signal(signal).is_empty());
    }
    let mut bench = playing();
    let offset = Duration::from_millis(15);
    assert_eq!(bench.news(1, PlayerNews::Stopped { offset }), ["PlaybackStopped a@15", "content None"]);
}

#[test]
fn news_that_a_stream_was_taken_ends_that_stream_and_no_later_one() {
    let mut bench = playing();
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({})));
    bench.pass(20);
    let expected = ["stop 2", "stop 1", "PlaybackStopped a@20", "content None"];
    assert_eq!(bench.news(1, PlayerNews::Taken), expected);
    assert!(bench.news(1, PlayerNews::Taken).is_empty());
    // The news was on its way while a later Play began.
    let mut bench = playing();
    bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "b", json!({})));
    assert!(bench.news(1, PlayerNews::Taken).is_empty());
    assert_eq!(bench.started(2), ["PlaybackStarted b@0"]);
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "c", json!({})));
    assert!(bench.news(3, PlayerNews::Taken).is_empty(), "one that waits goes without a word");
    assert_eq!(bench.state(), "b@0 PLAYING");
}

#[test]
fn a_queued_attachment_that_is_not_there_is_the_directives_fault() {
    let mut bench = playing();
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({ "url": "cid:b" })));
    assert_eq!(bench.news(2, PlayerNews::Unattached), ["! UNEXPECTED_INFORMATION_RECEIVED"]);
    let told = bench.news(1, PlayerNews::Finished);
    assert_eq!(told.last().unwrap(), "content None");
}

#[test]
fn what_failed_last_is_what_the_next_play_follows() {
    let error = antiphon_domain::media::MediaError {
        kind: antiphon_domain::media::MediaErrorKind::ServiceUnavailable,
        message: String::new(),
    };
    let mut bench = playing();
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "b", json!({})));
    bench.news(2, PlayerNews::Failed(error));
    let told = bench.news(1, PlayerNews::Finished);
    assert!(told[2].contains("\"token\":\"b\"") && told[2].contains("FINISHED"), "{told:?}");
    assert_eq!(bench.state(), "b@0 STOPPED");
    let expects = json!({ "expectedPreviousToken": "b" });
    assert!(!bench.directive("AudioPlayer.Play", play("ENQUEUE", "c", expects)).is_empty());
}

/// A device that speaks; a Play waits for its turn behind that, fetched already as stream 2.
fn waiting_behind_speech(url: &str) -> Bench {
    let mut bench = playing();
    let speak = json!({ "url": "cid:speech", "format": "AUDIO_MPEG", "token": "speech" });
    bench.directive("SpeechSynthesizer.Speak", speak);
    bench.spoken(1);
    assert_eq!(
        bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "b", json!({ "url": url }))),
        ["prepare 2"]
    );
    bench
}

#[test]
fn a_play_that_fails_before_its_turn_fails_in_its_turn() {
    let error = || antiphon_domain::media::MediaError {
        kind: antiphon_domain::media::MediaErrorKind::InvalidRequest,
        message: "gone".into(),
    };
    let mut bench = waiting_behind_speech("https://media.test/b");
    assert!(bench.news(2, PlayerNews::Failed(error())).is_empty());
    let told = bench.silent(1);
    let stopped = told.iter().position(|line| line.starts_with("PlaybackStopped a"));
    let failed = told.iter().position(|line| line.starts_with("PlaybackFailed"));
    assert!(stopped.is_some() && stopped < failed, "{told:?}");
    assert!(!told.contains(&"play 2".to_owned()), "{told:?}");
    assert_eq!(bench.state(), "b@0 STOPPED");

    // An attachment that is not there is the directive's fault: what plays goes on.
    let mut bench = waiting_behind_speech("cid:b");
    assert!(bench.news(2, PlayerNews::Unattached).is_empty());
    let told = bench.silent(1);
    assert!(told.contains(&"! UNEXPECTED_INFORMATION_RECEIVED".to_owned()), "{told:?}");
    assert!(bench.state().starts_with("a@0"), "{}", bench.state());
}

#[test]
fn what_is_known_of_a_play_before_its_turn_is_not_lost() {
    let mut bench = waiting_behind_speech("https://media.test/b");
    bench.news(2, PlayerNews::Title("song".into()));
    bench.news(2, PlayerNews::Buffered);
    bench.silent(1);
    let told = bench.started(2);
    assert_eq!(told[..2], ["PlaybackStarted b@0", "PlaybackNearlyFinished b@0"]);
    assert!(told[2].contains("song"), "{told:?}");
}

#[test]
fn a_stop_is_meant_for_the_plays_that_wait_too() {
    for name in ["AudioPlayer.Stop", "AudioPlayer.ClearQueue"] {
        let mut bench = waiting_behind_speech("https://media.test/b");
        bench.directive(name, json!({ "clearBehavior": "CLEAR_ALL" }));
        let told = bench.silent(1);
        assert!(told.contains(&"stop 2".to_owned()), "{told:?}");
        assert!(!told.contains(&"play 2".to_owned()), "{told:?}");
        assert_eq!(bench.state(), "a@0 STOPPED");
        assert_eq!(bench.device.counts().refused, 0);
    }
}

#[test]
fn a_caption_is_shown_while_its_stream_is_heard() {
    let mut bench = Bench::new();
    let caption = json!({ "caption": { "content": "WEBVTT", "type": "WEBVTT" } });
    bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "a", caption));
    assert_eq!(bench.picture().caption, None);
    bench.started(1);
    assert_eq!(bench.picture().caption.as_deref(), Some("WEBVTT"));
    bench.directive("AudioPlayer.Stop", json!({}));
    assert_eq!(bench.picture().caption, None);
}

#[test]
fn a_cause_is_told_before_its_consequence() {
    let mut bench = playing();
    bench.input(DeviceInput::Connected);
    // It is spoken content: it pauses for a question, and that is told after the question.
    let effects = bench.begun(1);
    let asked = effects.iter().position(|e| matches!(e, Effect::Send(e) if e.header.name == "Recognize"));
    let pause = effects.iter().position(|e| matches!(e, Effect::Player(PlayerCommand::Pause { .. })));
    assert!(asked.is_some() && pause.is_some(), "{effects:?}");
    let Effect::Send(event) = &effects[asked.unwrap()] else { panic!() };
    let context = event.context.as_ref().unwrap();
    assert!(context.iter().any(|entry| entry.payload["playerActivity"] == "PLAYING"));
    assert_eq!(bench.news(1, PlayerNews::Paused { offset: Duration::ZERO }), ["PlaybackPaused a@0"]);
}
