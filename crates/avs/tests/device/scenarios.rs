//! The whole catalogue, event by event: each is sent in some scenario (and was checked against its schema then).

use std::collections::BTreeSet;
use std::time::Duration;

use antiphon_avs::device::{DeviceConfig, DeviceInput};
use antiphon_avs::message::CaptureId;
use antiphon_avs::signal::{
    Button, Initiator, PlayerNews, Profile as SpeechProfile, Signal, SoundNews, SpeechFormat, SpeechNews,
    Toggle, Utterance, Wish,
};
use antiphon_domain::bluetooth::{Command, Device, DeviceId, Key, News, Profile};
use antiphon_domain::media::{MediaError, MediaErrorKind};
use antiphon_domain::sound::Voice;
use antiphon_domain::{Level, Report, Volume};
use serde_json::{Value, json};

use crate::audio_player::{play, playing};
use crate::catalogue::events;
use crate::support::{Bench, Disk};

/// Sent by the session, before a device is asked.
const OF_THE_SESSION: [&str; 3] =
    ["Alexa.ApiGateway.VerifyGateway", "Alexa.Discovery.AddOrUpdateReport", "Alexa.Discovery.DeleteReport"];

#[test]
fn every_event_of_the_catalogue_is_sent_in_some_scenario() {
    let mut heard = BTreeSet::new();
    for scenario in [system, settings, speaker, audio_player, remote, equalizer, bluetooth, alerts, speech] {
        heard.extend(scenario().heard);
    }
    heard.extend(OF_THE_SESSION.map(Into::into));
    // Built for the opening of a connection, and checked at each input.
    heard.insert("System.SynchronizeState".into());
    let missing: Vec<_> = events().into_iter().filter(|event| !heard.contains(event)).collect();
    assert!(missing.is_empty(), "nothing sent {missing:?}");
}

fn connected(config: DeviceConfig) -> Bench {
    let mut bench = Bench::with(config);
    bench.input(DeviceInput::Connected);
    bench
}

fn wish(bench: &mut Bench, wish: Wish) {
    bench.signal(Signal::Wish(wish));
}

fn system() -> Bench {
    let mut bench = connected(DeviceConfig::default());
    bench.directive("System.SetLocales", json!({ "locales": ["en-US"] }));
    bench.directive("System.SetTimeZone", json!({ "timeZone": "UTC" }));
    wish(&mut bench, Wish::Locales(vec!["de-DE".into()]));
    wish(&mut bench, Wish::TimeZone("Europe/Berlin".into()));
    bench.directive("System.ReportState", json!({}));
    bench.directive("No.Such", json!({}));
    bench.pass(3_600_000);
    bench
}

fn settings() -> Bench {
    let mut bench = connected(DeviceConfig { legacy: true, ..Default::default() });
    wish(&mut bench, Wish::Locales(vec!["de-DE".into()]));
    bench
}

fn speaker() -> Bench {
    let mut bench = connected(DeviceConfig::default());
    let level = Level { volume: Volume::MAX, muted: true };
    bench.signal(Signal::Levels { level, report: Report { volume: true, mute: true } });
    bench
}

fn audio_player() -> Bench {
    let mut bench = playing();
    let reports = json!({ "progressReport": {
        "progressReportDelayInMilliseconds": 100,
        "progressReportIntervalInMilliseconds": 100,
    } });
    bench.directive("AudioPlayer.Play", play("REPLACE_ALL", "b", reports));
    bench.started(2);
    bench.pass(150);
    let update = json!({ "progressReportIntervalInMilliseconds": 1000 });
    bench.directive("AudioPlayer.UpdateProgressReportInterval", update);
    let at = bench.now;
    let error = MediaError { kind: MediaErrorKind::Unknown, message: String::new() };
    for news in [
        PlayerNews::Title("title".into()),
        PlayerNews::Stalled { at },
        PlayerNews::Recovered { at },
        PlayerNews::Paused { offset: Duration::ZERO },
        PlayerNews::Resumed { at },
        PlayerNews::Buffered,
        PlayerNews::Finished,
    ] {
        bench.news(2, news);
    }
    bench.directive("AudioPlayer.Play", play("ENQUEUE", "c", json!({})));
    bench.news(3, PlayerNews::Failed(error));
    bench.directive("AudioPlayer.ClearQueue", json!({}));
    bench
}

