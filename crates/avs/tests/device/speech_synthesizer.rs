//! Alexa speaks: once begun, once ended, in turn, and never in the way of what follows.

use std::time::Duration;

use antiphon_avs::device::DeviceInput;
use antiphon_avs::picture::Attention;
use antiphon_avs::signal::{Signal, SoundNews, Wish};
use antiphon_domain::media::{MediaError, MediaErrorKind};
use antiphon_domain::sound::Voice;
use serde_json::{Value, json};

use crate::support::{Bench, lines, speak, voice};

const SOURCE: &str = "Attachment { stream: StreamId(7), content_id: \"x\" }";

fn dialog(id: &str) -> Bench {
    let mut bench = Bench::connected();
    begin(&mut bench, id);
    bench
}

fn begin(bench: &mut Bench, id: &str) -> Vec<String> {
    bench.directive("InteractionModel.NewDialogRequest", json!({ "dialogRequestId": id }))
}

fn say(bench: &mut Bench, token: &str, behaviour: &str) -> Vec<String> {
    let mut payload = speak(token);
    payload["playBehavior"] = json!(behaviour);
    bench.in_dialog("one", "SpeechSynthesizer.Speak", payload)
}

fn news(bench: &mut Bench, id: u64, news: SoundNews) -> Vec<String> {
    bench.signal(Signal::Sound(voice(id), news))
}

fn state(bench: &Bench) -> Value {
    let context = bench.device.context(bench.moment());
    context.into_iter().find(|entry| entry.header.name == "SpeechState").unwrap().payload
}

fn failed() -> SoundNews {
    SoundNews::Failed(MediaError { kind: MediaErrorKind::Unknown, message: "not MP3".into() })
}

fn play(bench: &mut Bench) -> Vec<String> {
    let stream = json!({ "url": "https://media.test/a", "token": "music" });
    let payload = json!({ "playBehavior": "REPLACE_ALL", "audioItem": { "stream": stream } });
    bench.in_dialog("one", "AudioPlayer.Play", payload)
}

