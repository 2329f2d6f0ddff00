//! Sendspin clients of the reference library in a house of the lab, found by mDNS or dialling the hub: what they are
//! sent is what was played, to the sample and in time; they come, go and return alone; their people turn and press.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

mod support;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::house::House;
use support::lab::Lab;
use support::lab::sendspin::{PORT, peers};
use support::lab::sendspin_recorder::{Heard, SendspinRecorder};
use support::patience::wait_for;
use support::stimulus::write_wav;
use support::{LabError, LabResult, or_skip};

const PATIENCE: Duration = Duration::from_secs(30);

/// Within this a speaker plays again after its return, and one that joins plays along.
const RETURN: Duration = Duration::from_secs(5);

/// A name by which the simulated service serves what it finds in its folder: each frame is another.
const TRACK: &str = "tone-1000-150s.wav";
const SECONDS: u32 = 150;

/// The lab, the house and no clients yet. Clients are dropped before it.
struct Scene {
    house: House,
    lab: Lab,
}

impl Scene {
    fn new() -> LabResult<Self> {
        support::lab::sendspin::python()?;
        let lab = Lab::new(&["hub", "c1", "c2", "c3"])?;
        let folder = lab.folder().join("alexa").join("media");
        let frames = 0..SECONDS * 44_100;
        let left: Vec<f32> = frames.clone().map(|frame| f32::from(left(frame.into())) / 32_768.0).collect();
        let right: Vec<f32> = frames.map(|frame| f32::from(right(frame.into())) / 32_768.0).collect();
        std::fs::create_dir_all(&folder)
            .and_then(|()| write_wav(&folder.join(TRACK), 44_100, &[&left, &right]))
            .map_err(|e| LabError::failed("write the track", e))?;
        let config = "[discovery]\ninterfaces = [\"eth0\"]\n[sendspin]\nunpaired = \"allow\"";
        let house = House::start(&lab, "hub", config)?;
        Ok(Self { house, lab })
    }

    /// A client that is found by mDNS.
    fn found(&self, host: &str, name: &str, more: &[&str]) -> LabResult<SendspinRecorder> {
        let port = PORT.to_string();
        let mut arguments = vec!["--listen", &port];
        arguments.extend(more);
        let client = self.lab.sendspin_recorder(host, name, &arguments)?;
        self.shown(name, "here", is_here)?;
        Ok(client)
    }

    /// A client that dials the hub.
    fn dialling(&self, host: &str, name: &str, more: &[&str]) -> LabResult<SendspinRecorder> {
        let url = format!("ws://{}:8927/sendspin", self.lab.address("hub"));
        let mut arguments = vec!["--url", &url];
        arguments.extend(more);
        let client = self.lab.sendspin_recorder(host, name, &arguments)?;
        self.shown(name, "here", is_here)?;
        Ok(client)
    }

