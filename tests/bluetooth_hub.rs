//! Bluetooth through the front door, against a mocked BlueZ: declared where an adapter is; phones found, paired,
//! connected and sent away; what a phone plays is heard, and who played before goes on after it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_simulator::{Entry, Fault};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::sync::Arc;
use support::analysis::{tone_level, tone_levels};
use support::bluez::Bluez;
use support::calm::calmly;
use support::hub::{Hub, PATIENCE, RATE, Setup, level_at, play};
use support::or_skip;
use support::patience::{eventually, wait_for};

const ID: &str = "kitchen";
/// What the phone plays.
const PHONE: f64 = 660.0;
/// What the AudioPlayer plays.
const MUSIC: f64 = 440.0;

/// A hub whose first speaker has the adapter; `more` may be `[voice]`.
fn house(bluez: &Bluez, more: &str) -> Hub {
    let source = "audiotestsrc is-live=true wave=sine freq=660 volume=0.25";
    let radio = format!("[bluetooth]\nsource = \"{source}\"\nbus = \"{}\"", bluez.address());
    Setup::new(&[ID, "shelf"]).with(&radio).with(more).speaker(ID, "bluetooth = true").program().start()
}

fn declares(hub: &Hub, id: &str) -> bool {
    let device = hub.simulator().device(id).unwrap();
    device.interfaces.iter().any(|(name, version)| name == "Bluetooth" && version == "2.0")
}

fn wait_declared(hub: &Hub, declared: bool) {
    eventually(&format!("declared: {declared}"), PATIENCE, || declares(hub, ID) == declared);
}

/// Breaks the connection; the SynchronizeState of the next.
fn reconnect(hub: &Hub) -> Arc<Entry> {
    let mark = hub.simulator().mark(ID);
    hub.simulator().inject(ID, &Fault::TcpReset).unwrap();
    let told = hub.event(ID, mark, "System", "SynchronizeState");
    hub.wait_linked();
    told
}

fn restart(hub: &mut Hub) -> Arc<Entry> {
    hub.end(Signal::KILL);
    let mark = hub.simulator().mark(ID);
    hub.start_again();
    hub.wait_linked();
    wait_declared(hub, true);
    hub.event(ID, mark, "System", "SynchronizeState")
}

/// The devices a context tells of.
fn paired(told: &Entry) -> Vec<Value> {
    told.context("Bluetooth", "BluetoothState").unwrap()["pairedDevices"].as_array().unwrap().clone()
}

/// A key of the remote control, whose context is asked for here.
fn context(hub: &Hub) -> Arc<Entry> {
    let mark = hub.simulator().mark(ID);
    hub.api("PUT", &format!("/api/speakers/{ID}/toggles/loop"), json!({ "on": true }));
    hub.event(ID, mark, "PlaybackController", "ToggleCommandIssued")
}

#[test]
fn it_is_declared_where_an_adapter_is() {
    let Some(mut bluez) = or_skip(Bluez::new()) else { return };
    let hub = house(&bluez, "");
    assert!(!declares(&hub, ID) && !declares(&hub, "shelf"));
    let mark = hub.simulator().mark(ID);
    hub.say(ID, "bluetooth scan");
    let refused = hub.event(ID, mark, "System", "ExceptionEncountered");
    assert_eq!(refused.payload()["error"]["type"], "UNSUPPORTED_OPERATION");
    assert!(reconnect(&hub).context("Bluetooth", "BluetoothState").is_none());
    bluez.start();
    wait_declared(&hub, true);
    assert!(!declares(&hub, "shelf"), "there is one adapter");
    let mark = hub.simulator().mark(ID);
    hub.say(ID, "bluetooth scan");
    hub.event(ID, mark, "Bluetooth", "ScanDevicesReport");
    bluez.stop();
    wait_declared(&hub, false);
    let mark = hub.simulator().mark(ID);
    hub.say(ID, "bluetooth scan");
    hub.event(ID, mark, "System", "ExceptionEncountered");
    bluez.start();
    wait_declared(&hub, true);
    assert_eq!(paired(&reconnect(&hub)), [] as [Value; 0]);
    hub.assert_no_violations();
}

