//! Cards: what is shown when, and for how long.

use antiphon_avs::signal::{PlayerNews, Signal, Wish};
use serde_json::{Value, json};

use crate::support::{Bench, speak};

fn image() -> Value {
    json!({
        "contentDescription": "a cloud",
        "sources": [{
            "url": "https://media.test/cloud.png",
            "darkBackgroundUrl": "https://media.test/dark.png",
            "size": "X-LARGE",
            "widthPixels": 1920,
            "heightPixels": 1080,
        }],
    })
}

/// A RenderTemplate with everything in it.
pub fn weather() -> Value {
    let degrees = json!({ "value": "20", "arrow": image() });
    json!({
        "token": "token",
        "type": "WeatherTemplate",
        "title": { "mainTitle": "Berlin", "subTitle": "today" },
        "skillIcon": image(),
        "textField": "text",
        "image": image(),
        "listItems": [{ "leftTextField": "1", "rightTextField": "one" }],
        "currentWeather": "20",
        "description": "cloudy",
        "currentWeatherIcon": image(),
        "currentWeatherIconCode": 7,
        "highTemperature": degrees,
        "lowTemperature": degrees,
        "weatherForecast": [
            { "image": image(), "iconCode": 1, "day": "Mon", "date": "1.", "highTemperature": "20" },
            { "highTemperature": degrees, "lowTemperature": degrees },
        ],
    })
}

/// A RenderPlayerInfo with everything in it.
pub fn player_info(item: &str) -> Value {
    json!({
        "audioItemId": item,
        "content": {
            "title": "title",
            "titleSubtext1": "artist",
            "titleSubtext2": "album",
            "header": "list",
            "headerSubtext1": "of somebody",
            "mediaLengthInMilliseconds": 180_000,
            "art": image(),
            "provider": { "name": "provider", "logo": image() },
        },
        "controls": [
            { "type": "BUTTON", "name": "PLAY_PAUSE", "enabled": true, "selected": false },
            { "type": "TOGGLE", "name": "SHUFFLE", "enabled": false, "selected": true },
        ],
    })
}

fn card(bench: &Bench) -> Option<String> {
    let card = bench.picture().card?;
    let name = card.get("audioItemId").or(card.get("token")).unwrap();
    Some(name.as_str().unwrap().to_owned())
}

#[test]
fn an_answers_card_goes_two_seconds_after_its_speech() {
    let mut bench = Bench::connected();
    bench.directive("InteractionModel.NewDialogRequest", json!({ "dialogRequestId": "one" }));
    assert!(bench.in_dialog("one", "TemplateRuntime.RenderTemplate", weather()).is_empty());
    assert_eq!(card(&bench).as_deref(), Some("token"));
    bench.in_dialog("one", "SpeechSynthesizer.Speak", speak("a"));
    bench.spoken(1);
    bench.pass(100_000);
    assert_eq!(card(&bench).as_deref(), Some("token"));
    bench.silent(1);
    bench.pass(1_999);
    assert_eq!(card(&bench).as_deref(), Some("token"));
    bench.pass(1);
    assert_eq!(card(&bench), None);
}

#[test]
fn a_card_goes_with_its_dialog_or_a_person_or_at_last_by_itself() {
    let mut bench = Bench::connected();
    bench.directive("InteractionModel.NewDialogRequest", json!({ "dialogRequestId": "one" }));
    bench.in_dialog("one", "TemplateRuntime.RenderTemplate", weather());
    bench.directive("InteractionModel.NewDialogRequest", json!({ "dialogRequestId": "two" }));
    assert_eq!(card(&bench), None);
    bench.in_dialog("one", "TemplateRuntime.RenderTemplate", weather());
    assert_eq!(card(&bench), None);
    bench.directive("TemplateRuntime.RenderTemplate", json!({ "type": "OfAnotherKind", "token": "other" }));
    assert_eq!(card(&bench).as_deref(), Some("other"));
    bench.signal(Signal::Wish(Wish::DismissCard));
    assert_eq!(card(&bench), None);
    bench.directive("TemplateRuntime.RenderTemplate", weather());
    bench.pass(59_999);
    assert!(card(&bench).is_some());
    bench.pass(1);
    assert_eq!(card(&bench), None);
}

#[test]
fn cards_wait_for_their_items_within_bounds() {
    let mut bench = Bench::connected();
    for number in 0..1000 {
        let info = player_info(&format!("amzn:{number}:x"));
        assert!(bench.directive("TemplateRuntime.RenderPlayerInfo", info).is_empty());
    }
    assert_eq!(card(&bench), None);
}

fn play(bench: &mut Bench, item: &str) {
    let stream = json!({ "url": format!("https://media.test/{item}"), "token": item });
    let item = json!({ "audioItemId": item, "stream": stream });
    bench.directive("AudioPlayer.Play", json!({ "playBehavior": "ENQUEUE", "audioItem": item }));
}

#[test]
fn the_players_card_follows_its_item() {
    let mut bench = Bench::connected();
    // The card's id is the item's, with something added.
    bench.directive("TemplateRuntime.RenderPlayerInfo", player_info("amzn:one:card"));
    play(&mut bench, "one");
    assert_eq!(card(&bench), None);
    bench.started(1);
    assert_eq!(card(&bench).as_deref(), Some("amzn:one:card"));
    bench.pass(3_600_000);
    assert_eq!(card(&bench).as_deref(), Some("amzn:one:card"));
    // An answer hides it for a while.
    bench.directive("TemplateRuntime.RenderTemplate", weather());
    assert_eq!(card(&bench).as_deref(), Some("token"));
    bench.pass(60_000);
    assert_eq!(card(&bench).as_deref(), Some("amzn:one:card"));
    // One that comes late is shown at once.
    bench.directive("TemplateRuntime.RenderPlayerInfo", player_info("one, corrected"));
    assert_eq!(card(&bench).as_deref(), Some("one, corrected"));
    bench.signal(Signal::Wish(Wish::DismissCard));
    assert_eq!(card(&bench), None);
    bench.directive("TemplateRuntime.RenderPlayerInfo", player_info("one, again"));
    assert_eq!(card(&bench).as_deref(), Some("one, again"));
    bench.directive("AudioPlayer.Stop", json!({}));
    bench.pass(59_999);
    assert!(card(&bench).is_some());
    bench.pass(1);
    assert_eq!(card(&bench), None);
    // The next item has a card of its own, the one after none.
    bench.directive("TemplateRuntime.RenderPlayerInfo", player_info("two"));
    play(&mut bench, "two");
    bench.started(2);
    assert_eq!(card(&bench).as_deref(), Some("two"));
    bench.news(2, PlayerNews::Finished);
    bench.pass(9_999);
    assert!(card(&bench).is_some());
    bench.pass(1);
    assert_eq!(card(&bench), None);
}
