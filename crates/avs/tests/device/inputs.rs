//! Alexa.InputController 3.0.

use antiphon_avs::device::DeviceConfig;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::{Effect, PlayerCommand, PlayerId, PlayerSource};
use antiphon_avs::interfaces::is_input_name;
use antiphon_avs::signal::{PlayerNews, Signal, Wish};
use antiphon_domain::media::{MediaError, MediaErrorKind};
use serde_json::json;

use crate::audio_player::play;
use crate::support::{Bench, directive};

const FIRST: u64 = PlayerId::INPUT;
const SELECT: &str = "Alexa.InputController.SelectInput";

fn bench() -> Bench {
    let inputs = vec![("LINE 1".into(), vec!["Turntable".into()]), ("OPTICAL 1".into(), vec!["TV".into()])];
    Bench::with(DeviceConfig { inputs, ..Default::default() })
}

fn selected(bench: &Bench) -> Option<String> {
    bench.device.picture(bench.moment()).input
}

#[test]
fn it_is_declared_only_with_inputs() {
    let declared = |bench: Bench| {
        let all = bench.device.capabilities();
        all.into_iter().find(|object| object["interface"] == "Alexa.InputController")
    };
    assert!(declared(Bench::new()).is_none());
    assert_eq!(
        declared(bench()).unwrap()["configurations"]["inputs"],
        json!([
            { "name": "LINE 1", "friendlyNames": ["Turntable"] },
            { "name": "OPTICAL 1", "friendlyNames": ["TV"] },
        ])
    );
    let mut bench = Bench::new();
    assert_eq!(bench.directive(SELECT, json!({ "input": "LINE 1" })), ["! UNSUPPORTED_OPERATION"]);
}

#[test]
fn an_input_takes_the_content_from_the_player_and_gives_it_back() {
    let mut bench = bench();
    bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "a", json!({})));
    bench.started(1);
    let wish = directive(SELECT, "select", None, json!({ "input": "LINE 1" }));
    let effects = bench.input(DeviceInput::Directive(wish));
    let prepared = effects.iter().find_map(|effect| match effect {
        Effect::Player(PlayerCommand::Prepare { id, source }) => Some((*id, source.clone())),
        _ => None,
    });
    assert_eq!(prepared, Some((PlayerId(FIRST), PlayerSource::Input("LINE 1".into()))));
    assert_eq!(bench.state(), "a@0 STOPPED");
    assert!(bench.started(FIRST).is_empty());
    assert_eq!(selected(&bench).as_deref(), Some("LINE 1"));
    // Once more is nothing new.
    assert!(bench.directive(SELECT, json!({ "input": "LINE 1" })).is_empty());
    assert_eq!(
        bench.directive(SELECT, json!({ "input": "OPTICAL 1" })),
        [
            format!("stop {FIRST}"),
            "content Some(Foreground)".into(),
            format!("prepare {}", FIRST + 1),
            format!("play {}", FIRST + 1),
        ][..]
            .iter()
            .filter(|line| !line.starts_with("content"))
            .cloned()
            .collect::<Vec<_>>()
    );
    let told = bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "b", json!({})));
    assert_eq!(told, ["prepare 2".to_owned(), format!("stop {}", FIRST + 1), "play 2".into()]);
    assert_eq!(selected(&bench), None);
    assert_eq!(bench.started(2), ["PlaybackStarted b@0"]);
}

#[test]
fn an_input_nobody_knows_is_refused() {
    let mut bench = bench();
    for bad in [json!({}), json!({ "input": "" }), json!({ "input": "Turntable" }), json!({ "input": 1 })] {
        assert_eq!(bench.directive(SELECT, bad), ["! UNEXPECTED_INFORMATION_RECEIVED"]);
    }
    assert!(bench.signal(Signal::Wish(Wish::SelectInput("HDMI 1".into()))).is_empty());
}

#[test]
fn a_switch_that_fails_is_told_to_who_asked() {
    let error =
        || PlayerNews::Failed(MediaError { kind: MediaErrorKind::Unknown, message: "no such device".into() });
    let mut bench = bench();
    bench.directive(SELECT, json!({ "input": "LINE 1" }));
    assert_eq!(bench.news(FIRST, error()), ["! INTERNAL_ERROR", "content None"]);
    assert_eq!(selected(&bench), None);
    // Once it sounded, or where a person asked, nobody waits for an exception.
    bench.directive(SELECT, json!({ "input": "LINE 1" }));
    bench.started(FIRST + 1);
    assert_eq!(bench.news(FIRST + 1, error()), ["content None"]);
    bench.signal(Signal::Wish(Wish::SelectInput("LINE 1".into())));
    assert_eq!(selected(&bench).as_deref(), Some("LINE 1"));
    assert_eq!(bench.news(FIRST + 2, error()), ["content None"]);
}

#[test]
fn it_ends_when_the_content_is_taken_or_stopped_or_the_account_goes() {
    for end in [
        DeviceInput::Signal(Signal::ContentTaken),
        DeviceInput::Signal(Signal::ContentStopped),
        DeviceInput::LoggedOut,
    ] {
        let mut bench = bench();
        bench.signal(Signal::Wish(Wish::SelectInput("LINE 1".into())));
        let effects = bench.input(end);
        assert!(effects.iter().any(|effect| matches!(
            effect,
            Effect::Player(PlayerCommand::Stop { id }) if id.0 == FIRST
        )));
        assert_eq!(selected(&bench), None);
    }
}

#[test]
fn names_are_those_of_the_list() {
    for name in ["AUX 1", "AUX 7", "HDMI 10", "HDMI ARC", "LINE 1", "TV", "PLAYSTATION 4", "COMPOSITE 1"] {
        assert!(is_input_name(name), "{name}");
    }
    for name in ["", "AUX", "AUX 8", "AUX 0", "AUX 01", "HDMI 11", "COMPOSITE 2", "line 1", "TV 1"] {
        assert!(!is_input_name(name), "{name}");
    }
}