#[test]
fn a_phone_is_found_paired_connected_and_sent_away() {
    let Some(mut bluez) = or_skip(Bluez::new()) else { return };
    bluez.start();
    let mut hub = house(&bluez, "");
    wait_declared(&hub, true);
    let mut mark = hub.simulator().mark(ID);
    let said = |hub: &Hub, mark: u64, name: &str| hub.event(ID, mark, "Bluetooth", name).payload().clone();
    hub.say(ID, "bluetooth scan");
    assert_eq!(said(&hub, mark, "ScanDevicesReport"), json!({ "discoveredDevices": [], "hasMore": true }));
    mark = hub.simulator().mark(ID);
    bluez.add_phone();
    let found = said(&hub, mark, "ScanDevicesReport")["discoveredDevices"][0].clone();
    assert_eq!(
        (&found["friendlyName"], &found["truncatedMacAddress"]),
        (&json!("phone"), &json!("XX:XX:XX:XX:55:66"))
    );
    let id = found["uniqueDeviceId"].clone();
    hub.say(ID, "bluetooth pair phone");
    let pairing = said(&hub, mark, "PairDevicesSucceeded");
    assert_eq!(pairing["devices"][0]["uniqueDeviceId"], id);
    // It is connected because it was paired: nobody had asked for that.
    let connected = said(&hub, mark, "ConnectByDeviceIdsSucceeded");
    assert_eq!(
        (&connected["devices"][0]["uniqueDeviceId"], &connected["requester"]),
        (&id, &json!("DEVICE"))
    );
    hub.say(ID, "bluetooth category phone PHONE");
    let told = hub.event(ID, mark, "Bluetooth", "SetDeviceCategoriesSucceeded");
    let device = paired(&told)[0].clone();
    assert_eq!(
        (&device["deviceCategory"], &device["connectionState"]),
        (&json!("PHONE"), &json!("CONNECTED"))
    );
    mark = hub.simulator().mark(ID);
    hub.say(ID, "bluetooth disconnect phone");
    assert_eq!(said(&hub, mark, "DisconnectDevicesSucceeded")["requester"], "CLOUD");
    let device = paired(&reconnect(&hub))[0].clone();
    assert_eq!(device["connectionState"], "DISCONNECTED");
    // It comes by itself, and goes by itself.
    mark = hub.simulator().mark(ID);
    bluez.connect_phone(true);
    by_itself(&hub, mark, "ConnectByDeviceIdsSucceeded");
    bluez.connect_phone(false);
    by_itself(&hub, mark, "DisconnectDevicesSucceeded");
    hub.say(ID, "bluetooth discoverable 60");
    said(&hub, mark, "EnterDiscoverableModeSucceeded");
    assert!(bluez.adapter_is("Discoverable"));
    hub.say(ID, "bluetooth hide");
    eventually("it hides", PATIENCE, || !bluez.adapter_is("Discoverable"));
    // Ids and categories outlive the hub.
    let device =
        paired(&restart(&mut hub)).first().cloned().or_else(|| paired(&context(&hub)).pop()).unwrap();
    assert_eq!((&device["uniqueDeviceId"], &device["deviceCategory"]), (&id, &json!("PHONE")));
    mark = hub.simulator().mark(ID);
    hub.say(ID, "bluetooth connect");
    assert_eq!(said(&hub, mark, "ConnectByProfileSucceeded")["device"]["uniqueDeviceId"], id);
    hub.say(ID, "bluetooth connect nobody");
    assert_eq!(said(&hub, mark, "ConnectByDeviceIdsFailed")["devices"][0]["uniqueDeviceId"], "nobody");
    hub.send(ID, "Bluetooth", "PairDevices", json!({ "devices": [] }));
    let refused = hub.event(ID, mark, "System", "ExceptionEncountered");
    assert_eq!(refused.payload()["error"]["type"], "UNEXPECTED_INFORMATION_RECEIVED");
    hub.say(ID, "bluetooth unpair phone");
    assert_eq!(said(&hub, mark, "UnpairDevicesSucceeded")["devices"][0]["uniqueDeviceId"], id);
    assert_eq!(paired(&context(&hub)), [] as [Value; 0]);
    hub.assert_no_violations();
}

