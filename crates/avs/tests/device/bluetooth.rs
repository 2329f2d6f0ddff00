//! Bluetooth 2.0, against an adapter played by the test.

use antiphon_avs::device::{DeviceConfig, DeviceInput};
use antiphon_avs::effect::Effect;
use antiphon_avs::signal::{Button, Signal, Wish};
use antiphon_domain::bluetooth::{Command, Device, DeviceId, Key, News, Profile};
use serde_json::{Value, json};

use crate::support::{Bench, lines};

fn id(name: &str) -> DeviceId {
    DeviceId(name.into())
}

fn device(name: &str, paired: bool, connected: bool) -> Device {
    Device {
        id: id(name),
        name: format!("{name}'s"),
        masked_address: "XX:XX:XX:XX:5E:6F".into(),
        profiles: vec![Profile::A2dpSource, Profile::Avrcp],
        paired,
        connected,
    }
}

fn bench(devices: &[Device]) -> Bench {
    let mut bench = Bench::with(DeviceConfig { bluetooth: true, ..DeviceConfig::default() });
    bench.signal(Signal::Bluetooth(News::Adapter(devices.to_vec())));
    bench
}

fn news(bench: &mut Bench, news: News) -> Vec<String> {
    bench.signal(Signal::Bluetooth(news))
}

fn done(bench: &mut Bench, command: Command) -> Vec<String> {
    news(bench, News::Done { command, result: Ok(()) })
}

fn failed(bench: &mut Bench, command: Command) -> Vec<String> {
    news(bench, News::Done { command, result: Err("no".into()) })
}

fn ids(names: &[&str]) -> Value {
    let devices: Vec<Value> = names.iter().map(|name| json!({ "uniqueDeviceId": name })).collect();
    json!({ "devices": devices })
}

fn one(name: &str) -> Value {
    json!({ "device": { "uniqueDeviceId": name } })
}

#[test]
fn a_scan_reports_at_its_start_at_each_discovery_and_at_its_end() {
    let mut bench = bench(&[device("paired", true, false)]);
    let said = bench.directive("Bluetooth.ScanDevices", json!({}));
    assert_eq!(said[0], "bluetooth Scan(true)");
    assert!(said[1].starts_with("ScanDevicesReport") && said[1].contains("\"hasMore\":true"), "{said:?}");
    assert!(!said[1].contains("paired\""), "paired devices are left out: {said:?}");
    assert_eq!(done(&mut bench, Command::Scan(true)), [""; 0]);
    let said = news(&mut bench, News::Device(device("phone", false, false)));
    assert!(said[0].contains("phone") && said[0].contains("\"hasMore\":true"), "{said:?}");
    assert!(said[0].contains("XX:XX:XX:XX:5E:6F"));
    // The same device once more is no discovery.
    assert_eq!(news(&mut bench, News::Device(device("phone", false, false))), [""; 0]);
    let said = bench.pass(121_000);
    assert_eq!(said[0], "bluetooth Scan(false)");
    assert!(said[1].contains("\"hasMore\":false"), "{said:?}");
}

#[test]
fn without_an_adapter_everything_fails_and_says_so() {
    let mut bench = Bench::with(DeviceConfig { bluetooth: true, ..DeviceConfig::default() });
    assert_eq!(bench.directive("Bluetooth.ScanDevices", json!({})), ["ScanDevicesFailed {}"]);
    assert_eq!(
        bench.directive("Bluetooth.EnterDiscoverableMode", json!({})),
        ["EnterDiscoverableModeFailed {}"]
    );
    let said = bench.directive("Bluetooth.PairDevices", ids(&["phone"]));
    assert!(said[0].starts_with("PairDevicesFailed"), "{said:?}");
}

#[test]
fn being_visible_is_answered_and_ends() {
    let mut bench = bench(&[]);
    let said = bench.directive("Bluetooth.EnterDiscoverableMode", json!({ "durationInSeconds": 30 }));
    assert_eq!(said, ["bluetooth Discoverable(true)"]);
    assert_eq!(done(&mut bench, Command::Discoverable(true)), ["EnterDiscoverableModeSucceeded {}"]);
    assert_eq!(bench.pass(31_000), ["bluetooth Discoverable(false)"]);
    assert_eq!(bench.directive("Bluetooth.ExitDiscoverableMode", json!({})), [""; 0]);
}

