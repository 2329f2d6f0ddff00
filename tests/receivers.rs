//! Four real receivers: found, linked, grouped, heard in time, and moved together by one voice.
//!
//! Figures are printed; `cargo nextest run --no-capture --test receivers` shows them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

mod support;

use std::time::{Duration, Instant};
use support::analysis::{SILENCE, quantile, tone_level};
use support::heard::{
    assert_unbroken, first_sound, in_time, levels, millis_since, offsets, print_offsets, same_levels,
};
use support::lab::rack::RATE;
use support::lab::recording::Recorder;
use support::or_skip;
use support::rooms::{NAMES, Rooms, TONE};

const PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing may be amiss.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn lab_receivers_play_in_time_and_obey_together() {
    let Some(mut rooms) = or_skip(Rooms::new(4, &[])) else { return };
    // Two are found and linked, and one of them is asked to play.
    for name in &NAMES[..2] {
        let took = rooms.add_receiver().expect("found");
        println!("receivers: {name} announced -> shown {} ms", took.as_millis());
    }
    rooms.link(&NAMES[..2]).expect("linked");
    rooms.house.antiphon(&rooms.lab, &["group", "downstairs", "Kitchen", "Bath"]).expect("grouped");
    for name in &NAMES[..2] {
        rooms.house.antiphon(&rooms.lab, &["volume", name, "70", "--alone"]).expect("louder");
    }
    let mut recorder = rooms.rack.record().expect("record");
    let asked = rooms.say("Kitchen", &format!("play {}", rooms.track()));
    rooms.wait_until_playing(&NAMES[..2]).expect("two play");
    for output in 1..=2 {
        let heard = first_sound(&recorder, output, 0).expect("heard");
        println!(
            "receivers: Play -> heard by {} {} ms",
            NAMES[output - 1],
            millis_since(&recorder, asked, heard)
        );
    }

    // Two more are found while these play, and join. The first two go on as if nothing happened.
    levels(&mut recorder, 2);
    let begun = recorder.frames();
    for name in &NAMES[2..] {
        let took = rooms.add_receiver().expect("found");
        println!("receivers: {name} announced -> shown {} ms", took.as_millis());
    }
    rooms.link(&NAMES[2..]).expect("linked");
    for name in &NAMES[2..] {
        rooms.house.antiphon(&rooms.lab, &["volume", name, "50", "--alone"]).expect("louder");
    }
    let joined = Instant::now();
    let joined_at = recorder.frames();
    let mut group = vec!["group", "downstairs"];
    group.extend(NAMES);
    rooms.house.antiphon(&rooms.lab, &group).expect("grouped");
    rooms.wait_until_playing(&NAMES).expect("four play");
    for output in 3..=4 {
        let heard = first_sound(&recorder, output, 0).expect("heard");
        println!(
            "receivers: joined -> heard by {} {} ms",
            NAMES[output - 1],
            millis_since(&recorder, joined, heard)
        );
    }
    levels(&mut recorder, 4);
    let meanwhile = recorder.since(begun);
    assert_unbroken(&rooms, &[1, 2], &meanwhile);

    // Receivers that have just begun need a while to find their pace.
    for output in 3..=4 {
        let took = (in_time(&mut recorder, 1, output) - joined_at) as f64 / f64::from(RATE);
        println!(
            "receivers: joined -> {} in time with Kitchen for three seconds {took:.1} s",
            NAMES[output - 1]
        );
    }

    // A minute without a fault.
    let heard = (0..3).find_map(|_| {
        let minute = recorder.frames();
        let before = rooms.house.hub().cpu_seconds().expect("it runs");
        let length = (LONG.as_secs_f64() * f64::from(RATE)) as usize;
        recorder.wait_for_frames(minute + length).expect("record");
        let used = rooms.house.hub().cpu_seconds().expect("it runs") - before;
        println!("receivers: the hub took {used:.1} s of processor time for {} s with four", LONG.as_secs());
        let heard = recorder.since(minute);
        assert_unbroken(&rooms, &[1, 2, 3, 4], &heard).then_some(heard)
    });
    let heard = heard.expect("a minute in which this machine has time for real-time sound");
    let mut all = Vec::new();
    for a in 1..=4 {
        for b in a + 1..=4 {
            let right = |output: usize| heard.channel(output * 2 - 1);
            all.extend(offsets(&format!("{} and {}", NAMES[a - 1], NAMES[b - 1]), right(a), right(b)));
        }
    }
    print_offsets("pairs pooled", &all);
    assert!(quantile(all.iter().map(|o| o.seconds), 0.5) < 0.001, "out of time");

    volume(&rooms, &mut recorder);
    assert_eq!(rooms.violations(), "");
}

