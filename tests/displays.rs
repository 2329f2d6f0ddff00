//! What receivers show and what is pressed at them, through the front door.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_domain::{Level, Volume, VolumeStep};
use antiphon_endpoint::{Button, Control, EndpointEvent, NowPlaying, PlayState};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use support::hub::{Hub, PATIENCE, Setup, play};
use support::patience::{eventually, wait_for};
use support::puppet::Puppet;

fn pressed(puppet: &Puppet, id: &str, button: Button) {
    assert!(puppet.tell(id, EndpointEvent::Pressed(button)), "{id} has no session");
}

fn wait_now(puppet: &Puppet, id: &str, what: &str, holds: impl Fn(&NowPlaying) -> bool) -> Arc<NowPlaying> {
    let found = wait_for(PATIENCE, || puppet.now(id).filter(|now| holds(now)));
    found.unwrap_or_else(|| panic!("waited in vain: {what}; {id} shows {:#?}", puppet.now(id)))
}

fn state(hub: &Hub, group: &str) -> String {
    let picture = hub.picture();
    let groups = picture["groups"].as_array().cloned().unwrap_or_default();
    let found = groups.iter().find(|g| g["id"] == group).and_then(|g| g["content"]["state"].as_str());
    found.unwrap_or("nothing").to_owned()
}

fn wait_state(hub: &Hub, group: &str, wanted: &str) {
    eventually(&format!("{group} is {wanted}"), PATIENCE, || state(hub, group) == wanted);
}

#[test]
fn receivers_are_told_what_their_group_hears() {
    let puppet = Puppet::new();
    let hub = Setup::new(&["kitchen", "sofa"]).with_kind(puppet.clone()).grouped().start();
    let url = hub.simulator().track("tone-440-60s.wav");
    let base = url.rsplit_once('/').unwrap().0.to_owned();
    let content = json!({
        "title": "A tone", "titleSubtext1": "Sine", "titleSubtext2": "Waves", "mediaLengthInMilliseconds": 60_000,
        "art": { "sources": [{ "url": format!("{base}/cover.png") }] },
    });
    let info = json!({ "audioItemId": "a", "content": content, "controls": [] });
    hub.send("kitchen", "AudioPlayer", "Play", play("REPLACE_ALL", &url, "a", None));
    let now =
        wait_now(&puppet, "sofa", "it plays", |n| n.state == PlayState::Playing && n.position.is_some());
    assert_eq!((&now.title, &now.artwork), (&None, &None), "nothing is known of it yet");
    hub.send("kitchen", "TemplateRuntime", "RenderPlayerInfo", info);
    let now = wait_now(&puppet, "sofa", "the picture is there", |n| n.artwork.is_some());
    assert_eq!(now.title.as_deref(), Some("A tone"));
    assert_eq!((now.artist.as_deref(), now.album.as_deref()), (Some("Sine"), Some("Waves")));
    assert_eq!(now.length, Some(Duration::from_secs(60)));
    let artwork = now.artwork.as_ref().unwrap();
    assert_eq!(artwork.media_type, "image/png");
    assert!(artwork.bytes.starts_with(b"\x89PNG"));
    let group = now.group.as_ref().unwrap();
    assert_eq!((group.id.as_str(), group.name.as_str(), group.muted), ("all", "all", false));
    // The group's slider is told; while nothing changes, nothing is.
    hub.api("POST", "/api/groups/all/volume", json!({ "volume": 33 }));
    wait_now(&puppet, "kitchen", "the slider", |n| n.group.as_ref().is_some_and(|g| g.volume.get() == 33));
    let told = |id: &str| {
        puppet.state().told[id].iter().filter(|control| matches!(control, Control::Now(_))).count()
    };
    let before = (told("kitchen"), told("sofa"));
    hub.listen("kitchen", 2 * 44_100);
    assert_eq!((told("kitchen"), told("sofa")), before, "told again what it knew");
    // Held, with where.
    hub.api("POST", "/api/groups/all/play", json!({ "url": url }));
    let now = wait_now(&puppet, "sofa", "a person's", |n| n.state == PlayState::Playing && n.title.is_none());
    assert_eq!((&now.artwork, now.length), (&None, Some(Duration::from_secs(60))));
    hub.listen("kitchen", 2 * 44_100);
    pressed(&puppet, "sofa", Button::Pause);
    let held = wait_now(&puppet, "sofa", "held", |n| n.state == PlayState::Paused);
    assert!(held.position.is_some_and(|(_, at)| at >= Duration::from_secs(1)), "{:?}", held.position);
    hub.api("POST", "/api/groups/all/stop", json!({}));
    let now = wait_now(&puppet, "sofa", "over", |n| n.state == PlayState::Stopped);
    assert_eq!((&now.title, now.position), (&None, None));
    hub.assert_no_violations();
}