fn remote() -> Bench {
    let mut bench = connected(DeviceConfig::default());
    for button in [Button::Play, Button::Pause, Button::Next, Button::Previous, Button::SkipForward] {
        wish(&mut bench, Wish::Button(button));
    }
    wish(&mut bench, Wish::Toggle(Toggle::Loop, true));
    bench
}

fn equalizer() -> Bench {
    let mut bench = connected(DeviceConfig::default());
    bench.directive("EqualizerController.SetMode", json!({ "mode": "TV" }));
    bench
}

fn alerts() -> Bench {
    let mut bench = connected(DeviceConfig::default());
    bench.accepting = true;
    let set = |bench: &mut Bench, token: &str, time: &str| {
        let time = format!("2030-01-01T00:{time}+0000");
        bench.directive("Alerts.SetAlert", json!({ "token": token, "type": "TIMER", "scheduledTime": time }));
    };
    // It is 00:16:40.
    set(&mut bench, "soon", "16:50");
    set(&mut bench, "later", "59:00");
    set(&mut bench, "last", "59:00");
    bench.pass(10_000);
    let at = bench.now;
    bench.sound(Voice::Alert, 1, SoundNews::Started { at });
    bench.begun(1);
    bench.directive("Alerts.DeleteAlert", json!({ "token": "soon" }));
    bench.directive("Alerts.DeleteAlerts", json!({ "tokens": ["later"] }));
    bench.directive("Alerts.SetVolume", json!({ "volume": 5 }));
    bench.directive("Alerts.SetAlarmVolumeRamp", json!({ "alarmVolumeRamp": "ASCENDING" }));
    wish(&mut bench, Wish::AlarmRamp(false));
    bench.disk = Disk::Refuses;
    bench.directive("Alerts.DeleteAlert", json!({ "token": "last" }));
    bench.directive("Alerts.DeleteAlerts", json!({ "tokens": ["last"] }));
    set(&mut bench, "more", "59:30");
    bench
}

fn speech() -> Bench {
    let mut bench = connected(DeviceConfig::default());
    bench.directive("SpeechRecognizer.SetWakeWords", json!({ "wakeWords": ["ECHO"] }));
    bench.directive("SpeechRecognizer.SetWakeWordConfirmation", json!({ "wakeWordConfirmation": "TONE" }));
    bench.directive("SpeechRecognizer.SetSpeechConfirmation", json!({ "speechConfirmation": "TONE" }));
    wish(&mut bench, Wish::WakeWords(vec!["ALEXA".into()]));
    wish(&mut bench, Wish::WakeWordTone(false));
    wish(&mut bench, Wish::SpeechTone(false));
    bench.input(DeviceInput::Signal(Signal::Speech(SpeechNews::Begun(Utterance {
        id: CaptureId(1),
        initiator: Initiator::Tap,
        profile: SpeechProfile::NearField,
        format: SpeechFormat::Pcm,
        energies: Some((2.0, 1.0)),
    }))));
    bench.directive("SpeechRecognizer.StopCapture", json!({}));
    let speak = json!({ "url": "cid:speech", "format": "AUDIO_MPEG", "token": "speech" });
    bench.directive("SpeechSynthesizer.Speak", speak.clone());
    bench.spoken(1);
    bench.silent(1);
    bench.directive("SpeechSynthesizer.Speak", speak);
    bench.spoken(2);
    wish(&mut bench, Wish::StopForeground);
    bench.directive("SpeechRecognizer.ExpectSpeech", json!({ "timeoutInMilliseconds": 8_000 }));
    bench.pass(8_000);
    bench
}