    /// Waits until the hub shows a speaker as wanted.
    fn shown(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> LabResult<serde_json::Value> {
        let what = format!("wait until {name} is {what}");
        self.house.wait_for_picture(&self.lab, &what, PATIENCE, |picture| {
            let speakers = picture["speakers"].as_array().into_iter().flatten();
            speakers.into_iter().any(|speaker| speaker["name"] == name && wanted(speaker))
        })
    }

    fn antiphon(&self, arguments: &[&str]) {
        self.house.antiphon(&self.lab, arguments).expect("the hub obeys");
    }

    fn play(&self, name: &str) {
        let url = self.house.simulator().track(TRACK);
        self.antiphon(&["play", name, &url]);
    }
}

/// Whether the hub can play to it, or does.
fn is_here(speaker: &serde_json::Value) -> bool {
    ["present", "ready"].iter().any(|state| speaker["endpoint"]["state"] == *state)
}

fn left(frame: u64) -> i16 {
    (frame % 30_011) as i16
}

fn right(frame: u64) -> i16 {
    (frame % 257) as i16 - 128
}

/// The frame of the track that these two samples are.
fn frame_of(pcm: &[u8]) -> Option<u64> {
    let sample = |at: usize| i16::from_le_bytes([pcm[at], pcm[at + 1]]);
    let (have_left, have_right) = (sample(0), sample(2));
    let first = u64::try_from(have_left).ok()?;
    (0..257).map(|round| first + round * 30_011).find(|frame| right(*frame) == have_right)
}

/// Where a timestamp lies on the grid of 44.1 kHz; it must lie there to the microsecond.
fn place(timestamp: i64) -> i64 {
    let place = (i128::from(timestamp) * 441 + 5_000).div_euclid(10_000) as i64;
    let off = i128::from(timestamp) * 441 - i128::from(place) * 10_000;
    assert!(off.abs() <= 441, "a timestamp is {} us off the grid", off / 441);
    place
}

/// Judges chunks of one stretch of sound: they touch, and hold the track's frames one after the other, begun with the
/// second second (before that the sound fades in). How many frames of the grid lie before the track's first.
fn exact(sound: &[Heard]) -> i64 {
    let mut before = None;
    let skipped: Vec<&Heard> = {
        let start = sound.first().expect("sound").timestamp;
        sound.iter().filter(|chunk| chunk.timestamp > start + 1_000_000).collect()
    };
    for pair in skipped.windows(2) {
        let (this, next) = (pair[0], pair[1]);
        assert_eq!(place(next.timestamp), place(this.timestamp) + this.frames as i64, "chunks do not touch");
    }
    for chunk in &skipped {
        for (nth, pcm) in chunk.pcm.chunks_exact(4).enumerate() {
            let frame = frame_of(pcm).unwrap_or_else(|| panic!("{pcm:?} is no frame of the track")) as i64;
            let offset = place(chunk.timestamp) + nth as i64 - frame;
            assert_eq!(*before.get_or_insert(offset), offset, "frame {frame} is not where it belongs");
        }
    }
    before.expect("more than a second of sound")
}

/// The chunks after the last hole: of the stream that goes on.
fn last_stretch(sound: &[Heard]) -> &[Heard] {
    let hole = sound.windows(2).rposition(|pair| {
        let end = pair[0].timestamp + pair[0].frames as i64 * 1_000_000 / 44_100;
        (pair[1].timestamp - end).abs() > 30
    });
    &sound[hole.map_or(0, |at| at + 1)..]
}

/// Work that keeps every core busy until it is dropped.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn begin() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                let mut number = 1u64;
                while !over.load(Ordering::Relaxed) {
                    number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005));
                }
            });
        }
        Self(over)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn lab_sendspin_clients_hear_what_is_played_to_the_sample() {
    let Some(scene) = or_skip(Scene::new()) else { return };
    // One is found, one dials; one takes samples as they are, one FLAC.
    let kitchen = scene.found("c1", "Kitchen", &["--formats", "pcm:44100:16"]).expect("found");
    let bath = scene.dialling("c2", "Bath", &["--formats", "flac:44100:16,pcm:44100:16"]).expect("here");
    scene.antiphon(&["group", "downstairs", "Kitchen", "Bath"]);
    scene.play("Kitchen");
    kitchen.has(40, PATIENCE).expect("sound");
    bath.has(40, PATIENCE).expect("sound");
    // Also while the machine has no time.
    let busy = Busy::begin();
    kitchen.has(160, PATIENCE).expect("sound");
    drop(busy);
    kitchen.has(220, PATIENCE).expect("sound");
    let (one, other) = (kitchen.sound(), bath.sound());
    bath.says("format", 0, PATIENCE, |format| format["codec"] == "flac").expect("FLAC");
    assert_eq!(exact(&one), exact(&other), "the two hear the same frame at different moments");
    let late = one.iter().filter(|chunk| chunk.arrival > chunk.timestamp || chunk.send_ahead == 0).count();
    assert_eq!(late, 0, "chunks came too late");
    let ahead = one.iter().map(|chunk| chunk.timestamp - chunk.arrival).min();
    println!(
        "sendspin: {} chunks, at least {} ms ahead at the client",
        one.len(),
        ahead.unwrap_or(0) / 1_000
    );
}