#[test]
fn a_picture_that_is_none_or_too_large_harms_nobody() {
    let puppet = Puppet::new();
    let hub = Setup::new(&["kitchen"]).with_kind(puppet.clone()).start();
    let url = hub.simulator().track("tone-440-60s.wav");
    hub.send("kitchen", "AudioPlayer", "Play", play("REPLACE_ALL", &url, "a", None));
    wait_now(&puppet, "kitchen", "it plays", |n| n.state == PlayState::Playing);
    // A tone of a minute is 5 MB, and no picture.
    for (title, art) in
        [("big", url.clone()), ("none", hub.simulator().track("404")), ("odd", "file:///etc/passwd".into())]
    {
        let art = json!({ "sources": [{ "url": art }] });
        let info = json!({ "audioItemId": "a", "content": { "title": title, "art": art }, "controls": [] });
        hub.send("kitchen", "TemplateRuntime", "RenderPlayerInfo", info);
        let now = wait_now(&puppet, "kitchen", title, |n| n.title.as_deref() == Some(title));
        assert_eq!(now.artwork, None);
    }
    hub.listen("kitchen", 44_100);
    assert_eq!(puppet.now("kitchen").unwrap().artwork, None);
    assert_eq!(hub.speaker("kitchen")["playing"], true);
}

#[test]
fn buttons_mean_what_the_group_hears() {
    let puppet = Puppet::new();
    let hub = Setup::new(&["kitchen", "sofa"]).with_kind(puppet.clone()).grouped().start();
    let url = hub.simulator().track("tone-440-60s.wav");
    // A person's: held and gone on with here, whichever receiver was pressed.
    hub.api("POST", "/api/groups/all/play", json!({ "url": url }));
    wait_state(&hub, "all", "playing");
    let mark = ["kitchen", "sofa"].map(|id| hub.simulator().mark(id));
    pressed(&puppet, "sofa", Button::Pause);
    wait_state(&hub, "all", "paused");
    pressed(&puppet, "kitchen", Button::PlayPause);
    wait_state(&hub, "all", "playing");
    // Pressed twice it is meant once.
    pressed(&puppet, "sofa", Button::Play);
    pressed(&puppet, "sofa", Button::Next);
    pressed(&puppet, "sofa", Button::Stop);
    wait_state(&hub, "all", "nothing");
    for (id, mark) in ["kitchen", "sofa"].iter().zip(mark) {
        assert_eq!(hub.events(id, mark, "PlaybackController"), Vec::<String>::new(), "{id}");
    }
    // Alexa's: she decides, at the device that leads.
    hub.send("kitchen", "AudioPlayer", "Play", play("REPLACE_ALL", &url, "a", None));
    wait_state(&hub, "all", "playing");
    pressed(&puppet, "sofa", Button::Pause);
    hub.event("kitchen", mark[0], "PlaybackController", "PauseCommandIssued");
    pressed(&puppet, "sofa", Button::Next);
    hub.event("kitchen", mark[0], "PlaybackController", "NextCommandIssued");
    assert_eq!(hub.events("sofa", mark[1], "PlaybackController"), Vec::<String>::new());
    pressed(&puppet, "sofa", Button::Stop);
    wait_state(&hub, "all", "nothing");
    hub.assert_no_violations();
}