/// SetVolume at one moves all of them, each at its own balance, and is heard soon.
fn volume(rooms: &Rooms, recorder: &mut Recorder) {
    let first = levels(recorder, 4);
    println!("receivers: heard at volumes 70, 70, 50, 50: {first:.1?} dBFS");
    assert!((first[0] - first[1]).abs() < 0.3 && (first[2] - first[3]).abs() < 0.3, "{first:?}");
    assert!(first[0] > first[2] + 3.0, "{first:?}");

    // Everybody tells the service its own new volume.
    let dsns = NAMES.map(|name| rooms.dsn(name));
    let marks = dsns.each_ref().map(|dsn| rooms.house.simulator().mark(dsn));
    rooms.say("Bath", "set volume to 50 percent");
    let mut told = Vec::new();
    for (dsn, mark) in dsns.iter().zip(marks) {
        let service = rooms.house.simulator();
        let event = rooms.house.wait(service.wait_for_event(dsn, mark, "Speaker", "VolumeChanged", PATIENCE));
        told.push(event.expect("VolumeChanged").payload()["volume"].as_i64().expect("a volume"));
    }
    let shown = NAMES.map(|name| rooms.speaker(name).expect("shown")["volume"].as_i64().expect("known"));
    assert_eq!(told, shown);
    assert_eq!(shown[..2], [50, 50]);
    assert!(shown[2] < 50 && shown[2] == shown[3], "{shown:?}");
    let second = levels(recorder, 4);
    println!("receivers: heard at volumes {shown:?}: {second:.1?} dBFS");
    // Volume 50 sounds the same whoever has it.
    for (was, is) in [(first[2], second[0]), (first[3], second[1])] {
        assert!((was - is).abs() < 0.5, "{first:?} {second:?}");
    }
    assert!(second[2] < first[2] - 2.0 && (second[2] - second[3]).abs() < 0.3, "{first:?} {second:?}");

    // To nothing and back: silence, then the same as before.
    rooms.say("Attic", "set volume to 0");
    let nothing = levels(recorder, 4);
    assert!(nothing.iter().all(|level| *level <= SILENCE), "{nothing:?}");
    rooms.say("Kitchen", "set volume to 70");
    same_levels(recorder, &first);
    rooms.say("Study", "mute");
    let muted = levels(recorder, 4);
    assert!(muted.iter().all(|level| *level <= SILENCE), "{muted:?}");
    rooms.say("Study", "unmute");
    same_levels(recorder, &first);

    // How soon a change is heard.
    let mut latencies = Vec::new();
    for turn in 0..6 {
        let percent = if turn % 2 == 0 { 50 } else { 70 };
        let said = rooms.say("Kitchen", &format!("set volume to {percent} percent"));
        let after = levels(recorder, 4);
        let heard = recorder.since(recorder.frame_at(said).expect("recorded"));
        for (output, level) in after.iter().enumerate() {
            let changed = changed(heard.output(output + 1), *level).expect("changed");
            latencies.push(changed);
        }
    }
    let part = |part| quantile(latencies.iter().copied(), part) * 1000.0;
    println!(
        "receivers: SetVolume -> heard p50 {:.0} p95 {:.0} max {:.0} ms ({} changes heard)",
        part(0.5),
        part(0.95),
        part(1.0),
        latencies.len()
    );
    assert!(part(0.95) < 1000.0, "{latencies:?}");
}

/// Seconds until the tone has its new level to 1 dB.
fn changed(sound: &[f32], level: f64) -> Option<f64> {
    let step = RATE as usize / 200;
    let window = 2 * step;
    let at = (0..sound.len().saturating_sub(window))
        .step_by(step)
        .find(|at| (tone_level(&sound[*at..at + window], RATE, TONE) - level).abs() < 1.0)?;
    Some(at as f64 / f64::from(RATE))
}
