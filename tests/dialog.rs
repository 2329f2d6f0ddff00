//! Alexa speaks: over music, instead of what cannot be mixed, one sentence after the other, interrupted, and with
//! attachments that come late, in part or never.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_actors::requests::{Container, Initiator, ListenRequest, Profile, SpeechFormat};
use antiphon_domain::SpeakerId;
use antiphon_simulator::{Fault, Outgoing, Script};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::analysis::{largest_jump, longest_gap, tone_level, tone_levels};
use support::calm::calmly;
use support::hub::{Hub, PATIENCE, RATE, Setup, level_at, play};
use support::patience::wait_for;
use support::speech::{Envelope, PCM, speech_of, spoken, wait_metric};

const MUSIC: f64 = 997.0;
const SPEECH: f64 = 3_000.0;

/// A Play of a long tone that may be heard under speech, or not.
fn music(hub: &Hub, token: &str, interrupted: &str) -> Value {
    let mut payload = play("REPLACE_ALL", &hub.simulator().track("tone-997-60s.wav"), token, None);
    payload["audioItem"]["stream"]["interruptedBehavior"] = json!(interrupted);
    payload
}

/// A Speak that waits for the one before it.
fn enqueued(mut speak: Outgoing) -> Outgoing {
    speak.message["directive"]["payload"]["playBehavior"] = json!("ENQUEUE");
    speak
}

/// Name and token of what was told of speech and streams, in order.
fn told(hub: &Hub, mark: u64) -> Vec<String> {
    let names =
        ["Speech", "PlaybackStarted", "PlaybackPaused", "PlaybackResumed", "PlaybackStopped", "Recognize"];
    let entries = hub.simulator().transcript("kitchen");
    let ours = entries.iter().filter(|e| {
        e.index >= mark && e.is_event(&e.namespace, &e.name) && names.iter().any(|n| e.name.starts_with(n))
    });
    ours.map(|e| format!("{}:{}", e.name, e.payload()["token"].as_str().unwrap_or(""))).collect()
}

fn wait_told(hub: &Hub, mark: u64, wanted: &[&str]) {
    let mut last = Vec::new();
    let found = wait_for(PATIENCE, || {
        last = told(hub, mark);
        (last.len() >= wanted.len()).then_some(())
    });
    assert!(found.is_some() && last == wanted, "told {last:?}, not {wanted:?}; {:#}", hub.speaker("kitchen"));
}

/// Says a second of something, to which these directives are the answer.
fn ask(hub: &Hub, answer: Vec<Outgoing>) {
    hub.simulator().answer_speech("kitchen", Script::directives(answer)).unwrap();
    let mut upload = hub.speak_to("kitchen", "", PCM);
    upload.say_until(16_000, &spoken(16_000, 5.0), || false);
    assert_eq!(upload.end().0, 204);
}