#[test]
fn knobs_obey_the_laws_of_volume() {
    let puppet = Puppet::new();
    puppet.state().own_volume.extend(["kitchen".to_owned(), "sofa".to_owned()]);
    let hub = Setup::new(&["kitchen", "sofa"]).with_kind(puppet.clone()).start();
    hub.set_alone(&[("kitchen", 20), ("sofa", 30)]);
    hub.api("PUT", "/api/groups/all", json!({ "speakers": ["kitchen", "sofa"] }));
    let url = hub.simulator().track("tone-440-60s.wav");
    hub.api("POST", "/api/groups/all/play", json!({ "url": url }));
    wait_state(&hub, "all", "playing");
    let last = |id: &str| {
        let state = puppet.state();
        state.told[id].iter().rev().find_map(|control| match control {
            Control::Level(level) => Some(*level),
            _ => None,
        })
    };
    let at = |volume: i64, muted| Some(Level { volume: Volume::new(volume).unwrap(), muted });
    eventually("it is told its level", PATIENCE, || last("sofa") == at(30, false));
    let marks = ["kitchen", "sofa"].map(|id| hub.simulator().mark(id));
    // An echo of what it was told is no change.
    puppet.tell("sofa", EndpointEvent::VolumeTurned(Volume::new(30).unwrap()));
    puppet.tell("sofa", EndpointEvent::Muted(false));
    // A knob is that speaker's alone, and so is its mute.
    puppet.tell("sofa", EndpointEvent::VolumeTurned(Volume::new(45).unwrap()));
    eventually("turned", PATIENCE, || hub.volume("sofa") == Some(45));
    assert_eq!(hub.volume("kitchen"), Some(20));
    puppet.tell("sofa", EndpointEvent::Muted(true));
    eventually("muted", PATIENCE, || hub.speaker("sofa")["muted"] == true);
    assert_eq!(hub.speaker("kitchen")["muted"], false);
    puppet.tell("sofa", EndpointEvent::Muted(false));
    eventually("heard again", PATIENCE, || hub.speaker("sofa")["muted"] == false);
    // What is pressed for the group reaches the group, each at its own balance, and comes back to where it was.
    let slider = || hub.picture()["groups"][0]["volume"].as_u64().unwrap();
    let (before, volumes) = (slider(), (hub.volume("kitchen"), hub.volume("sofa")));
    pressed(&puppet, "sofa", Button::GroupVolume(Volume::new(0).unwrap()));
    eventually("silent", PATIENCE, || hub.volume("kitchen") == Some(0) && hub.volume("sofa") == Some(0));
    pressed(&puppet, "sofa", Button::GroupVolume(Volume::new(before as i64).unwrap()));
    eventually("as before", PATIENCE, || (hub.volume("kitchen"), hub.volume("sofa")) == volumes);
    pressed(&puppet, "kitchen", Button::VolumeStep(VolumeStep::new(5).unwrap()));
    eventually("a step up", PATIENCE, || slider() == before + 5);
    assert!(hub.volume("kitchen") > volumes.0 && hub.volume("sofa") > volumes.1);
    pressed(&puppet, "kitchen", Button::GroupMute(true));
    eventually("all muted", PATIENCE, || {
        ["kitchen", "sofa"].iter().all(|id| hub.speaker(id)["muted"] == true)
    });
    eventually("and told so", PATIENCE, || last("sofa").is_some_and(|level| level.muted));
    // Alexa hears of each real change.
    hub.event("sofa", marks[1], "Speaker", "VolumeChanged");
    hub.event("sofa", marks[1], "Speaker", "MuteChanged");
    hub.assert_no_violations();
}