/// As the `sendspin` program does where nobody tells it an address.
#[test]
fn lab_sendspin_a_client_finds_the_hub_by_itself_and_is_played_to() {
    let Some(scene) = or_skip(Scene::new()) else { return };
    let kitchen = scene.lab.sendspin_recorder("c1", "Kitchen", &["--find"]).expect("it runs");
    let found = kitchen.says("found", 0, PATIENCE, |_| true).expect("it finds a server");
    assert_eq!(found["url"], format!("ws://{}:8927/sendspin", scene.lab.address("hub")));
    assert_eq!(found["name"], "Antiphon");
    scene.shown("Kitchen", "here", is_here).expect("it calls");
    scene.play("Kitchen");
    kitchen.has(40, PATIENCE).expect("sound");
    exact(&kitchen.sound());
}

#[test]
fn lab_sendspin_clients_join_die_freeze_and_return_alone() {
    let Some(scene) = or_skip(Scene::new()) else { return };
    let kitchen = scene.found("c1", "Kitchen", &["--only-player"]).expect("found");
    let mut bath = scene.found("c2", "Bath", &["--only-player"]).expect("found");
    scene.antiphon(&["group", "downstairs", "Kitchen", "Bath"]);
    scene.play("Kitchen");
    kitchen.has(40, PATIENCE).expect("sound");
    bath.has(40, PATIENCE).expect("sound");

    let study = scene.found("c3", "Study", &["--only-player"]).expect("found");
    let joined = Instant::now();
    scene.antiphon(&["group", "downstairs", "Kitchen", "Bath", "Study"]);
    study.has(1, PATIENCE).expect("it joins");
    println!("sendspin: joined -> first chunk {} ms", joined.elapsed().as_millis());
    assert!(joined.elapsed() < RETURN);

    bath.kill9();
    scene.shown("Bath", "lost", |bath| !is_here(bath)).expect("lost");
    let had = bath.sound().len();
    bath.start_again(&scene.lab).expect("start again");
    bath.says("listening", 0, PATIENCE, |_| true).expect("it listens");
    let returned = Instant::now();
    bath.has(had + 1, PATIENCE).expect("it plays again");
    println!("sendspin: killed, listening again -> first chunk {} ms", returned.elapsed().as_millis());
    assert!(returned.elapsed() < RETURN + Duration::from_secs(2));

    study.freeze();
    scene.shown("Study", "lost", |study| !is_here(study)).expect("lost");
    study.thaw();
    let had = study.sound().len();
    scene.shown("Study", "back", is_here).expect("back");
    // More than the second that is not looked at.
    study.has(had + 80, PATIENCE).expect("it plays again");

    // Kitchen never missed a sample, and everybody who is back is in step with it.
    let step = exact(&kitchen.sound());
    for (name, client) in [("Bath", &bath), ("Study", &study)] {
        assert_eq!(exact(last_stretch(&client.sound())), step, "{name} is out of step");
    }
}

