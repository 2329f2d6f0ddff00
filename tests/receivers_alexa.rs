//! What Alexa does at real receivers: speech over music, alerts over what nobody hears, a room that talks, a leader that
//! leaves. Judged by what the rack heard; AirPlay receivers have a volume of their own and play a second behind the hub's
//! mixer, so that whatever changes in the one must fit what changes in the other.
//!
//! Figures are printed; `cargo nextest run --no-capture --test receivers_alexa` shows them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

mod support;

use antiphon_simulator::{Entry, Outgoing};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::alarms::{alert, in_seconds};
use support::analysis::{SILENCE, longest_gap, quantile, tone_level};
use support::heard::{assert_unbroken, levels, millis_since, same_levels};
use support::lab::rack::RATE;
use support::lab::recording::Recorder;
use support::or_skip;
use support::patience::wait_for;
use support::rooms::{NAMES, Rooms, TONE};
use support::sound::play;
use support::speech::speech_of;

const PATIENCE: Duration = Duration::from_secs(20);
/// What Alexa says here, Hz.
const SPEECH: f64 = 3_000.0;
/// What alerts play here, Hz.
const ALERT: f64 = 450.0;
/// What ducking takes from volume 60, dB: the way from 60 to 20 on the square-law taper.
const DUCKED: f64 = -19.08;
/// A content of less is called nothing.
const NOTHING: f64 = -60.0;

#[test]
fn lab_receivers_obey_alexa() {
    let Some(mut rooms) = or_skip(Rooms::new(2, &[])) else { return };
    for _ in 0..2 {
        rooms.add_receiver().expect("found");
    }
    rooms.link(&NAMES[..2]).expect("linked");
    for name in &NAMES[..2] {
        volume(&rooms, name, 40);
    }
    let speech = fetch(&rooms, "tone-3000-1s.mp3");
    let mut recorder = rooms.rack.record().expect("record");
    let mut music = play("REPLACE_ALL", &rooms.track(), "music", None);
    music["audioItem"]["stream"]["interruptedBehavior"] = json!("ATTENUATE");
    send(&rooms, "Kitchen", Outgoing::new("AudioPlayer", "Play", music));
    rooms.wait_until_playing(&NAMES[..1]).expect("it plays");
    let forty = levels(&mut recorder, 1)[0];
    volume(&rooms, "Kitchen", 60);
    let sixty = levels(&mut recorder, 1)[0];
    println!("receivers: heard at volumes 40 and 60: {forty:.2} and {sixty:.2} dBFS");

    speech_over_music(&rooms, &mut recorder, sixty, &speech);
    alerts(&rooms, &mut recorder, forty, sixty);

    rooms.house.antiphon(&rooms.lab, &["group", "downstairs", "Kitchen", "Bath"]).expect("grouped");
    volume(&rooms, "Bath", 60);
    rooms.wait_until_playing(&NAMES[..2]).expect("both play");
    same_levels(&mut recorder, &[sixty, sixty]);
    one_room_talks(&rooms, &mut recorder, sixty, &speech);
    the_leader_leaves(&rooms, &mut recorder);
    assert_eq!(rooms.violations(), "");
}

fn volume(rooms: &Rooms, name: &str, volume: u32) {
    rooms.house.antiphon(&rooms.lab, &["volume", name, &volume.to_string(), "--alone"]).expect("a volume");
}

/// A track of the simulated service, whole.
fn fetch(rooms: &Rooms, track: &str) -> Vec<u8> {
    let file = rooms.lab.folder().join(track);
    let url = rooms.house.simulator().track(track);
    rooms.lab.curl("hub", &["--output", file.to_str().expect("a path"), &url]).expect("fetched");
    std::fs::read(file).expect("fetched")
}

fn send(rooms: &Rooms, name: &str, outgoing: Outgoing) -> Instant {
    rooms.house.wait(rooms.house.simulator().send(name, outgoing)).expect("sent")
}

fn event(rooms: &Rooms, name: &str, mark: u64, namespace: &str, event: &str) -> Arc<Entry> {
    let dsn = rooms.dsn(name);
    let service = rooms.house.simulator();
    rooms.house.wait(service.wait_for_event(&dsn, mark, namespace, event, PATIENCE)).expect("the event comes")
}

/// How loud a tone is in windows of so many seconds, a hundred a second: level by window.
fn course(sound: &[f32], hertz: f64, seconds: f64) -> Vec<f64> {
    let (window, step) = ((seconds * f64::from(RATE)) as usize, RATE as usize / 100);
    let count = sound.len().saturating_sub(window) / step;
    (0..count).map(|n| tone_level(&sound[n * step..n * step + window], RATE, hertz)).collect()
}

