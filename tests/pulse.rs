//! Sinks of real PulseAudio servers, found on the network: heard together, joined in time, and none costs another a
//! sample when its server freezes or dies.
//!
//! Figures are printed; `cargo nextest run --no-capture --test pulse` shows them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

mod support;

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::analysis::{
    chirp_offsets, chirp_offsets_at, chirp_starts, largest_jump, longest_gap, quantile, total_level,
};
use support::house::{HUB, House};
use support::lab::Lab;
use support::lab::error::LabResult;
use support::lab::process::Process;
use support::lab::rack::{Offer, PULSE_PORT, RATE, Rack, SAP, with_priority};
use support::lab::recording::{Recorder, Recording};
use support::or_skip;
use support::patience::wait_for;
use support::stimulus::{chirps, sine, write_wav};

const PATIENCE: Duration = Duration::from_secs(30);

/// The left channel holds this tone, the right one chirps.
const TONE: f64 = 997.0;

/// A name by which the simulated service serves a file of its folder.
const TRACK: &str = "tone-997-300s.wav";

/// How long pairs are compared.
const LONG: Duration = Duration::from_secs(30);

/// Sound of at least this was heard, dBFS.
const HEARD: f32 = 0.0005;

struct Place {
    house: House,
    other: Process,
    control: Process,
    rack: Rack,
    lab: Lab,
}

impl Place {
    fn new() -> LabResult<Self> {
        let lab = Lab::new(&["hub", "rack", "other"])?;
        let offer = Offer { host: "rack", rtp: &[], sap: SAP, announced: true };
        let rack = Rack::on_network(&lab, 4, offer)?;
        let control = control(&lab, &rack)?;
        let folder = lab.folder().join("alexa").join("media");
        let (left, right) = (sine(44_100, 300.0, TONE, 0.25), chirps(44_100, 300.0));
        std::fs::create_dir_all(&folder).expect("a folder");
        write_wav(&folder.join(TRACK), 44_100, &[&left, &right]).expect("a track");
        lab.name_service("other")?;
        let other = server(&lab)?;
        let house = House::start(&lab, "hub", "[discovery]\ninterfaces = [\"eth0\"]")?;
        Ok(Self { house, other, control, rack, lab })
    }

    fn speaker(&self, name: &str) -> Value {
        let picture = self.house.get(&self.lab, "/api/hub").expect("a picture");
        let speakers = picture["speakers"].as_array().cloned().unwrap_or_default();
        speakers.into_iter().find(|speaker| speaker["name"] == name).unwrap_or_default()
    }