#[test]
fn speech_is_fetched_on_arrival_and_begins_and_ends_once() {
    let mut bench = dialog("one");
    let told = say(&mut bench, "a", "ENQUEUE");
    assert_eq!(told, [&format!("sound Dialog1 is {SOURCE}"), "content None", "sound Dialog1"]);
    assert_eq!(say(&mut bench, "b", "ENQUEUE"), [format!("sound Dialog2 is {SOURCE}")]);
    assert_eq!(bench.picture().attention, Attention::Thinking);
    assert_eq!(bench.spoken(1), [r#"SpeechStarted {"token":"a"}"#]);
    assert_eq!(bench.picture().attention, Attention::Speaking);
    bench.pass(1_234);
    let playing = json!({ "token": "a", "offsetInMilliseconds": 1234, "playerActivity": "PLAYING" });
    assert_eq!(state(&bench), playing);
    // The channel is kept for the next.
    assert_eq!(bench.silent(1), [r#"SpeechFinished {"token":"a"}"#, "sound Dialog2"]);
    bench.spoken(2);
    bench.pass(10);
    assert_eq!(bench.silent(2), [r#"SpeechFinished {"token":"b"}"#, "content None"]);
    let finished = json!({ "token": "b", "offsetInMilliseconds": 10, "playerActivity": "FINISHED" });
    assert_eq!(state(&bench), finished);
    assert_eq!(bench.picture().attention, Attention::Speaking);
    bench.pass(200);
    assert_eq!(bench.picture().attention, Attention::Idle);
    assert!(bench.silent(2).is_empty());
}

#[test]
fn music_waits_for_the_end_of_speech() {
    let mut bench = dialog("one");
    say(&mut bench, "a", "ENQUEUE");
    let told = play(&mut bench);
    assert!(!told.iter().any(|line| line.starts_with("play")), "{told:?}");
    bench.spoken(1);
    let told = bench.silent(1);
    assert!(told.iter().any(|line| line.starts_with("play")), "{told:?}");
}

#[test]
fn a_newcomer_may_take_the_place_of_all_or_of_those_that_wait() {
    let mut bench = dialog("one");
    say(&mut bench, "a", "ENQUEUE");
    bench.spoken(1);
    say(&mut bench, "b", "ENQUEUE");
    let told = say(&mut bench, "c", "REPLACE_ENQUEUED");
    assert_eq!(told, ["sound Dialog2 stops", &format!("sound Dialog3 is {SOURCE}")]);
    bench.pass(70);
    let told = say(&mut bench, "d", "REPLACE_ALL");
    let expected = [
        "sound Dialog3 stops",
        "sound Dialog1 stops",
        "SpeechInterrupted a@70",
        &format!("sound Dialog4 is {SOURCE}"),
        "sound Dialog4",
    ];
    assert_eq!(told, expected);
    // What is not said otherwise takes the place of all.
    let payload = json!({ "url": "cid:x", "format": "AUDIO_MPEG", "token": "e" });
    let told = bench.in_dialog("one", "SpeechSynthesizer.Speak", payload);
    assert_eq!(told[0], "sound Dialog4 stops");
    // Nobody heard the one before.
    let state = state(&bench);
    assert_eq!(state["token"], "a");
    assert_eq!(state["playerActivity"], "INTERRUPTED");
    bench.spoken(5);
    assert_eq!(bench.picture().caption, None);
}

#[test]
fn what_cannot_be_spoken_holds_nothing_up() {
    // Its attachment never came: what follows is still wanted.
    let mut bench = dialog("one");
    say(&mut bench, "a", "ENQUEUE");
    play(&mut bench);
    let told = news(&mut bench, 1, SoundNews::Unattached);
    assert_eq!(told[0], "! UNEXPECTED_INFORMATION_RECEIVED");
    assert!(told.iter().any(|line| line.starts_with("play")), "{told:?}");
    // The same while it waits.
    say(&mut bench, "b", "ENQUEUE");
    say(&mut bench, "c", "ENQUEUE");
    say(&mut bench, "d", "ENQUEUE");
    assert!(news(&mut bench, 3, SoundNews::Unattached).is_empty());
    bench.spoken(2);
    let told = bench.silent(2);
    assert_eq!(
        told,
        [r#"SpeechFinished {"token":"b"}"#, "! UNEXPECTED_INFORMATION_RECEIVED", "sound Dialog4"]
    );
    // It is not to be decoded: that is a failure, and takes the rest of its dialog along.
    say(&mut bench, "e", "ENQUEUE");
    bench.spoken(4);
    bench.pass(5);
    let told = news(&mut bench, 4, failed());
    assert!(
        told.starts_with(&["SpeechInterrupted d@5".to_owned(), "! INTERNAL_ERROR".to_owned()]),
        "{told:?}"
    );
    assert!(told.contains(&"sound Dialog5 stops".to_owned()));
    // Another dialog is none the worse.
    bench.directive("SpeechSynthesizer.Speak", speak("f"));
    assert_eq!(bench.spoken(6), [r#"SpeechStarted {"token":"f"}"#]);
}

#[test]
fn sound_must_follow_the_channel_within_five_seconds() {
    let mut bench = dialog("one");
    say(&mut bench, "a", "ENQUEUE");
    assert!(bench.pass(4_999).is_empty());
    assert_eq!(bench.pass(1), ["sound Dialog1 stops", "! INTERNAL_ERROR", "content None"]);
    assert!(bench.spoken(1).is_empty());

    // What is on its way to a slow endpoint is waited for.
    let mut bench = dialog("one");
    say(&mut bench, "a", "ENQUEUE");
    bench.pass(4_000);
    let at = bench.now + Duration::from_secs(2);
    assert!(bench.sound(Voice::Dialog, 1, SoundNews::Scheduled { at }).is_empty());
    assert!(bench.pass(2_000).is_empty());
    assert_eq!(bench.spoken(1), [r#"SpeechStarted {"token":"a"}"#]);
}

#[test]
fn a_new_dialog_or_a_person_cuts_speech_short() {
    let mut bench = dialog("one");
    say(&mut bench, "a", "ENQUEUE");
    bench.spoken(1);
    bench.pass(30);
    let told = begin(&mut bench, "two");
    assert_eq!(told, ["sound Dialog1 stops", "SpeechInterrupted a@30", "content None"]);
    bench.directive("SpeechSynthesizer.Speak", speak("b"));
    bench.directive("SpeechSynthesizer.Speak", speak("c"));
    bench.spoken(2);
    let told = bench.signal(Signal::Wish(Wish::StopForeground));
    assert_eq!(told, ["content None", "sound Dialog3 stops", "sound Dialog2 stops", "SpeechInterrupted b@0"]);
    // It is silent without a word when the account goes.
    bench.directive("SpeechSynthesizer.Speak", speak("d"));
    bench.spoken(4);
    let told = lines(&bench.input(DeviceInput::LoggedOut));
    assert!(told.contains(&"sound Dialog4 stops".to_owned()));
    assert!(!told.iter().any(|line| line.starts_with("Speech")), "{told:?}");
    assert_eq!(state(&bench)["token"], "");
}

#[test]
fn only_mp3_attachments_are_spoken() {
    let mut bench = Bench::connected();
    for (key, value) in [
        ("url", json!("https://media.test/a.mp3")),
        ("url", json!("cid:")),
        ("format", json!("AUDIO_OGG")),
        ("playBehavior", json!("NEVER")),
        ("caption", json!({ "content": "a", "type": "SRT" })),
    ] {
        let mut payload = speak("a");
        payload[key] = value;
        let told = bench.directive("SpeechSynthesizer.Speak", payload);
        assert_eq!(told, ["! UNEXPECTED_INFORMATION_RECEIVED"], "{key}");
    }
    let mut payload = speak("a");
    payload["caption"] = json!({ "content": "WEBVTT", "type": "WEBVTT" });
    bench.directive("SpeechSynthesizer.Speak", payload);
    bench.spoken(1);
    assert_eq!(bench.picture().caption.as_deref(), Some("WEBVTT"));
}