/// The level that half of them are above: a receiver that corrects its time disturbs single ones.
fn middle(levels: &[f64]) -> f64 {
    -quantile(levels.iter().copied(), 0.5)
}

fn loudest(levels: &[f64]) -> f64 {
    levels.iter().copied().fold(SILENCE, f64::max)
}

fn speech_over_music(rooms: &Rooms, recorder: &mut Recorder, full: f64, speech: &[u8]) {
    let mark = rooms.house.simulator().mark(&rooms.dsn("Kitchen"));
    let from = recorder.frames();
    let asked = send(rooms, "Kitchen", speech_of("a", speech.to_vec()));
    event(rooms, "Kitchen", mark, "SpeechSynthesizer", "SpeechFinished");
    same_levels(recorder, &[full]);
    let heard = recorder.since(from);
    let sound = heard.output(1);
    let (music, words) = (course(sound, TONE, 0.02), course(sound, SPEECH, 0.02));
    let first = words.iter().position(|level| *level > full - 20.0).expect("speech is heard");
    let last = words.iter().rposition(|level| *level > full - 20.0).expect("speech is heard");
    let went = music.iter().position(|level| *level < full - 1.0).expect("it ducks");
    let back = music.iter().rposition(|level| *level < full - 1.0).expect("it ducks");
    let under = middle(&music[went + 25..back - 40]) - full;
    let loud = middle(&words[first + 10..last - 10]) - full;
    println!(
        "receivers: Speak -> heard {} ms; music ducks by {under:.2} dB, begins {} ms before the first word, is back \
         {} ms after the last; speech at {loud:+.2} dB of the music",
        millis_since(recorder, asked, from + first * 480),
        (first as i64 - went as i64) * 10,
        (back as i64 - last as i64) * 10,
    );
    assert!((under - DUCKED).abs() < 0.5, "ducked by {under:.2} dB");
    assert!(loud.abs() < 1.0, "speech at {loud:+.2} dB");
    assert!(
        went < first && first - went < 50 && last < back && back - last < 170,
        "{went} {first} {last} {back}"
    );
    let gap = longest_gap(sound, full + DUCKED - 20.0).1;
    assert!(gap < RATE as usize / 500, "{gap} frames of silence");
}

/// One alert over music that is heard at `before`: it is rung at the alert volume and on time, and its beginning and end
/// let nothing of the music be louder than it was.
fn alerts(rooms: &Rooms, recorder: &mut Recorder, forty: f64, sixty: f64) {
    rooms.say("Kitchen", "mute");
    same_levels(recorder, &[SILENCE]);
    ring(rooms, recorder, "muted", SILENCE, forty);
    rooms.say("Kitchen", "unmute");
    same_levels(recorder, &[sixty]);
    rooms.say("Kitchen", "set volume to 0");
    same_levels(recorder, &[SILENCE]);
    ring(rooms, recorder, "at volume 0", SILENCE, forty);
    // The alert is the louder one: the receiver is turned up for it, and the music must not come up with it.
    volume(rooms, "Kitchen", 40);
    same_levels(recorder, &[forty]);
    rooms.house.antiphon(&rooms.lab, &["alarms", "Kitchen", "volume", "60"]).expect("an alert volume");
    ring(rooms, recorder, "louder than the music", forty, sixty);
    volume(rooms, "Kitchen", 60);
    same_levels(recorder, &[sixty]);
}