#[test]
fn heard_music_steps_back_while_alexa_speaks() {
    calmly(|| {
        let hub = Setup::new(&["kitchen"]).start();
        hub.set_alone(&[("kitchen", 60)]);
        hub.send("kitchen", "AudioPlayer", "Play", music(&hub, "song", "ATTENUATE"));
        hub.wait_level("kitchen", MUSIC, level_at(60));
        let mark = hub.simulator().mark("kitchen");
        let from = hub.recording("kitchen").end() - u64::from(RATE) / 4;
        hub.send_whole("kitchen", hub.speech("a", 2));
        wait_told(&hub, mark, &["SpeechStarted:a"]);
        hub.wait_attention("kitchen", "speaking");
        wait_told(&hub, mark, &["SpeechStarted:a", "SpeechFinished:a"]);
        hub.wait_attention("kitchen", "idle");
        hub.listen("kitchen", RATE as usize / 2);
        let sound = hub.recording("kitchen");
        let heard = sound.between(from, sound.end());

        let envelope = Envelope::of(heard, MUSIC);
        let (begun, down) = envelope.walk(level_at(60), level_at(20), 0).expect("it ducks");
        let (returned, up) =
            envelope.walk(level_at(20), level_at(60), (begun + down) as usize + 50).expect("it returns");
        let words = Envelope::of(heard, SPEECH).levels;
        let voice = words.iter().position(|level| *level > 0.01).expect("speech is heard") as f64;
        let silence = words.iter().rposition(|level| *level > 0.01).unwrap() as f64;
        let part = |from: f64, to: f64| &heard[(from * 44.1) as usize..(to * 44.1) as usize];
        let under = part(begun + down + 20.0, returned - 20.0);
        let depth = tone_level(under, RATE, MUSIC) - level_at(60);
        let back = tone_level(part(returned + up + 20.0, returned + up + 220.0), RATE, MUSIC) - level_at(60);
        let loud = tone_level(part(voice + 200.0, voice + 1_800.0), RATE, SPEECH);
        println!(
            "dialog: ducked by {depth:.2} dB in {down:.0} ms, {:.0} ms before the first word; returned in {up:.0} ms, \
             {:.0} ms after the last, to {back:+.3} dB; speech at {loud:.2} dBFS",
            voice - begun,
            returned - silence
        );
        assert!((depth - (level_at(20) - level_at(60))).abs() < 0.1, "ducked by {depth:.2} dB");
        assert!((down - 100.0).abs() < 12.0, "{down:.1} ms down");
        assert!((up - 300.0).abs() < 20.0, "{up:.1} ms up");
        assert!(back.abs() < 0.01, "returned to {back:+.3} dB");
        assert!((loud - level_at(60)).abs() < 0.5, "speech at {loud:.2} dBFS");
        assert!(begun < voice && voice - begun < 400.0, "{begun:.0} and {voice:.0} ms");
        assert!(returned > silence - 15.0 && returned - silence < 300.0, "{returned:.0} and {silence:.0} ms");
        let (place, jump) = largest_jump(heard, RATE, MUSIC);
        // A sample is 23 us.
        assert!(jump < 15e-6, "the music was moved by {jump} s at {place}");
        // What was never there cannot be restored: it is stopped under speech.
        let mark = hub.simulator().mark("kitchen");
        hub.send_whole("kitchen", hub.speech("b", 2));
        hub.event("kitchen", mark, "SpeechSynthesizer", "SpeechStarted");
        hub.api("POST", "/api/speakers/kitchen/stop", json!({}));
        wait_told(&hub, mark, &["SpeechStarted:b", "PlaybackStopped:song", "SpeechFinished:b"]);
        hub.wait_picture("nothing plays", |_| hub.speaker("kitchen")["playing"] == false);
        hub.send("kitchen", "AudioPlayer", "Play", music(&hub, "next", "ATTENUATE"));
        hub.wait_level("kitchen", MUSIC, level_at(60));
        hub.assert_no_violations();
    });
}

#[test]
fn heard_a_talk_pauses_while_somebody_asks() {
    calmly(|| {
        let hub = Setup::new(&["kitchen"]).start();
        hub.send("kitchen", "AudioPlayer", "Play", music(&hub, "talk", "PAUSE"));
        hub.wait_level("kitchen", MUSIC, level_at(40));
        let mark = hub.simulator().mark("kitchen");
        let from = hub.recording("kitchen").end();
        ask(&hub, vec![hub.speech("a", 1)]);
        let all = [
            "Recognize:",
            "PlaybackPaused:talk",
            "SpeechStarted:a",
            "SpeechFinished:a",
            "PlaybackResumed:talk",
        ];
        wait_told(&hub, mark, &all);
        let recognize = hub.event("kitchen", mark, "SpeechRecognizer", "Recognize");
        let player = recognize.context("AudioPlayer", "PlaybackState").unwrap();
        assert_eq!((&player["playerActivity"], &player["token"]), (&json!("PLAYING"), &json!("talk")));
        let offset = |name| {
            hub.event("kitchen", mark, "AudioPlayer", name).payload()["offsetInMilliseconds"]
                .as_u64()
                .unwrap()
        };
        let (paused, resumed) = (offset("PlaybackPaused"), offset("PlaybackResumed"));
        assert!(paused.abs_diff(resumed) < 30, "paused at {paused}, resumed at {resumed}");
        hub.wait_level("kitchen", MUSIC, level_at(40));
        let sound = hub.recording("kitchen");
        let heard = sound.between(from, sound.end());
        // While the one is heard the other is not.
        let both = tone_levels(heard, RATE, MUSIC, 0.02)
            .into_iter()
            .zip(tone_levels(heard, RATE, SPEECH, 0.02))
            .filter(|((_, talk), (_, speech))| *talk > -50.0 && *speech > -50.0)
            .count();
        let away = tone_levels(heard, RATE, MUSIC, 0.02).iter().filter(|(_, talk)| *talk < -60.0).count();
        println!("dialog: the talk was away for {} ms, {} ms were heard beside speech", away * 20, both * 20);
        assert!(both <= 2 && away > 100, "{both} and {away} windows of 20 ms");
        hub.assert_no_violations();
    });
}