/// Waits for an event that says that the phone did it, not Alexa.
fn by_itself(hub: &Hub, mark: u64, name: &str) {
    let told = |e: &Entry| e.is_event("Bluetooth", name) && e.payload()["requester"] == "DEVICE";
    hub.wait(hub.simulator().wait_for(ID, mark, told, PATIENCE)).unwrap_or_else(|_| panic!("no {name}"));
}

/// A mocked BlueZ with a phone that is connected and has not played yet.
fn with_phone() -> Option<Bluez> {
    let mut bluez = or_skip(Bluez::new())?;
    bluez.start();
    bluez.add_phone();
    bluez.pair_phone();
    bluez.connect_phone(true);
    bluez.give_phone_a_player();
    Some(bluez)
}

fn start_music(hub: &Hub, token: &str) {
    let url = hub.simulator().track("tone-440-300s.wav");
    hub.send(ID, "AudioPlayer", "Play", play("REPLACE_ALL", &url, token, None));
}

/// Waits for an event of Bluetooth that brings the devices as they are with it.
fn streaming(hub: &Hub, mark: u64, name: &str, state: &str) {
    let told = hub.event(ID, mark, "Bluetooth", name);
    assert_eq!(told.payload()["device"]["profileName"], "A2DP-SOURCE");
    let device = paired(&told)[0].clone();
    let profiles = device["supportedProfiles"].as_array().unwrap().clone();
    let source = profiles.iter().find(|p| p["name"] == "A2DP-SOURCE").unwrap();
    assert_eq!(source["state"]["streaming"], state, "{name}: {device:#}");
}

#[test]
fn heard_what_a_phone_plays_and_what_played_before() {
    calmly(what_a_phone_plays_and_what_played_before);
}

fn what_a_phone_plays_and_what_played_before() {
    let Some(mut bluez) = with_phone() else { return };
    let mut hub = house(&bluez, "");
    wait_declared(&hub, true);
    start_music(&hub, "a");
    hub.wait_level(ID, MUSIC, level_at(40));
    // A visit: the AudioPlayer stands still meanwhile.
    let mut mark = hub.simulator().mark(ID);
    bluez.phone_plays(true);
    streaming(&hub, mark, "StreamingStarted", "ACTIVE");
    hub.event(ID, mark, "AudioPlayer", "PlaybackPaused");
    hub.wait_level(ID, PHONE, level_at(40));
    let sound = hub.recording(ID).samples;
    let both = tone_level(&sound[sound.len() - RATE as usize / 4..], RATE, MUSIC);
    assert!(both < level_at(40) - 40.0, "the music is heard beside it at {both:.1} dBFS");
    ducks_under_speech(&hub);
    // Alexa's road breaks and comes back; nobody hears of it.
    let from = hub.recording(ID).end();
    let device = paired(&reconnect(&hub))[0].clone();
    assert_eq!(device["connectionState"], "CONNECTED");
    hub.wait_level(ID, PHONE, level_at(40));
    let sound = hub.recording(ID);
    let quietest = tone_levels(sound.between(from, sound.end()), RATE, PHONE, 0.1);
    let quietest = quietest.iter().map(|(_, level)| *level).fold(0.0, f64::min);
    assert!((quietest - level_at(40)).abs() < 1.0, "{quietest:.1} dBFS while the connection broke");
    // The remote control is the phone's while it plays.
    mark = hub.simulator().mark(ID);
    hub.api("POST", &format!("/api/speakers/{ID}/buttons/pause"), json!({}));
    streaming(&hub, mark, "StreamingEnded", "INACTIVE");
    hub.event(ID, mark, "AudioPlayer", "PlaybackResumed");
    hub.wait_level(ID, MUSIC, level_at(40));
    assert!(hub.events(ID, mark, "PlaybackController").is_empty() && !bluez.is_playing());
    // So it is by voice.
    mark = hub.simulator().mark(ID);
    hub.say(ID, "bluetooth play phone");
    hub.event(ID, mark, "Bluetooth", "MediaControlPlaySucceeded");
    streaming(&hub, mark, "StreamingStarted", "ACTIVE");
    hub.wait_level(ID, PHONE, level_at(40));
    hub.say(ID, "bluetooth next phone");
    hub.event(ID, mark, "Bluetooth", "MediaControlNextSucceeded");
    hub.say(ID, "bluetooth stop phone");
    hub.event(ID, mark, "Bluetooth", "MediaControlStopSucceeded");
    hub.event(ID, mark, "Bluetooth", "StreamingEnded");
    hub.event(ID, mark, "AudioPlayer", "PlaybackResumed");
    hub.wait_level(ID, MUSIC, level_at(40));
    // Killed while the phone plays, the hub plays on what the phone plays on.
    bluez.phone_plays(true);
    hub.wait_level(ID, PHONE, level_at(40));
    mark = hub.simulator().mark(ID);
    restart(&mut hub);
    hub.wait_level(ID, PHONE, level_at(40));
    // Another content takes its place: the phone must not play on in silence.
    mark = mark.max(hub.simulator().mark(ID));
    start_music(&hub, "b");
    hub.wait_level(ID, MUSIC, level_at(40));
    streaming(&hub, mark, "StreamingEnded", "INACTIVE");
    by_itself(&hub, mark, "DisconnectDevicesSucceeded");
    // The adapter is pulled out while it plays.
    bluez.phone_plays(false);
    bluez.connect_phone(true);
    hub.event(ID, mark, "Bluetooth", "ConnectByDeviceIdsSucceeded");
    mark = hub.simulator().mark(ID);
    bluez.phone_plays(true);
    hub.wait_level(ID, PHONE, level_at(40));
    bluez.stop();
    // Told while the device is still known.
    streaming(&hub, mark, "StreamingEnded", "INACTIVE");
    hub.event(ID, mark, "AudioPlayer", "PlaybackResumed");
    hub.wait_level(ID, MUSIC, level_at(40));
    wait_declared(&hub, false);
    hub.assert_no_violations();
}

