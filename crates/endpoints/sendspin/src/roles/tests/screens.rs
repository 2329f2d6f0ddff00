//! What clients show and press.

use std::sync::Arc;
use std::time::Duration;

use antiphon_domain::{GroupId, Volume};
use antiphon_endpoint::{Artwork, Button, Control, EndpointEvent, GroupNow, NowPlaying, Pace, PlayState};
use serde_json::{Value, json};

use super::client::{PLENTY, Rig, block, due, player, shared};

const CD: &[(&str, u32, u8)] = &[("pcm", 44_100, 16)];

fn rig() -> Rig {
    Rig::begun(&shared(), PLENTY, CD, Pace::Steady)
}

fn playing(title: &str) -> NowPlaying {
    NowPlaying {
        state: PlayState::Playing,
        title: Some(title.into()),
        artist: Some("Somebody".into()),
        group: Some(GroupNow {
            id: GroupId::new("g1"),
            name: "Downstairs".into(),
            volume: Volume::new(33).unwrap(),
            muted: false,
        }),
        ..NowPlaying::default()
    }
}

fn tell(rig: &mut Rig, now: NowPlaying) {
    rig.said.clear();
    rig.roles.control(Control::Now(now.into()));
    rig.drain();
}

#[test]
fn a_client_is_told_its_place_and_every_state_first() {
    let rig = Rig::new(&shared(), PLENTY, CD);
    assert_eq!(rig.said[0].0, "group/update");
    assert_eq!(
        rig.said[0].1,
        json!({"playback_state": "stopped", "group_id": "the-client", "group_name": "Kitchen"})
    );
    let state = &rig.said[1].1;
    assert_eq!(state["controller"]["shuffle"], json!(false));
    assert_eq!(state["metadata"]["timestamp"], json!(1_000_000));
    assert_eq!(rig.said.len(), 2);
    let wanted = ["player@v1", "controller@v1", "metadata@v1", "artwork@v1", "visualizer@v1"];
    assert_eq!(rig.roles.wanted(), wanted);
}

#[test]
fn what_plays_is_shown_once() {
    let mut rig = rig();
    let mut now = playing("A Song");
    now.length = Some(Duration::from_secs(180));
    now.position = Some((rig.now + Duration::from_secs(1), Duration::from_millis(1_500)));
    tell(&mut rig, now.clone());
    assert_eq!(
        rig.all("group/update"),
        [&json!({
            "playback_state": "playing", "group_id": "g1", "group_name": "Downstairs"
        })]
    );
    let state = rig.all("server/state")[0];
    assert_eq!(state["controller"]["volume"], json!(33));
    let at = rig.now.nanos() / 1_000;
    assert_eq!(
        state["metadata"],
        json!({
            "timestamp": at, "title": "A Song", "artist": "Somebody",
            "progress": {"track_progress": 500, "track_duration": 180_000, "playback_speed": 1000},
        })
    );
    tell(&mut rig, now.clone());
    assert_eq!(rig.said, []);
    now.state = PlayState::Paused;
    tell(&mut rig, now);
    let state = rig.all("server/state")[0];
    assert_eq!(state["metadata"]["progress"]["playback_speed"], json!(0));
    assert_eq!(state.get("controller"), None);
    tell(&mut rig, NowPlaying::default());
    assert_eq!(rig.all("server/state")[0]["metadata"].as_object().unwrap().len(), 1);
}

#[test]
fn buttons_are_told_and_nonsense_is_not() {
    let mut rig = rig();
    rig.events.clear();
    let mut press = |command: Value| {
        let outcome = rig.roles.command(json!({"controller": command}).as_object().unwrap());
        (outcome.is_ok(), rig.roles.event())
    };
    let pressed = |button| (true, Some(EndpointEvent::Pressed(button)));
    assert_eq!(press(json!({"command": "play"})), pressed(Button::Play));
    assert_eq!(press(json!({"command": "next"})), pressed(Button::Next));
    let volume = Volume::new(12).unwrap();
    assert_eq!(press(json!({"command": "volume", "volume": 12})), pressed(Button::GroupVolume(volume)));
    assert_eq!(press(json!({"command": "mute", "mute": true})), pressed(Button::GroupMute(true)));
    assert_eq!(press(json!({"command": "shuffle"})), (true, None));
    assert_eq!(press(json!({"command": "volume", "volume": 101})), (false, None));
    assert_eq!(press(json!({"command": 7})), (false, None));
    rig.roles.end();
    assert!(rig.roles.command(json!({"controller": {"command": "play"}}).as_object().unwrap()).is_ok());
    assert_eq!(rig.roles.event(), None);
}

#[test]
fn states_that_make_no_sense_are_refused() {
    let mut rig = rig();
    for state in [
        json!({}),
        json!({"available": true, "player": {"volume": 101}}),
        json!({"available": true, "player": {"muted": null}}),
        json!({"available": true, "player": 5}),
        json!({"available": true, "player": {"output_delay_ms": -1}}),
        json!({"available": true, "artwork": {"channels": [{}, {}, {}, {}, {}]}}),
        json!({"available": true, "visualizer": {"types": ["spectrum"], "rate_max": 3}}),
    ] {
        assert!(rig.roles.state(state.as_object().unwrap(), rig.now).is_err(), "{state}");
    }
}

