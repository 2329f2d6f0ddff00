//! Real receivers that come, say goodbye, move and share a name: what the hub shows, and what it keeps.
//!
//! Figures are printed; `cargo nextest run --no-capture --test receivers_found` shows them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

mod support;

use serde_json::Value;
use std::time::{Duration, Instant};
use support::heard::{assert_unbroken, first_sound, levels, silent_from};
use support::lab::rack::RATE;
use support::lab::recording::Recorder;
use support::or_skip;
use support::rooms::{NAMES, Rooms};

const PATIENCE: Duration = Duration::from_secs(20);

/// Within this a speaker plays again after its return.
const RETURN: Duration = Duration::from_secs(5);

#[test]
fn lab_receivers_come_and_go_and_stay_who_they_are() {
    let Some(mut rooms) = or_skip(Rooms::new(2, &["twin"])) else { return };
    for name in &NAMES[..2] {
        let took = rooms.add_receiver().expect("found");
        println!("receivers: {name} announced -> shown {} ms", took.as_millis());
    }
    rooms.house.antiphon(&rooms.lab, &["group", "downstairs", "Kitchen", "Bath"]).expect("grouped");
    for (name, volume) in [("Kitchen", "60"), ("Bath", "45")] {
        rooms.house.antiphon(&rooms.lab, &["volume", name, volume, "--alone"]).expect("louder");
    }
    a_name_is_shared(&mut rooms);
    it_says_goodbye(&mut rooms);
    it_moves(&mut rooms);
    let mut recorder = rooms.rack.record().expect("record");
    rooms.house.antiphon(&rooms.lab, &["play", "downstairs", &rooms.track()]).expect("play");
    rooms.wait_until_playing(&NAMES[..2]).expect("both play");
    its_cable_is_pulled(&mut rooms, &mut recorder);
    it_is_away_while_the_hub_restarts(&mut rooms);
    assert_eq!(rooms.violations(), "");
}

/// The Bath is who it was: in its group, at its volume.
fn assert_itself(bath: &Value, before: &Value) {
    for key in ["id", "name", "group", "volume", "muted", "kind"] {
        assert_eq!(bath[key], before[key], "{bath:#}");
    }
}

/// Two devices of one name are two speakers; who says only the name is asked which.
fn a_name_is_shared(rooms: &mut Rooms) {
    rooms.lab.name_service("twin").expect("a name service");
    let mut twin = rooms.lab.command("twin", "avahi-publish");
    twin.args(["-s", "AABBCCDDEEFF@Bath", "_raop._tcp", "5000", "et=0,1", "cn=0,1", "tp=UDP", "pw=false"]);
    let mut twin = rooms.lab.spawn("twin", twin).expect("announce");
    let named = |picture: &Value| {
        let speakers = picture["speakers"].as_array().cloned().unwrap_or_default();
        speakers.into_iter().filter(|speaker| speaker["name"] == "Bath").collect::<Vec<_>>()
    };
    let picture = rooms.house.wait_for_picture(&rooms.lab, "show both", PATIENCE, |p| named(p).len() == 2);
    let both = named(&picture.expect("both are shown"));
    assert_ne!(both[0]["id"], both[1]["id"]);
    let refused = rooms.house.antiphon(&rooms.lab, &["volume", "Bath", "10"]).expect_err("which one?");
    for one in &both {
        let id = one["id"].as_str().expect("an id");
        assert!(refused.to_string().contains(id), "{refused}");
    }
    rooms.house.antiphon(&rooms.lab, &["volume", "AABBCCDDEEFF", "10"]).expect("that one");
    // A goodbye does not delete it; a person does.
    twin.stop(Duration::from_secs(5));
    let gone = |p: &Value| {
        named(p).iter().any(|s| s["id"] == "AABBCCDDEEFF" && s["endpoint"]["state"] == "unreachable")
    };
    let picture = rooms.house.wait_for_picture(&rooms.lab, "miss the twin", PATIENCE, gone);
    assert_eq!(named(&picture.expect("it is missed")).len(), 2);
    let url = "http://127.0.0.1:8780/api/speakers/AABBCCDDEEFF";
    let (status, body) = rooms.lab.curl("hub", &["--request", "DELETE", url]).expect("an answer");
    assert_eq!(status, 204, "{body}");
    let picture =
        rooms.house.wait_for_picture(&rooms.lab, "forget the twin", PATIENCE, |p| named(p).len() == 1);
    assert_eq!(named(&picture.expect("it is forgotten"))[0]["volume"], 45);
}