#[test]
fn each_device_to_pair_is_answered() {
    let mut bench = bench(&[device("phone", false, false), device("mouse", false, false)]);
    let said = bench.directive("Bluetooth.PairDevices", ids(&["phone", "nobody", "mouse"]));
    assert_eq!(said.iter().filter(|line| line.starts_with("bluetooth Pair")).count(), 2, "{said:?}");
    assert_eq!(said.iter().filter(|line| line.starts_with("PairDevicesFailed")).count(), 1, "{said:?}");
    news(&mut bench, News::Device(device("phone", true, false)));
    let said = done(&mut bench, Command::Pair(id("phone")));
    assert!(said[0].starts_with("PairDevicesSucceeded") && said[0].contains("A2DP-SOURCE"), "{said:?}");
    assert_eq!(said[1], "bluetooth Connect(DeviceId(\"phone\"))");
    // The other one never answers.
    let said = bench.pass(45_000);
    assert!(
        said.iter().any(|line| line.starts_with("PairDevicesFailed") && line.contains("mouse")),
        "{said:?}"
    );
}

#[test]
fn a_connected_device_is_disconnected_before_it_is_unpaired() {
    let mut bench = bench(&[device("phone", true, true)]);
    let said = bench.directive("Bluetooth.UnpairDevices", ids(&["phone"]));
    assert_eq!(said, ["bluetooth Disconnect(DeviceId(\"phone\"))"]);
    assert_eq!(done(&mut bench, Command::Disconnect(id("phone"))), ["bluetooth Unpair(DeviceId(\"phone\"))"]);
    let said = done(&mut bench, Command::Unpair(id("phone")));
    assert!(said[0].starts_with("UnpairDevicesSucceeded"), "{said:?}");
    let said = bench.directive("Bluetooth.UnpairDevices", ids(&["nobody"]));
    assert!(said[0].starts_with("UnpairDevicesFailed"), "{said:?}");
}

#[test]
fn a_second_device_for_sound_replaces_the_first() {
    let mut bench = bench(&[device("old", true, true), device("new", true, false)]);
    let said = bench.directive("Bluetooth.ConnectByDeviceIds", ids(&["new"]));
    assert_eq!(said, ["bluetooth Disconnect(DeviceId(\"old\"))", "bluetooth Connect(DeviceId(\"new\"))"]);
    // The device's change and the answer are one thing: told once, as the cloud's wish.
    assert_eq!(news(&mut bench, News::Device(device("old", true, false))), [""; 0]);
    let said = done(&mut bench, Command::Disconnect(id("old")));
    assert!(said[0].starts_with("DisconnectDevicesSucceeded") && said[0].contains("DEVICE"), "{said:?}");
    news(&mut bench, News::Device(device("new", true, true)));
    let said = done(&mut bench, Command::Connect(id("new")));
    assert!(said[0].starts_with("ConnectByDeviceIdsSucceeded") && said[0].contains("CLOUD"), "{said:?}");
    let said = bench.directive("Bluetooth.ConnectByDeviceIds", ids(&["new"]));
    assert!(said[0].starts_with("ConnectByDeviceIdsSucceeded"), "already connected: {said:?}");
    let said = bench.directive("Bluetooth.DisconnectDevices", ids(&["new", "old"]));
    assert_eq!(said[0], "bluetooth Disconnect(DeviceId(\"new\"))");
    assert!(said[1].starts_with("DisconnectDevicesFailed"), "{said:?}");
}