/// The phone's music goes on quietly while Alexa speaks.
fn ducks_under_speech(hub: &Hub) {
    let mark = hub.simulator().mark(ID);
    let from = hub.recording(ID).end();
    hub.say(ID, "tell me hello");
    hub.event(ID, mark, "SpeechSynthesizer", "SpeechFinished");
    hub.wait_level(ID, PHONE, level_at(40));
    let sound = hub.recording(ID);
    let levels = tone_levels(sound.between(from, sound.end()), RATE, PHONE, 0.1);
    let quietest = levels.iter().map(|(_, level)| *level).fold(0.0, f64::min);
    println!("bluetooth: ducked to {quietest:.1} dBFS under speech");
    assert!((quietest - level_at(20)).abs() < 3.0, "{quietest:.1} dBFS, not {:.1}", level_at(20));
    assert!(hub.events(ID, mark, "Bluetooth").is_empty());
}

#[test]
fn where_nothing_is_ducked_the_phone_pauses_for_speech() {
    let Some(bluez) = with_phone() else { return };
    let hub = house(&bluez, "[voice]\nducking = false");
    wait_declared(&hub, true);
    let mut mark = hub.simulator().mark(ID);
    bluez.phone_plays(true);
    streaming(&hub, mark, "StreamingStarted", "ACTIVE");
    mark = hub.simulator().mark(ID);
    hub.say(ID, "tell me a story that is long enough to be noticed by a phone in another room");
    hub.event(ID, mark, "SpeechSynthesizer", "SpeechStarted");
    let paused = wait_for(PATIENCE, || (!bluez.is_playing()).then_some(()));
    assert!(paused.is_some(), "the phone plays on");
    hub.event(ID, mark, "SpeechSynthesizer", "SpeechFinished");
    eventually("the phone plays again", PATIENCE, || bluez.is_playing());
    // It was one stream all the time.
    assert!(hub.events(ID, mark, "Bluetooth").is_empty());
    hub.assert_no_violations();
}
