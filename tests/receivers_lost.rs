//! Receivers and hub that die while they play: who is left plays on, and who returns is heard again.
//!
//! Figures are printed; `cargo nextest run --no-capture --test receivers_lost` shows them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::heard::{assert_unbroken, first_sound, in_time, levels, same_levels, silent_from};
use support::lab::rack::RATE;
use support::lab::receiver::PORT;
use support::lab::recording::Recorder;
use support::or_skip;
use support::rooms::{NAMES, Rooms};

const PATIENCE: Duration = Duration::from_secs(20);

/// Within this a speaker plays again after its return.
const RETURN: Duration = Duration::from_secs(5);

#[test]
fn lab_receivers_and_hub_die_and_return() {
    let Some(mut rooms) = or_skip(Rooms::new(4, &[])) else { return };
    for _ in 0..3 {
        rooms.add_receiver().expect("found");
    }
    rooms.link(&NAMES[..3]).expect("linked");
    rooms.house.antiphon(&rooms.lab, &["group", "downstairs", "Kitchen", "Bath", "Study"]).expect("grouped");
    for (name, volume) in [("Kitchen", "60"), ("Bath", "60"), ("Study", "50")] {
        rooms.house.antiphon(&rooms.lab, &["volume", name, volume, "--alone"]).expect("louder");
    }
    let mut recorder = rooms.rack.record().expect("record");
    rooms.say("Kitchen", &format!("play {}", rooms.track()));
    rooms.wait_until_playing(&NAMES[..3]).expect("three play");

    // Once more where the machine was too busy to judge the others.
    if !a_receiver_dies(&mut rooms, &mut recorder) {
        a_receiver_dies(&mut rooms, &mut recorder);
    }
    a_receiver_is_busy(&mut rooms, &mut recorder);
    the_hub_dies(&mut rooms, &mut recorder);
    assert_eq!(rooms.violations(), "");
}

fn a_receiver_dies(rooms: &mut Rooms, recorder: &mut Recorder) -> bool {
    let before = levels(recorder, 3);
    let from = recorder.frames();
    rooms.receivers[1].kill9();
    let lost = rooms
        .wait_for_speaker("Bath", "lost", PATIENCE, |bath| {
            ["retrying", "unreachable"].iter().any(|state| bath["endpoint"]["state"] == *state)
        })
        .expect("lost");
    // It keeps its place and its level, and says what is wrong.
    assert_eq!((&lost["group"], &lost["volume"]), (&"downstairs".into(), &60.into()), "{lost}");
    assert!(lost["endpoint"]["why"].is_string() && lost["playing"] == false, "{lost}");
    let silent = silent_from(recorder, 2, from);
    rooms.receivers[1].start_again(&rooms.lab).expect("start again");
    let returned = Instant::now();
    let heard = first_sound(recorder, 2, silent).expect("heard again");
    let took = heard as i64 - recorder.frame_at(returned).expect("recorded") as i64;
    let took = took as f64 / f64::from(RATE);
    println!("receivers: killed -9, taking connections again -> heard {:.0} ms", took * 1000.0);
    assert!(took < RETURN.as_secs_f64(), "it was silent for {took} s after its return");
    // It begins softly (law 10), and comes to where it was; nobody else noticed anything.
    same_levels(recorder, &before);
    // A receiver that has just begun needs a while to find its pace.
    let settled = in_time(recorder, 1, 2);
    let took = (settled - heard) as f64 / f64::from(RATE);
    println!("receivers: heard again -> in time with Kitchen for three seconds {took:.1} s");
    assert_unbroken(rooms, &[1, 3], &recorder.since(from))
}

/// Another sender has the receiver: it is shown to be busy, and joins when it is free.
fn a_receiver_is_busy(rooms: &mut Rooms, recorder: &mut Recorder) {
    rooms.add_receiver().expect("found");
    let from = recorder.frames();
    let holder = hold(rooms);
    let mut group = vec!["group", "downstairs"];
    group.extend(NAMES);
    rooms.house.antiphon(&rooms.lab, &group).expect("grouped");
    let refused = rooms.wait_for_state("Attic", "retrying", PATIENCE).expect("refused");
    assert!(refused["endpoint"]["why"].as_str().is_some_and(|why| why.contains("busy")), "{refused}");
    drop(holder);
    let freed = Instant::now();
    rooms.wait_until_playing(&["Attic"]).expect("it joins");
    println!("receivers: busy, freed -> playing {} ms", freed.elapsed().as_millis());
    first_sound(recorder, 4, from).expect("heard");
    levels(recorder, 4);
    assert_unbroken(rooms, &[1, 2, 3], &recorder.since(from));
}

/// Begins a session of somebody else with the Attic; it lasts as long as the connection.
fn hold(rooms: &Rooms) -> TcpStream {
    let address = rooms.lab.address("r4");
    let stream = rooms.lab.within("ear", || TcpStream::connect((address, PORT)).expect("connect"));
    let mut stream = stream.expect("within");
    let description = format!(
        "v=0\r\no=iTunes 1 0 IN IP4 {ear}\r\ns=iTunes\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio 0 RTP/AVP 96\r\n\
         a=rtpmap:96 AppleLossless\r\na=fmtp:96 352 0 16 40 10 14 2 255 0 0 44100\r\n",
        ear = rooms.lab.address("ear")
    );
    let request = format!(
        "ANNOUNCE rtsp://{address}/1 RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{description}",
        description.len()
    );
    stream.write_all(request.as_bytes()).expect("ask");
    let mut answer = [0; 512];
    let length = stream.read(&mut answer).expect("answer");
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
    stream
}

fn the_hub_dies(rooms: &mut Rooms, recorder: &mut Recorder) {
    let dsns = [0, 1, 2].map(|speaker| rooms.dsn(NAMES[speaker]));
    let before = rooms.house.get(&rooms.lab, "/api/hub").expect("a picture");
    let levels_before = levels(recorder, 4);
    let from = recorder.frames();
    rooms.house.hub().kill9();
    for output in 1..=4 {
        silent_from(recorder, output, from);
    }
    let began = Instant::now();
    rooms.house.start_hub_again(&rooms.lab).expect("start again");
    for name in NAMES {
        rooms.wait_for_state(name, "present", PATIENCE).expect("found again");
    }
    println!("receivers: hub killed -9, started again -> all found {} ms", began.elapsed().as_millis());
    let after = rooms.house.get(&rooms.lab, "/api/hub").expect("a picture");
    let kept = |picture: &serde_json::Value| {
        let speakers = picture["speakers"].as_array().expect("speakers").clone();
        let mut kept: Vec<_> = speakers
            .into_iter()
            .map(|speaker| {
                [&speaker["id"], &speaker["name"], &speaker["volume"], &speaker["group"]].map(Clone::clone)
            })
            .collect();
        kept.sort_by_key(|speaker| speaker[0].to_string());
        (kept, picture["groups"][0]["speakers"].clone(), picture["groups"][0]["volume"].clone())
    };
    assert_eq!(kept(&after), kept(&before));
    for dsn in &dsns {
        rooms.house.wait(rooms.house.simulator().wait_connected(dsn, PATIENCE)).expect("linked again");
    }
    println!("receivers: hub killed -9, started again -> all linked {} ms", began.elapsed().as_millis());
    let again = recorder.frames();
    rooms.say("Bath", &format!("play {}", rooms.track()));
    rooms.wait_until_playing(&NAMES).expect("all play");
    for output in 1..=4 {
        first_sound(recorder, output, again).expect("heard again");
    }
    same_levels(recorder, &levels_before);
}