#[test]
fn lab_sendspin_people_turn_press_and_read() {
    let Some(scene) = or_skip(Scene::new()) else { return };
    let formats = ["--formats", "pcm:44100:16,pcm:48000:24"];
    let mut kitchen = scene.found("c1", "Kitchen", &formats).expect("found");
    let say =
        |client: &SendspinRecorder, event: &str, mark: usize, wanted: &dyn Fn(&serde_json::Value) -> bool| {
            client.says(event, mark, PATIENCE, wanted).expect("said")
        };
    scene.play("Kitchen");
    kitchen.has(10, PATIENCE).expect("sound");
    scene.antiphon(&["volume", "Kitchen", "35"]);
    say(&kitchen, "command", 0, &|said| said["payload"]["volume"] == 35);
    say(&kitchen, "group", 0, &|said| said["payload"]["playback_state"] == "playing");
    say(&kitchen, "metadata", 0, &|said| said["payload"]["progress"]["playback_speed"] == 1000);
    say(&kitchen, "loudness", 0, &|said| said["value"].as_u64() > Some(0));

    // A knob at the client is heard of in the house, and not turned back.
    let mark = kitchen.mark();
    kitchen.tell("volume 62");
    scene.shown("Kitchen", "louder", |speaker| speaker["volume"] == 62).expect("turned");
    kitchen.tell("mute on");
    scene.shown("Kitchen", "muted", |speaker| speaker["muted"] == true).expect("muted");
    kitchen.tell("mute off");
    scene.shown("Kitchen", "heard", |speaker| speaker["muted"] == false).expect("heard");
    let turned_back = kitchen.said()[mark..].iter().any(|said| said["event"] == "command");
    assert!(!turned_back, "the hub turned a knob back");

    // Buttons move the group.
    let mark = kitchen.mark();
    kitchen.tell("press volume 41");
    // The group's slider; what Kitchen is at then follows from its own balance.
    say(&kitchen, "controller", mark, &|said| said["payload"]["volume"] == 41);
    let command = say(&kitchen, "command", mark, &|said| said["payload"]["command"] == "volume");
    let louder = command["payload"]["volume"].clone();
    scene.shown("Kitchen", "louder", |speaker| speaker["volume"] == louder).expect("turned");
    let mark = kitchen.mark();
    kitchen.tell("press pause");
    say(&kitchen, "group", mark, &|said| said["payload"]["playback_state"] == "stopped");
    scene.shown("Kitchen", "paused", |speaker| speaker["playing"] == false).expect("paused");
    let had = kitchen.sound().len();
    kitchen.tell("press play");
    kitchen.has(had + 10, PATIENCE).expect("it goes on");

    // Another format goes on where the last ended.
    let mark = kitchen.mark();
    kitchen.tell("format pcm:48000:24");
    say(&kitchen, "format", mark, &|said| said["rate"] == 48_000 && said["bits"] == 24);
    let had = kitchen.sound().len();
    let sound = kitchen.has(had + 30, PATIENCE).expect("it goes on");
    let change =
        sound.iter().rposition(|chunk| chunk.pcm.len() == chunk.frames * 4).expect("before the change");
    let (last, first) = (&sound[change], &sound[change + 1]);
    let end = last.timestamp + last.frames as i64 * 1_000_000 / 44_100;
    assert!((-1..=23).contains(&(first.timestamp - end)), "a hole of {} us", first.timestamp - end);
    let ended = kitchen.said()[mark..].iter().any(|said| said["event"] == "end" || said["event"] == "clear");
    assert!(!ended, "the stream was cut");

    // Taken by something else, and free again.
    let mark = kitchen.mark();
    kitchen.tell("available no");
    say(&kitchen, "end", mark, &|_| true);
    scene.shown("Kitchen", "away", |speaker| !is_here(speaker)).expect("away");
    kitchen.tell("available yes");
    scene.shown("Kitchen", "back", is_here).expect("back");
    let had = kitchen.sound().len();
    kitchen.tell("press play");
    kitchen.has(had + 10, PATIENCE).expect("it plays again by its own wish");
}

/// The newest library of npm (3.2.1) speaks the protocol of before encryption: it is refused, and nothing else happens.
#[test]
fn lab_sendspin_a_client_of_before_encryption_is_refused() {
    let modules = peers().join("node").join("node_modules");
    let missing = !modules.join("@sendspin").is_dir() || support::lab::missing_programs(&["node"]).len() == 1;
    let there = if missing { Err(LabError::Missing(vec!["@sendspin/sendspin-js".into()])) } else { Ok(()) };
    let Some(scene) = or_skip(there.and_then(|()| Scene::new())) else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/sendspin/before.mjs");
    let server = format!("http://{}:8927", scene.lab.address("hub"));
    let mut node: Command = scene.lab.command("c1", "node");
    node.args(["--experimental-websocket", script]).arg(&modules).args([&server, "4"]);
    let said = scene.lab.output(&mut node).expect("node");
    assert!(
        said.contains("\"open\"") && said.contains("\"closed\"") && said.contains("\"chunks\":0"),
        "{said}"
    );
    let picture = scene.house.get(&scene.lab, "/api/hub").expect("a picture");
    assert_eq!(picture["speakers"].as_array().map(Vec::len), Some(0), "{picture}");
    let counted = wait_for(PATIENCE, || {
        let metrics = scene.lab.get("hub", "http://127.0.0.1:8780/metrics").ok()?.1;
        let faults =
            metrics.lines().any(|line| line.starts_with("antiphon_sendspin_") && line.contains("fault"));
        faults.then_some(())
    });
    assert!(counted.is_some(), "it was not counted");
}