fn bluetooth() -> Bench {
    let mut bench = connected(DeviceConfig { bluetooth: true, ..Default::default() });
    let phone = || DeviceId("phone".into());
    let known = |paired: bool, connected: bool| Device {
        id: phone(),
        name: "Phone".into(),
        masked_address: "XX:XX:XX:XX:5E:6F".into(),
        profiles: vec![Profile::A2dpSource, Profile::Avrcp],
        paired,
        connected,
    };
    let news = |bench: &mut Bench, news: News| bench.signal(Signal::Bluetooth(news));
    let done = |bench: &mut Bench, command: Command| {
        bench.signal(Signal::Bluetooth(News::Done { command, result: Ok(()) }))
    };
    let ids = |name: &str| json!({ "devices": [{ "uniqueDeviceId": name }] });
    let categories =
        |name: &str| json!({ "devices": [{ "uniqueDeviceId": name, "deviceCategory": "PHONE" }] });
    let profile = json!({ "profile": { "name": "A2DP-SOURCE", "version": "1.0" } });

    // Without an adapter, and about a stranger, nothing succeeds.
    bench.directive("Bluetooth.ScanDevices", json!({}));
    bench.directive("Bluetooth.EnterDiscoverableMode", json!({}));
    news(&mut bench, News::Adapter(Vec::new()));
    let several: [(&str, Value); 5] = [
        ("PairDevices", ids("stranger")),
        ("UnpairDevices", ids("stranger")),
        ("ConnectByDeviceIds", ids("stranger")),
        ("DisconnectDevices", ids("stranger")),
        ("SetDeviceCategories", categories("stranger")),
    ];
    for (name, payload) in several {
        bench.directive(&format!("Bluetooth.{name}"), payload);
    }
    bench.directive("Bluetooth.ConnectByProfile", profile.clone());
    let keys = [("Play", Key::Play), ("Stop", Key::Pause), ("Next", Key::Next), ("Previous", Key::Previous)];
    for (name, _) in keys {
        let stranger = json!({ "device": { "uniqueDeviceId": "stranger" } });
        bench.directive(&format!("Bluetooth.{name}"), stranger);
    }

    // A phone is found, paired, connected, used and sent away.
    bench.directive("Bluetooth.ScanDevices", json!({}));
    bench.directive("Bluetooth.EnterDiscoverableMode", json!({}));
    done(&mut bench, Command::Discoverable(true));
    news(&mut bench, News::Device(known(false, false)));
    bench.directive("Bluetooth.PairDevices", ids("phone"));
    news(&mut bench, News::Device(known(true, false)));
    done(&mut bench, Command::Pair(phone()));
    // Who is paired is connected, too.
    done(&mut bench, Command::Connect(phone()));
    news(&mut bench, News::Device(known(true, false)));
    bench.directive("Bluetooth.SetDeviceCategories", categories("phone"));
    bench.directive("Bluetooth.ConnectByDeviceIds", ids("phone"));
    news(&mut bench, News::Device(known(true, true)));
    done(&mut bench, Command::Connect(phone()));
    for (name, key) in keys {
        bench.directive(&format!("Bluetooth.{name}"), json!({ "device": { "uniqueDeviceId": "phone" } }));
        done(&mut bench, Command::Control(phone(), key));
    }
    news(&mut bench, News::Streaming(phone(), true));
    news(&mut bench, News::Streaming(phone(), false));
    bench.directive("Bluetooth.DisconnectDevices", ids("phone"));
    news(&mut bench, News::Device(known(true, false)));
    done(&mut bench, Command::Disconnect(phone()));
    bench.directive("Bluetooth.ConnectByProfile", profile);
    done(&mut bench, Command::Connect(phone()));
    news(&mut bench, News::Device(known(true, true)));
    bench.directive("Bluetooth.UnpairDevices", ids("phone"));
    done(&mut bench, Command::Disconnect(phone()));
    news(&mut bench, News::Device(known(true, false)));
    done(&mut bench, Command::Unpair(phone()));
    bench
}