/// Dropped by whoever cannot use it, it takes them down.
struct Bomb;

impl AsRef<[u8]> for Bomb {
    fn as_ref(&self) -> &[u8] {
        b"bomb"
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("this actor dies, as the test wants");
    }
}

#[test]
fn heard_music_returns_when_the_speaking_actor_dies() {
    calmly(|| {
        let timers = "[avs.timers]\nconnect_delays_s = [30.0]\n";
        let hub = Setup::new(&["kitchen", "shelf"]).with(timers).grouped().start();
        hub.send("kitchen", "AudioPlayer", "Play", music(&hub, "song", "ATTENUATE"));
        for id in ["kitchen", "shelf"] {
            hub.wait_level(id, MUSIC, level_at(40));
        }
        let mark = hub.simulator().mark("shelf");
        let from = hub.recording("shelf").end();
        hub.send_whole("shelf", hub.speech("a", 20));
        hub.event("shelf", mark, "SpeechSynthesizer", "SpeechStarted");
        hub.wait_level("shelf", MUSIC, level_at(20));
        // Who is not connected cannot be spoken to, and drops what was said: that is its end.
        hub.simulator().inject("shelf", &Fault::Refuse(1)).unwrap();
        hub.simulator().inject("shelf", &Fault::TcpReset).unwrap();
        hub.wait_picture("it is away", |_| hub.speaker("shelf")["link"]["state"] == "waiting");
        let (sender, audio) = tokio::sync::mpsc::channel(4);
        sender.try_send(bytes::Bytes::from_owner(Bomb)).unwrap();
        let (initiator, profile, format) = (Initiator::Tap, Profile::NearField, SpeechFormat::Pcm);
        let request =
            ListenRequest { initiator, profile, format, energies: None, container: Container::Pcm16k, audio };
        let died = Instant::now();
        let dead = hub.wait(hub.handle().listen(SpeakerId::new("shelf"), request));
        assert!(dead.is_err());
        wait_metric(&hub, "antiphon_actors_restarts_total{actor=\"speaker\"}", 1.0);
        hub.wait_level("shelf", MUSIC, level_at(40));
        println!("dialog: as loud as before {:?} after its actor died", died.elapsed());
        // It ducked alone: the other room heard the music all the time, as loud as ever.
        let kitchen = hub.recording("kitchen");
        let heard = kitchen.between(from, kitchen.end());
        assert!(longest_gap(heard, level_at(40) - 20.0).1 < 20);
        let quietest =
            tone_levels(heard, RATE, MUSIC, 0.1).into_iter().fold(0.0, |least: f64, (_, l)| least.min(l));
        assert!(quietest > level_at(40) - 0.1, "{quietest}");
        assert_unducked(&hub, from);
        hub.assert_no_violations();
    });
}