#[test]
fn a_profile_is_looked_for_among_those_connected_before() {
    let mut bench = bench(&[device("a", true, false), device("b", true, false), device("c", true, false)]);
    let profile = json!({ "profile": { "name": "A2DP-SOURCE", "version": "1.0" } });
    let said = bench.directive("Bluetooth.ConnectByProfile", profile.clone());
    assert!(said[0].starts_with("ConnectByProfileFailed"), "nobody was connected before: {said:?}");
    for name in ["a", "b", "c"] {
        news(&mut bench, News::Device(device(name, true, true)));
        news(&mut bench, News::Device(device(name, true, false)));
    }
    let said = bench.directive("Bluetooth.ConnectByProfile", profile);
    assert_eq!(said, ["bluetooth Connect(DeviceId(\"c\"))"]);
    assert_eq!(failed(&mut bench, Command::Connect(id("c"))), ["bluetooth Connect(DeviceId(\"b\"))"]);
    let said = done(&mut bench, Command::Connect(id("b")));
    assert!(said[0].starts_with("ConnectByProfileSucceeded"), "{said:?}");
}

#[test]
fn keys_go_to_the_phone_and_are_answered() {
    let mut bench = bench(&[device("phone", true, true)]);
    for (name, key, answer) in [
        ("Play", Key::Play, "MediaControlPlay"),
        ("Stop", Key::Pause, "MediaControlStop"),
        ("Next", Key::Next, "MediaControlNext"),
        ("Previous", Key::Previous, "MediaControlPrevious"),
    ] {
        let directive = format!("Bluetooth.{name}");
        for (ok, word) in [(true, "Succeeded"), (false, "Failed")] {
            assert_eq!(bench.directive(&directive, one("phone")).len(), 1);
            let command = Command::Control(id("phone"), key);
            let said = if ok { done(&mut bench, command) } else { failed(&mut bench, command) };
            assert!(said[0].starts_with(&format!("{answer}{word}")), "{said:?}");
        }
        let said = bench.directive(&directive, one("nobody"));
        assert!(said[0].starts_with(&format!("{answer}Failed")), "{said:?}");
    }
}

#[test]
fn a_phone_that_plays_takes_the_content_channel() {
    let mut bench = bench(&[device("phone", true, true)]);
    let said = news(&mut bench, News::Streaming(id("phone"), true));
    assert!(said.iter().any(|line| line.starts_with("StreamingStarted")), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("prepare ")), "{said:?}");
    assert!(said.iter().any(|line| line == "content Some(Foreground)"), "{said:?}");
    // "play" to one that plays is not passed on: it would pause.
    let said = bench.directive("Bluetooth.Play", one("phone"));
    assert!(said[0].starts_with("MediaControlPlaySucceeded"), "{said:?}");
    // The keys of the remote control are the phone's now.
    let said = bench.signal(Signal::Wish(Wish::Button(Button::Next)));
    assert!(said.contains(&"bluetooth Control(DeviceId(\"phone\"), Next)".to_string()), "{said:?}");
    let effects = bench.input(DeviceInput::Signal(Signal::Bluetooth(News::Streaming(id("phone"), false))));
    let ended = effects.iter().find_map(|effect| match effect {
        Effect::Send(event) if event.header.name == "StreamingEnded" => event.context.clone(),
        _ => None,
    });
    let context = ended.expect("StreamingEnded with its context");
    assert!(
        context.iter().any(|entry| entry.payload.to_string().contains("phone's")),
        "{:?}",
        lines(&effects)
    );
}

#[test]
fn a_phone_is_sent_away_when_another_content_takes_over() {
    let mut bench = bench(&[device("phone", true, true)]);
    news(&mut bench, News::Streaming(id("phone"), true));
    let item = json!({
        "playBehavior": "REPLACE_ALL",
        "audioItem": {
            "audioItemId": "i", "stream": { "url": "http://h/a.mp3", "token": "t", "offsetInMilliseconds": 0 }
        }
    });
    let said = bench.directive("AudioPlayer.Play", item);
    let ended = said.iter().position(|line| line.starts_with("StreamingEnded")).expect("it ended");
    let sent_away = said.iter().position(|line| line == "bluetooth Disconnect(DeviceId(\"phone\"))");
    assert!(sent_away.is_some_and(|at| at > ended), "{said:?}");
}

