//! PlaybackController 1.1, and the old Settings 1.0 of the legacy stack.

use antiphon_avs::device::{DeviceConfig, DeviceInput};
use antiphon_avs::effect::Effect;
use antiphon_avs::signal::{Button, Signal, Toggle, Wish};
use serde_json::json;

use crate::audio_player::playing;
use crate::support::Bench;

fn press(bench: &mut Bench, button: Button) -> Vec<String> {
    bench.signal(Signal::Wish(Wish::Button(button)))
}

#[test]
fn each_press_is_one_event_with_the_whole_context() {
    let mut bench = playing();
    bench.input(DeviceInput::Connected);
    for (button, expected) in [
        (Button::Play, "PlayCommandIssued {}"),
        (Button::Pause, "PauseCommandIssued {}"),
        (Button::Next, "NextCommandIssued {}"),
        (Button::Previous, "PreviousCommandIssued {}"),
        (Button::SkipForward, "ButtonCommandIssued {\"name\":\"SKIPFORWARD\"}"),
        (Button::SkipForward, "ButtonCommandIssued {\"name\":\"SKIPFORWARD\"}"),
        (Button::SkipBackward, "ButtonCommandIssued {\"name\":\"SKIPBACKWARD\"}"),
    ] {
        // That the player does nothing by itself is seen by there being nothing else.
        assert_eq!(press(&mut bench, button), [expected]);
    }
    let effects = bench.input(DeviceInput::Signal(Signal::Wish(Wish::Button(Button::Pause))));
    let [Effect::Send(event)] = &effects[..] else { panic!("{effects:?}") };
    let context = event.context.as_ref().unwrap();
    assert!(context.iter().any(|entry| entry.payload["playerActivity"] == "PLAYING"), "{context:?}");
}

#[test]
fn switches_are_named_without_underscores() {
    let mut bench = Bench::new();
    bench.input(DeviceInput::Connected);
    for (toggle, name) in [
        (Toggle::Shuffle, "SHUFFLE"),
        (Toggle::Loop, "LOOP"),
        (Toggle::Repeat, "REPEAT"),
        (Toggle::ThumbsUp, "THUMBSUP"),
        (Toggle::ThumbsDown, "THUMBSDOWN"),
    ] {
        for (on, action) in [(true, "SELECT"), (false, "DESELECT")] {
            assert_eq!(
                bench.signal(Signal::Wish(Wish::Toggle(toggle, on))),
                [format!("ToggleCommandIssued {}", json!({ "action": action, "name": name }))]
            );
        }
    }
}

#[test]
fn offline_a_press_is_forgotten_but_pause_is_silence() {
    let mut bench = playing();
    assert!(press(&mut bench, Button::Next).is_empty());
    assert!(bench.signal(Signal::Wish(Wish::Toggle(Toggle::Loop, true))).is_empty());
    assert_eq!(press(&mut bench, Button::Pause), ["stop 1", "PlaybackStopped a@0", "content None"]);
    assert!(
        bench
            .input(DeviceInput::Connected)
            .iter()
            .all(|effect| !matches!(effect, Effect::Send(e) if e.header.namespace == "PlaybackController"))
    );
}

#[test]
fn the_old_stack_hears_of_the_locale_by_settings() {
    let mut bench = Bench::with(DeviceConfig { legacy: true, ..Default::default() });
    let declared: Vec<_> = bench
        .device
        .capabilities()
        .iter()
        .map(|object| {
            format!("{} {}", object["interface"].as_str().unwrap(), object["version"].as_str().unwrap())
        })
        .collect();
    assert!(declared.contains(&"Settings 1.0".to_owned()) && declared.contains(&"System 1.4".to_owned()));
    assert!(!declared.iter().any(|name| name.starts_with("Alexa ") || name.starts_with("Alexa.ApiGateway")));
    let changed = |locale: &str| {
        [
            format!("store system.locales [\"{locale}\"]"),
            format!("LocalesChanged {{\"locales\":[\"{locale}\"]}}"),
            format!("SettingsUpdated {{\"settings\":[{{\"key\":\"locale\",\"value\":\"{locale}\"}}]}}"),
        ]
    };
    assert_eq!(bench.signal(Signal::Wish(Wish::Locales(vec!["de-DE".into()]))), changed("de-DE"));
    assert!(bench.signal(Signal::Wish(Wish::Locales(vec!["xx-XX".into()]))).is_empty());
    // What the cloud chose it knows.
    assert_eq!(bench.directive("System.SetLocales", json!({ "locales": ["fr-FR"] })).len(), 2);
    // The session moves; here it is no stranger.
    assert!(bench.directive("System.SetEndpoint", json!({ "endpoint": "https://gateway.test" })).is_empty());

    let mut bench = Bench::new();
    assert_eq!(bench.signal(Signal::Wish(Wish::Locales(vec!["de-DE".into()]))), changed("de-DE")[..2]);
}