/// In the recording of the shelf, the time from the last word to the music as loud as before is under a second and a
/// half: the hub looks for the dead once a second.
fn assert_unducked(hub: &Hub, from: u64) {
    let shelf = hub.recording("shelf");
    let heard = shelf.between(from, shelf.end());
    let window = 0.02;
    let loud = |(_, level): &(f64, f64), wanted: f64| *level > wanted - 0.3;
    let words = tone_levels(heard, RATE, SPEECH, window);
    let last = words.iter().rposition(|one| loud(one, -40.0)).unwrap();
    let music = tone_levels(heard, RATE, MUSIC, window);
    let back = last + music[last..].iter().position(|one| loud(one, level_at(40))).unwrap();
    let took = (back - last) as f64 * window;
    println!("dialog: {took:.2} s from the last word of the dead to the music as before");
    assert!(took < 1.5, "{took} s");
}

#[test]
fn who_is_interrupted_says_where() {
    let hub = Setup::new(&["kitchen"]).start();
    hub.send("kitchen", "AudioPlayer", "Play", music(&hub, "song", "ATTENUATE"));
    hub.event("kitchen", 0, "AudioPlayer", "PlaybackStarted");
    let mark = hub.simulator().mark("kitchen");
    // A long answer, of which the second half is never heard.
    ask(&hub, vec![enqueued(hub.speech("a", 5)), enqueued(hub.speech("b", 5))]);
    wait_told(&hub, mark, &["Recognize:", "SpeechStarted:a"]);
    hub.listen("kitchen", RATE as usize / 2);
    let second = hub.simulator().mark("kitchen");
    ask(&hub, vec![hub.speech("c", 1)]);
    let all = ["Recognize:", "SpeechInterrupted:a", "SpeechStarted:c", "SpeechFinished:c"];
    wait_told(&hub, second, &all);
    // It tells how things were before it.
    let recognize = hub.event("kitchen", second, "SpeechRecognizer", "Recognize");
    let speech = recognize.context("SpeechSynthesizer", "SpeechState").unwrap();
    assert_eq!((&speech["playerActivity"], &speech["token"]), (&json!("PLAYING"), &json!("a")));
    let player = recognize.context("AudioPlayer", "PlaybackState").unwrap();
    assert_eq!((&player["playerActivity"], &player["token"]), (&json!("PLAYING"), &json!("song")));
    let interrupted = hub.event("kitchen", second, "SpeechSynthesizer", "SpeechInterrupted");
    let offset = |payload: &Value| payload["offsetInMilliseconds"].as_u64().unwrap();
    let (before, at) = (offset(speech), offset(interrupted.payload()));
    assert!(before >= 400 && before <= at && at < before + 300 && at < 5_000, "{before} and {at} ms");
    hub.wait_attention("kitchen", "idle");
    hub.assert_no_violations();
}

#[test]
fn speech_comes_before_the_music_it_announces() {
    let hub = Setup::new(&["kitchen"]).start();
    let mark = hub.simulator().mark("kitchen");
    let song = Outgoing::new("AudioPlayer", "Play", music(&hub, "song", "ATTENUATE"));
    let (a, b) = (enqueued(hub.speech("a", 1)), enqueued(hub.speech("b", 1)));
    ask(&hub, vec![a, b, song]);
    let speech = ["SpeechStarted:a", "SpeechFinished:a", "SpeechStarted:b", "SpeechFinished:b"];
    wait_told(&hub, mark, &[&["Recognize:"], &speech[..], &["PlaybackStarted:song"]].concat());
    hub.wait_attention("kitchen", "idle");
    // One that replaces all takes the place of what is spoken and of what waits.
    let mark = hub.simulator().mark("kitchen");
    hub.send_whole("kitchen", hub.speech("c", 5));
    hub.event("kitchen", mark, "SpeechSynthesizer", "SpeechStarted");
    hub.send_whole("kitchen", enqueued(hub.speech("d", 5)));
    hub.send_whole("kitchen", hub.speech("e", 1));
    let all = ["SpeechStarted:c", "SpeechInterrupted:c", "SpeechStarted:e", "SpeechFinished:e"];
    wait_told(&hub, mark, &all);
    hub.assert_no_violations();
}