    fn wait(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = wait_for(PATIENCE, || {
            last = self.speaker(name);
            wanted(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("{name} is not {what}: {last:#}\n{}", self.house.hub_log()))
    }

    fn ask(&self, method: &str, path: &str, body: &Value) {
        let (body, url) = (body.to_string(), format!("{HUB}{path}"));
        let arguments = ["-X", method, "-H", "Content-Type: application/json", "-d", &body, &url];
        let (status, answer) = self.lab.curl("hub", &arguments).expect("asked");
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    }

    fn group(&self, names: &[&str]) {
        self.ask("PUT", "/api/groups/all", &json!({ "speakers": names }));
    }
}

/// A PulseAudio of its own on the host "other", with one sink.
fn server(lab: &Lab) -> LabResult<Process> {
    let folder = lab.folder().join("other");
    let script = folder.join("script.pa");
    let text = format!(
        "load-module module-native-protocol-unix auth-anonymous=1 socket={}\n\
         load-module module-native-protocol-tcp auth-anonymous=1 port={PULSE_PORT}\n\
         load-module module-null-sink sink_name=study rate=44100 sink_properties=device.description=study\n\
         load-module module-zeroconf-publish\n",
        folder.join("native").display()
    );
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(&script, text).expect("a script");
    let player = with_priority("pulseaudio");
    let mut command = lab.command("other", player.get_program());
    command.args(player.get_args()).arg("-n").arg("-F").arg(&script);
    command.args(["--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"]);
    command.env("HOME", &folder).env("XDG_RUNTIME_DIR", &folder).env("PULSE_RUNTIME_PATH", &folder);
    lab.spawn("other", command)
}

/// Plays the tone on the last output, by a player that has nothing to do with us: where it breaks, the machine did it.
fn control(lab: &Lab, rack: &Rack) -> LabResult<Process> {
    let file = lab.folder().join("control.wav");
    write_wav(&file, RATE, &[&sine(RATE, 300.0, TONE, 0.25)]).expect("a file");
    let player = with_priority("paplay");
    let mut command = rack.client(&player.get_program().to_string_lossy());
    command.args(player.get_args()).arg("--latency-msec=100").arg("-d").arg(rack.output(4)).arg(file);
    lab.spawn("control", command)
}

/// The first frame at or after `from` in which an output sounds.
fn first_sound(recorder: &Recorder, output: usize, from: usize) -> usize {
    let sounds = |sound: &[f32]| sound.iter().position(|sample| sample.abs() > HEARD);
    let found = wait_for(PATIENCE, || sounds(recorder.since(from).output(output)));
    from + found.unwrap_or_else(|| panic!("output {output} is silent"))
}

/// Whether the tone was never broken; what is to be said of it.
fn unbroken(sound: &[f32]) -> (bool, String) {
    let level = total_level(sound);
    let (gap_at, gap) = longest_gap(sound, level - 20.0);
    let (jump_at, jump) = largest_jump(sound, RATE, TONE);
    let said = format!(
        "{:.1} s at {level:.1} dBFS: longest gap {gap} frames at {gap_at}, largest jump {:.0} us at {jump_at}",
        sound.len() as f64 / f64::from(RATE),
        jump * 1e6
    );
    (level > -60.0 && gap < RATE as usize / 1000 && jump < 0.000_25, said)
}

fn assert_unbroken(place: &Place, what: &str, heard: &Recording, outputs: &[usize]) {
    let (fine, said) = unbroken(heard.output(4));
    for output in outputs {
        let (good, of_it) = unbroken(heard.output(*output));
        println!("pulse: {what}: out{output} {of_it}");
        if !fine && !good {
            println!("pulse: NOT JUDGED, as the control was broken too: {said}");
        } else {
            assert!(good, "out{output} was broken; the control: {said}\n{}", place.house.hub_log());
        }
    }
}

#[test]
fn lab_pulse_sinks_play_together_and_fail_alone() {
    let Some(mut place) = or_skip(Place::new()) else { return };
    let names = ["out1", "out2", "study"];
    place.wait("out3", "found", |speaker| speaker["endpoint"]["state"] == "present");
    for name in names {
        let found = place.wait(name, "found", |speaker| speaker["endpoint"]["state"] == "present");
        println!("pulse: {name} is {}", found["id"]);
    }
    let mut recorder = place.rack.record().expect("record");
    place.group(&names);
    for name in names {
        place.ask(
            "POST",
            &format!("/api/speakers/{name}/volume"),
            &json!({ "volume": 60, "scope": "speaker" }),
        );
    }
    let asked = Instant::now();
    let url = place.house.simulator().track(TRACK);
    place.ask("POST", "/api/groups/all/play", &json!({ "url": url }));
    place.wait("out1", "playing", |speaker| speaker["playing"] == true);
    for output in 1..=2 {
        let heard = first_sound(&recorder, output, 0);
        let at = recorder.frame_at(asked).unwrap_or(0);
        println!("pulse: play -> out{output} heard {} ms", (heard - at) as u64 * 1_000 / u64::from(RATE));
    }
    place.wait("study", "playing", |speaker| speaker["playing"] == true);

    // From the first second on; three chirps are what begins with the first.
    recorder.wait_for_frames(recorder.frames() + 3 * RATE as usize).expect("recorded");
    together(&mut recorder);
    joined_late(&place, &mut recorder);
    failed_alone(&mut place, &mut recorder);
    assert!(place.control.ended().is_none());
}

fn together(recorder: &mut Recorder) {
    let from = recorder.frames();
    let length = (LONG.as_secs_f64() * f64::from(RATE)) as usize;
    recorder.wait_for_frames(from + length).expect("recorded");
    let heard = recorder.since(from);
    let found = chirp_offsets(heard.channel(1), heard.channel(3), RATE);
    let part = |part| quantile(found.iter().map(|offset| offset.seconds.abs()), part) * 1e6;
    println!(
        "pulse: two sinks: p50 {:.1} p95 {:.1} p99 {:.1} max {:.1} us ({} chirps)",
        part(0.5),
        part(0.95),
        part(0.99),
        part(1.0),
        found.len()
    );
    assert!(found.len() >= LONG.as_secs() as usize * 4 / 5, "{} chirps", found.len());
    assert!(part(0.5) < 100.0, "out of time: {:.1} us", part(0.5));
}

/// A third sink joins: in time within two seconds, and inaudible to those that play.
fn joined_late(place: &Place, recorder: &mut Recorder) {
    let from = recorder.frames();
    let asked = Instant::now();
    place.group(&["out1", "out2", "study", "out3"]);
    let first = first_sound(recorder, 3, from);
    let took = first.saturating_sub(recorder.frame_at(asked).unwrap_or(from)) as f64 / f64::from(RATE);
    recorder.wait_for_frames(first + 6 * RATE as usize).expect("recorded");
    let heard = recorder.since(from);
    assert_unbroken(place, "somebody joins", &heard, &[1, 2]);
    let (a, b) = (heard.channel(1), heard.channel(5));
    let starts: Vec<usize> = chirp_starts(a, RATE).into_iter().filter(|at| from + at > first).collect();
    let found = chirp_offsets_at(&starts, a, b, RATE, 0.005);
    let late = found.iter().map(|(at, offset)| (*at as f64 / f64::from(RATE), offset.seconds * 1e6));
    let said: Vec<String> = late.map(|(at, micros)| format!("{at:.1} s {micros:.0} us")).collect();
    println!("pulse: joined -> heard {:.0} ms; then {}", took * 1e3, said.join(", "));
    assert!(took < 2.0, "it took {took} s to join");
    assert!(found.len() >= 4 && found.iter().all(|(_, offset)| offset.seconds.abs() < 0.001), "{said:?}");
}

/// A server freezes, and dies: nobody else notices; it plays again by itself.
fn failed_alone(place: &mut Place, recorder: &mut Recorder) {
    let from = recorder.frames();
    place.other.freeze();
    place.wait("study", "lost", |speaker| speaker["endpoint"]["state"] != "ready");
    place.other.thaw();
    let thawed = Instant::now();
    place.wait("study", "playing again", |speaker| speaker["playing"] == true);
    println!("pulse: thawed -> playing again {} ms", thawed.elapsed().as_millis());
    assert_unbroken(place, "another froze", &recorder.since(from), &[1, 2, 3]);

    let from = recorder.frames();
    place.other.kill9();
    place.wait("study", "lost", |speaker| speaker["endpoint"]["state"] != "ready");
    place.other = server(&place.lab).expect("started again");
    let began = Instant::now();
    place.wait("study", "playing again", |speaker| speaker["playing"] == true);
    println!("pulse: started again -> playing again {} ms", began.elapsed().as_millis());
    recorder.wait_for_frames(recorder.frames() + RATE as usize).expect("recorded");
    assert_unbroken(place, "another died", &recorder.since(from), &[1, 2, 3]);
}