fn it_says_goodbye(rooms: &mut Rooms) {
    let before = rooms.wait_for_state("Bath", "present", PATIENCE).expect("present");
    rooms.receivers[1].process().stop(PATIENCE);
    let left = Instant::now();
    let away = rooms.wait_for_state("Bath", "unreachable", PATIENCE).expect("unreachable");
    println!("receivers: goodbye -> unreachable {} ms", left.elapsed().as_millis());
    assert_itself(&away, &before);
    assert!(away["endpoint"]["why"].is_string() && away["endpoint"]["since"].is_number(), "{away}");
    rooms.forget_announcements();
    rooms.receivers[1].start_again(&rooms.lab).expect("start again");
    let back = rooms.wait_for_state("Bath", "present", PATIENCE).expect("present");
    let shown = Instant::now();
    let took = shown.saturating_duration_since(rooms.announced("Bath").expect("announced"));
    println!("receivers: announced again -> present {} ms", took.as_millis());
    assert_itself(&back, &before);
}

fn it_moves(rooms: &mut Rooms) {
    let before = rooms.wait_for_state("Bath", "present", PATIENCE).expect("present");
    let moved = Instant::now();
    rooms.lab.move_host("r2", 99).expect("move");
    let wanted = format!("{}:5000", rooms.lab.address("r2"));
    let there = rooms
        .wait_for_speaker("Bath", "at its new address", PATIENCE, |bath| {
            bath["endpoint"]["address"] == wanted.as_str() && bath["endpoint"]["state"] == "present"
        })
        .expect("found at its new address");
    println!("receivers: moved -> shown at its new address {} ms", moved.elapsed().as_millis());
    assert_itself(&there, &before);
}

/// No goodbye, no answer: only the session tells. The other plays on; and so does this one when it is back.
fn its_cable_is_pulled(rooms: &mut Rooms, recorder: &mut Recorder) {
    let before = rooms.speaker("Bath").expect("shown");
    levels(recorder, 2);
    let from = recorder.frames();
    rooms.lab.set_cable("r2", false).expect("pull");
    let pulled = Instant::now();
    let lost = rooms
        .wait_for_speaker("Bath", "lost", PATIENCE, |bath| {
            ["retrying", "unreachable"].iter().any(|state| bath["endpoint"]["state"] == *state)
        })
        .expect("lost");
    println!("receivers: cable pulled -> known to be lost {} ms", pulled.elapsed().as_millis());
    assert_itself(&lost, &before);
    let silent = silent_from(recorder, 2, from);
    // Long enough for every pause between attempts to have grown.
    recorder.wait_for_frames(recorder.frames() + 12 * RATE as usize).expect("record");
    rooms.lab.set_cable("r2", true).expect("put in again");
    let returned = Instant::now();
    let heard = first_sound(recorder, 2, silent).expect("heard again");
    let took = heard as i64 - recorder.frame_at(returned).expect("recorded") as i64;
    let took = took as f64 / f64::from(RATE);
    println!("receivers: cable put in again -> heard again {:.0} ms", took * 1000.0);
    assert!(
        took < RETURN.as_secs_f64(),
        "it was silent for {took} s after its return\n{}",
        rooms.house.hub().log_tail()
    );
    assert_unbroken(rooms, &[1], &recorder.since(from));
    let back = rooms.wait_for_state("Bath", "ready", PATIENCE).expect("ready");
    assert_itself(&back, &before);
}

fn it_is_away_while_the_hub_restarts(rooms: &mut Rooms) {
    let before = rooms.speaker("Bath").expect("shown");
    rooms.house.hub().stop(PATIENCE);
    rooms.receivers[1].process().stop(PATIENCE);
    rooms.house.start_hub_again(&rooms.lab).expect("start again");
    rooms.wait_for_state("Kitchen", "present", PATIENCE).expect("present");
    let away = rooms.wait_for_state("Bath", "unreachable", PATIENCE).expect("unreachable");
    assert_itself(&away, &before);
    rooms.receivers[1].start_again(&rooms.lab).expect("start again");
    let back = rooms.wait_for_state("Bath", "present", PATIENCE).expect("present");
    assert_itself(&back, &before);
}