#[test]
fn speech_without_its_sound_holds_nothing_up() {
    let hub = Setup::new(&["kitchen"]).start();
    let mark = hub.simulator().mark("kitchen");
    let mut nothing = enqueued(hub.speech("nothing", 1));
    nothing.attachments.clear();
    let song = Outgoing::new("AudioPlayer", "Play", music(&hub, "song", "ATTENUATE"));
    ask(&hub, vec![nothing.clone(), enqueued(hub.speech("a", 1)), song]);
    wait_told(&hub, mark, &["Recognize:", "SpeechStarted:a", "SpeechFinished:a", "PlaybackStarted:song"]);
    let sorry = hub.event("kitchen", mark, "System", "ExceptionEncountered");
    assert_eq!(sorry.payload()["error"]["type"], "UNEXPECTED_INFORMATION_RECEIVED");
    // On the downchannel, which never ends, it might still come: what follows waits for as long as people would.
    let mark = hub.simulator().mark("kitchen");
    let begun = Instant::now();
    hub.send_whole("kitchen", nothing);
    hub.send("kitchen", "AudioPlayer", "Play", music(&hub, "other", "ATTENUATE"));
    let sorry = hub.event("kitchen", mark, "System", "ExceptionEncountered");
    println!("dialog: given up after {:?}: {}", begun.elapsed(), sorry.payload()["error"]);
    wait_told(&hub, mark, &["PlaybackStopped:song", "PlaybackStarted:other"]);
    assert!(begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
    // Nor does what is no sound.
    let mark = hub.simulator().mark("kitchen");
    hub.send_whole("kitchen", speech_of("garbage", vec![b'x'; 20_000]));
    let sorry = hub.event("kitchen", mark, "System", "ExceptionEncountered");
    assert_eq!(sorry.payload()["error"]["type"], "INTERNAL_ERROR");
    hub.send_whole("kitchen", hub.speech("b", 1));
    wait_told(&hub, mark, &["SpeechStarted:b", "SpeechFinished:b"]);
    hub.assert_no_violations();
}

#[test]
fn speech_that_comes_in_drips_or_is_cut() {
    let timers = "[avs.timers]\nconnect_delays_s = [0.2]\n";
    let hub = Setup::new(&["kitchen"]).with(timers).start();
    let whole = hub.fetch("tone-3000-1s.mp3");
    let mark = hub.simulator().mark("kitchen");
    // Byte by byte, as fast as that goes: it must be there in time.
    hub.simulator().inject("kitchen", &Fault::SlowDrip(Duration::ZERO)).unwrap();
    hub.send_whole("kitchen", speech_of("drips", whole[..2_000].to_vec()));
    wait_told(&hub, mark, &["SpeechStarted:drips", "SpeechFinished:drips"]);
    hub.simulator().inject("kitchen", &Fault::SlowDrip(Duration::from_millis(1))).unwrap();
    // In the midst of the next the connection goes.
    let cut = hub.simulator().send("kitchen", speech_of("cut", whole));
    let _ = hub.wait(async { tokio::time::timeout(Duration::from_secs(2), cut).await });
    hub.simulator().inject("kitchen", &Fault::Clear).unwrap();
    hub.simulator().inject("kitchen", &Fault::TcpReset).unwrap();
    let connects = |n| hub.simulator().counts("kitchen").connects >= n;
    assert!(wait_for(PATIENCE, || connects(2).then_some(())).is_some());
    hub.wait_linked();
    let mark = hub.simulator().mark("kitchen");
    hub.send_whole("kitchen", hub.speech("again", 1));
    let started = |e: &antiphon_simulator::Entry| {
        e.is_event("SpeechSynthesizer", "SpeechFinished") && e.payload()["token"] == "again"
    };
    hub.wait(hub.simulator().wait_for("kitchen", mark, started, PATIENCE)).unwrap();
    hub.wait_attention("kitchen", "idle");
    hub.assert_no_violations();
}