fn ring(rooms: &Rooms, recorder: &mut Recorder, what: &str, before: f64, wanted: f64) {
    let mark = rooms.house.simulator().mark(&rooms.dsn("Kitchen"));
    let from = recorder.frames();
    let due = in_seconds(2.5);
    let mut payload: Value = alert("TIMER", what, due);
    let url = rooms.house.simulator().track("tone-450-1s.wav");
    payload["assets"] = json!([{ "assetId": "tone", "url": url }]);
    payload["assetPlayOrder"] = json!(["tone"]);
    send(rooms, "Kitchen", Outgoing::new("Alerts", "SetAlert", payload));
    event(rooms, "Kitchen", mark, "Alerts", "AlertStarted");
    let rung = |sound: &[f32]| {
        let mut windows = sound.chunks_exact(RATE as usize / 100);
        windows.position(|part| tone_level(part, RATE, ALERT) > wanted - 20.0)
    };
    let found = wait_for(PATIENCE, || rung(recorder.since(from).output(1)));
    let begun = from + found.expect("the alert is heard") * RATE as usize / 100;
    recorder.wait_for_frames(begun + 3 * RATE as usize / 2).expect("record");
    rooms.house.antiphon(&rooms.lab, &["alarms", "Kitchen", "stop"]).expect("stopped");
    let stopped = recorder.frames();
    event(rooms, "Kitchen", mark, "Alerts", "AlertStopped");
    same_levels(recorder, &[before]);
    let heard = recorder.since(from);
    let sound = heard.output(1);
    let (music, tone) = (course(sound, TONE, 0.1), course(sound, ALERT, 0.1));
    let at = (begun - from) / 480;
    let level = middle(&tone[at + 10..at + 80]);
    let until = tone.iter().rposition(|level| *level > wanted - 20.0).expect("it rang");
    let now =
        (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64());
    let moment =
        now.0.checked_sub(Duration::from_secs_f64(now.1 - due as f64)).expect("since the machine's start");
    let late = millis_since(recorder, moment, begun);
    // Until it is as loud as it should be.
    let full = tone.iter().position(|level| *level > wanted - 1.0).expect("it is loud") as i64 - at as i64;
    // Pass after pass, as one sound.
    let (gap_at, gap) = longest_gap(&sound[begun - from + 4_800..begun - from + 67_200], wanted - 20.0);
    let (first, last) =
        (loudest(&music[at.saturating_sub(50)..at + 50]), loudest(&music[until.saturating_sub(100)..]));
    println!(
        "receivers: alert while {what}: heard {late} ms after its second, at {:+.2} dB of the alert volume ({} ms later), \
         longest gap {} ms (at {} ms); stopped -> silent {} ms; loudest 100 ms of the music around its start {first:.1}, around its end {last:.1}, \
         {before:.1} dBFS before",
        level - wanted,
        full * 10,
        gap / 48,
        gap_at / 48 + 100,
        (from + until * 480) as i64 / 48 - stopped as i64 / 48,
    );
    let bound = before.max(NOTHING) + 0.5;
    assert!((level - wanted).abs() < 0.5, "{what}: heard at {level:.2} dBFS, not {wanted:.2}");
    assert!(loudest(&music) < bound, "{what}: a burst of music: {:.1} dBFS", loudest(&music));
    assert!(late.abs() < 100, "{what}: {late} ms late");
}

fn one_room_talks(rooms: &Rooms, recorder: &mut Recorder, full: f64, speech: &[u8]) {
    let mark = rooms.house.simulator().mark(&rooms.dsn("Bath"));
    let from = recorder.frames();
    send(rooms, "Bath", speech_of("b", speech.to_vec()));
    event(rooms, "Bath", mark, "SpeechSynthesizer", "SpeechFinished");
    same_levels(recorder, &[full, full]);
    let heard = recorder.since(from);
    let talks = course(heard.output(2), TONE, 0.1);
    let quiet = talks.iter().copied().fold(0.0, f64::min) - full;
    println!("receivers: Bath talks: its music steps back by {quiet:.2} dB");
    assert!((quiet - DUCKED).abs() < 1.0, "Bath ducked by {quiet:.2} dB");
    assert!(loudest(&course(heard.output(1), SPEECH, 0.1)) < NOTHING, "nobody speaks in the Kitchen");
    if assert_unbroken(rooms, &[1], &heard) {
        let other = course(heard.output(1), TONE, 0.1);
        let least = other.iter().copied().fold(0.0, f64::min);
        println!("receivers: Kitchen meanwhile at {least:.2} to {:.2} dBFS", loudest(&other));
        assert!(full - least < 0.5 && loudest(&other) - full < 0.5, "{least:.2} to {:.2}", loudest(&other));
    }
}

fn the_leader_leaves(rooms: &Rooms, recorder: &mut Recorder) {
    let mark = rooms.house.simulator().mark(&rooms.dsn("Kitchen"));
    let heir = rooms.house.simulator().mark(&rooms.dsn("Bath"));
    let from = recorder.frames();
    rooms.house.antiphon(&rooms.lab, &["group", "downstairs", "Bath"]).expect("grouped");
    event(rooms, "Kitchen", mark, "AudioPlayer", "PlaybackStopped");
    support::heard::silent_from(recorder, 1, from);
    recorder.wait_for_frames(recorder.frames() + RATE as usize).expect("record");
    assert_unbroken(rooms, &[2], &recorder.since(from));
    // It is the heir's Alexa that tells of it now.
    rooms.say("Bath", "stop");
    event(rooms, "Bath", heir, "AudioPlayer", "PlaybackStopped");
    support::heard::silent_from(recorder, 2, from);
}