#[test]
fn what_is_missing_is_refused_and_categories_survive() {
    let mut bench = bench(&[device("phone", true, false)]);
    for (name, payload) in [
        ("Bluetooth.PairDevices", json!({})),
        ("Bluetooth.PairDevices", json!({ "devices": [] })),
        ("Bluetooth.UnpairDevices", json!({ "devices": [{}] })),
        ("Bluetooth.ConnectByProfile", json!({ "profile": {} })),
        (
            "Bluetooth.SetDeviceCategories",
            json!({ "devices": [{ "uniqueDeviceId": "phone", "deviceCategory": "CAT" }] }),
        ),
        ("Bluetooth.Next", json!({})),
    ] {
        assert_eq!(bench.directive(name, payload), ["! UNEXPECTED_INFORMATION_RECEIVED"], "{name}");
    }
    let wanted = json!({ "devices": [
        { "uniqueDeviceId": "phone", "deviceCategory": "PHONE" },
        { "uniqueDeviceId": "nobody", "deviceCategory": "OTHER" }
    ] });
    let said = bench.directive("Bluetooth.SetDeviceCategories", wanted);
    assert!(said[0].contains("bluetooth.categories") && said[0].contains("PHONE"), "{said:?}");
    assert!(said[1].starts_with("SetDeviceCategoriesSucceeded"), "{said:?}");
    assert!(said[2].starts_with("SetDeviceCategoriesFailed"), "{said:?}");
    let stored = [("bluetooth.categories".to_string(), json!({ "phone": "PHONE" }))];
    let config = DeviceConfig { bluetooth: true, stored: stored.into(), ..DeviceConfig::default() };
    let mut again = Bench::with(config);
    news(&mut again, News::Adapter(vec![device("phone", true, false)]));
    let context = again.device.context(again.moment());
    assert!(context.iter().any(|entry| entry.payload.to_string().contains("\"PHONE\"")));
}

#[test]
fn an_adapter_that_vanishes_fails_what_was_asked() {
    let mut bench = bench(&[device("phone", true, true)]);
    news(&mut bench, News::Streaming(id("phone"), true));
    bench.directive("Bluetooth.DisconnectDevices", ids(&["phone"]));
    let said = news(&mut bench, News::NoAdapter);
    assert!(said.iter().any(|line| line.starts_with("StreamingEnded")), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("DisconnectDevicesFailed")), "{said:?}");
    // What is not there is not declared, and declared again when it comes back.
    assert_eq!(said.last().map(String::as_str), Some("redeclare"));
    let declared = |bench: &Bench| bench.device.capabilities().iter().any(|c| c["interface"] == "Bluetooth");
    assert!(!declared(&bench));
    assert_eq!(bench.directive("Bluetooth.ScanDevices", json!({})), ["! UNSUPPORTED_OPERATION"]);
    assert_eq!(news(&mut bench, News::NoAdapter), [""; 0]);
    assert_eq!(news(&mut bench, News::Adapter(Vec::new())), ["redeclare"]);
    assert!(declared(&bench));
}

#[test]
fn the_end_of_a_stream_is_told_while_its_device_is_known() {
    for left in [News::Gone(id("phone")), News::NoAdapter, News::Device(device("phone", true, false))] {
        let mut bench = bench(&[device("phone", true, true)]);
        news(&mut bench, News::Streaming(id("phone"), true));
        let effects = bench.input(DeviceInput::Signal(Signal::Bluetooth(left.clone())));
        let ended = effects.iter().find_map(|effect| match effect {
            Effect::Send(event) if event.header.name == "StreamingEnded" => event.context.clone(),
            _ => None,
        });
        let context = ended.expect("a context");
        let state = context.iter().find(|entry| entry.header.namespace == "Bluetooth").expect("its entry");
        assert_eq!(state.payload["pairedDevices"][0]["uniqueDeviceId"], "phone", "{left:?}");
        let now = bench.device.context(bench.moment());
        let now = now.iter().find(|entry| entry.header.namespace == "Bluetooth");
        let known = now.is_some_and(|entry| !entry.payload["pairedDevices"].as_array().unwrap().is_empty());
        assert_eq!(known, matches!(left, News::Device(_)), "{left:?}");
    }
}
