//! What the cloud is told of who used which channel.

use antiphon_avs::device::DeviceInput;
use serde_json::{Value, json};

use crate::support::{Bench, speak};
use crate::template_runtime::weather;

fn activity(bench: &Bench, namespace: &str) -> Value {
    let context = bench.device.context(bench.moment());
    let entry = context.into_iter().find(|entry| entry.header.namespace == namespace);
    entry.map_or(Value::Null, |entry| entry.payload)
}

#[test]
fn the_last_speaker_stays_listed_whoever_listens() {
    let mut bench = Bench::connected();
    assert_eq!(activity(&bench, "AudioActivityTracker"), Value::Null);
    bench.begun(1);
    assert_eq!(activity(&bench, "AudioActivityTracker"), Value::Null);
    bench.input(DeviceInput::Disconnected);
    bench.directive("SpeechSynthesizer.Speak", speak("a"));
    let dialog =
        |idle: u64| json!({ "dialog": { "interface": "SpeechSynthesizer", "idleTimeInMilliseconds": idle } });
    assert_eq!(activity(&bench, "AudioActivityTracker"), dialog(0));
    bench.spoken(1);
    bench.silent(1);
    bench.pass(1_500);
    assert_eq!(activity(&bench, "AudioActivityTracker"), dialog(1_500));
    bench.input(DeviceInput::Connected);
    bench.begun(2);
    bench.pass(500);
    assert_eq!(activity(&bench, "AudioActivityTracker"), dialog(2_000));
}

#[test]
fn content_and_what_is_shown_are_listed_while_they_last() {
    let mut bench = Bench::connected();
    let stream = json!({ "url": "https://media.test/a", "token": "a" });
    let play = json!({ "playBehavior": "REPLACE_ALL", "audioItem": { "stream": stream } });
    bench.directive("AudioPlayer.Play", play);
    bench.started(1);
    let content =
        |idle: u64| json!({ "content": { "interface": "AudioPlayer", "idleTimeInMilliseconds": idle } });
    assert_eq!(activity(&bench, "AudioActivityTracker"), content(0));
    bench.directive("AudioPlayer.Stop", json!({}));
    bench.pass(10);
    assert_eq!(activity(&bench, "AudioActivityTracker"), content(10));

    assert_eq!(activity(&bench, "VisualActivityTracker"), Value::Null);
    bench.directive("TemplateRuntime.RenderTemplate", weather());
    let focused = json!({ "focused": { "interface": "TemplateRuntime" } });
    assert_eq!(activity(&bench, "VisualActivityTracker"), focused);
    bench.pass(60_000);
    assert_eq!(activity(&bench, "VisualActivityTracker"), Value::Null);
}