#[test]
fn a_person_at_the_client_turns_and_leaves() {
    let mut rig = rig();
    tell(&mut rig, playing("A Song"));
    rig.events.clear();
    rig.state(json!({"available": true, "player": player(70, true)}));
    let volume = Volume::new(70).unwrap();
    assert_eq!(rig.events, [EndpointEvent::VolumeTurned(volume), EndpointEvent::Muted(true)]);
    rig.said.clear();
    rig.roles.leave();
    rig.drain();
    assert_eq!(rig.all("group/update")[0]["group_id"], json!("the-client"));
    assert_eq!(rig.all("group/update")[0]["playback_state"], json!("stopped"));
    rig.said.clear();
    rig.roles.command(json!({"controller": {"command": "play"}}).as_object().unwrap()).unwrap();
    rig.drain();
    assert_eq!(rig.all("group/update")[0]["group_id"], json!("g1"));
}

#[test]
fn an_output_delay_is_the_clients_own_and_wants_so_much_more_lead() {
    let mut rig = rig();
    rig.said.clear();
    let before = rig.lead(Pace::Steady).0;
    let mut delayed = player(50, false);
    delayed["output_delay_ms"] = json!(120);
    rig.state(json!({"available": true, "player": delayed}));
    assert_eq!(rig.lead(Pace::Steady).0, before + Duration::from_millis(120));
    assert_eq!(rig.all("server/command"), [] as [&Value; 0]);
}

fn png(width: u32, height: u32, size: usize) -> Arc<[u8]> {
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    file.extend_from_slice(&width.to_be_bytes());
    file.extend_from_slice(&height.to_be_bytes());
    file.resize(size, 0x5a);
    file.into()
}

fn with_picture(bytes: Arc<[u8]>) -> NowPlaying {
    let artwork = Artwork { media_type: "image/png".into(), bytes };
    NowPlaying { artwork: Some(artwork), ..playing("A Song") }
}

#[test]
fn a_picture_that_fits_comes_in_parts_and_goes_when_the_sound_does() {
    let mut rig = rig();
    let channel = json!({"source": "album", "format": "png", "width": 300, "height": 200});
    rig.state(json!({"available": true, "artwork": {"channels": [{"source": "none"}, channel]}}));
    let file = png(300, 200, 40_000);
    tell(&mut rig, with_picture(Arc::clone(&file)));
    assert_eq!(rig.all("stream/start")[0]["artwork"]["channels"][1]["width"], json!(300));
    for _ in 0..5 {
        let Some(wake) = rig.roles.wake() else { break };
        rig.to(wake.max(rig.now));
    }
    let (id, announce) = rig.binaries.remove(0);
    assert_eq!((id, announce[0], announce.len()), (9, 2, 13));
    assert_eq!(announce[9..], 40_000u32.to_be_bytes());
    let parts: Vec<u8> = rig.binaries.drain(..).flat_map(|(_, part)| part[1..].to_vec()).collect();
    assert_eq!(parts, file[..]);
    // One of another size is left out, and what was shown goes.
    tell(&mut rig, with_picture(png(300, 201, 100)));
    assert_eq!(rig.binaries.len(), 1);
    assert_eq!(rig.binaries.remove(0).1[9..], 0u32.to_be_bytes());
    // A channel that changes is told, and the picture comes again.
    tell(&mut rig, with_picture(file));
    assert_eq!(rig.binaries.len(), 2);
    let channel = json!({"source": "album", "format": "png", "width": 300, "height": 201});
    rig.binaries.clear();
    rig.state(json!({"available": true, "artwork": {"channels": [channel]}}));
    assert_eq!(rig.binaries, [(9, vec![1])]);
    tell(&mut rig, NowPlaying::default());
    assert_eq!(rig.all("stream/end"), [&json!({"roles": ["artwork"]})]);
}

#[test]
fn loudness_is_told_ahead_and_within_the_clients_buffer() {
    let mut rig = rig();
    rig.state(json!({"available": true, "visualizer": {"types": ["loudness", "beat"], "rate_max": 200}}));
    let lead = rig.lead(Pace::Steady).0;
    for number in 300..500 {
        rig.to((due(number) - lead).max(rig.now));
        rig.roles.play(block(number));
        rig.drain();
        let ahead = |body: &[u8]| i64::from_be_bytes(body[..8].try_into().unwrap()) * 1_000 > rig.now.nanos();
        let held = rig.binaries.iter().filter(|(_, body)| ahead(body)).count();
        assert!(held * 11 <= 1_000);
    }
    let start = rig.all("stream/start").into_iter().find(|start| start.get("visualizer").is_some());
    assert_eq!(start.unwrap()["visualizer"], json!({"types": ["loudness"], "rate_max": 30}));
    assert!(rig.binaries.len() > 30, "{}", rig.binaries.len());
    assert!(rig.binaries.iter().all(|(id, body)| *id == 16 && body.len() == 10));
    assert!(rig.binaries.windows(2).all(|pair| pair[0].1[..8] < pair[1].1[..8]));
}
