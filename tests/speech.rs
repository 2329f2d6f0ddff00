//! Somebody speaks: by HTTP in every form, by the program, into a microphone; who begins, who ends it, what is expected.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_simulator::{Outgoing, Script, Stop};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;
use support::hub::{Hub, PATIENCE, Setup};
use support::patience::wait_for;
use support::speech::{PCM, WAV, spoken, wait_metric, wav_head};

const KITCHEN: &str = "kitchen";
const L16: &str = "AUDIO_L16_RATE_16000_CHANNELS_1";

fn hub() -> Hub {
    Setup::new(&[KITCHEN]).start()
}

fn script(hub: &Hub, script: Script) {
    hub.simulator().answer_speech(KITCHEN, script).unwrap();
}

/// The payload of the next Recognize from a mark on.
fn recognize(hub: &Hub, mark: u64) -> Value {
    hub.event(KITCHEN, mark, "SpeechRecognizer", "Recognize").payload().clone()
}

/// A button is held down while this is said, in one go.
fn held(hub: &Hub, seconds: f64) -> u16 {
    let mut upload = hub.speak_to(KITCHEN, "?initiator=hold", PCM);
    upload.send(&spoken(16_000, seconds));
    upload.end().0
}

#[test]
fn speech_is_uploaded_while_it_is_spoken() {
    let hub = hub();
    let cases = [
        ("", PCM, 16_000, L16),
        ("", WAV, 16_000, L16),
        ("", WAV, 44_100, L16),
        ("?format=opus", PCM, 16_000, "OPUS"),
        ("?format=opus", WAV, 16_000, "OPUS"),
    ];
    for (index, (query, content_type, rate, format)) in cases.into_iter().enumerate() {
        let mark = hub.simulator().mark(KITCHEN);
        // Nobody but the cloud says when it is enough, and it says so after half a second.
        let half = if format == L16 { 16_000 } else { 2_000 };
        script(&hub, Script::directives(vec![hub.speech("a", 1)]).stop(Stop::Bytes(half)));
        let mut upload = hub.speak_to(KITCHEN, query, content_type);
        if content_type == WAV {
            upload.send(&wav_head(rate));
        }
        let attentions = hub.attentions(KITCHEN, || {
            upload.say_until(rate, &spoken(rate, 20.0), || false);
            hub.wait(hub.simulator().wait_for_event(
                KITCHEN,
                mark,
                "SpeechSynthesizer",
                "SpeechFinished",
                PATIENCE,
            ))
            .unwrap();
            hub.wait_attention(KITCHEN, "idle");
        });
        // The answer was there before the body had an end: what was heard was heard while it was said.
        let said = upload.sent.last().unwrap().0 - upload.sent[0].0;
        assert_eq!(upload.answer().0, 204, "{content_type} {query}");
        let hearing = hub.wait_hearing(KITCHEN, index, |h| h.ended.is_some());
        assert!(said < Duration::from_secs(10), "{said:?} until it was enough");
        assert_eq!(
            (hearing.format.as_str(), hearing.profile.as_str(), hearing.whole),
            (format, "NEAR_FIELD", true)
        );
        let first = hearing.chunks[0].0.saturating_duration_since(hearing.started);
        println!(
            "speech: {content_type} {rate} {query}: first sound {first:?} behind its Recognize, at most {:?} behind \
             the clock, {:?} ahead; {} pieces",
            hearing.behind(),
            hearing.ahead(),
            hearing.chunks.len()
        );
        assert!(hearing.chunks.len() > 10, "it came in {} pieces", hearing.chunks.len());
        assert!(hearing.ahead() < Duration::from_millis(500), "{:?} ahead", hearing.ahead());
        for wanted in ["listening", "speaking", "idle"] {
            assert!(attentions.iter().any(|a| a == wanted), "{wanted} is not in {attentions:?}");
        }
    }
    hub.assert_no_violations();
}

#[test]
fn who_begins_decides_who_ends() {
    let hub = hub();
    // A button that is held: its release is the end, and no StopCapture comes.
    let mark = hub.simulator().mark(KITCHEN);
    assert_eq!(held(&hub, 1.5), 204);
    let payload = recognize(&hub, mark);
    assert_eq!((&payload["profile"], &payload["format"]), (&json!("CLOSE_TALK"), &json!(L16)));
    assert_eq!(payload["initiator"], json!({ "type": "PRESS_AND_HOLD", "payload": {} }));
    let hearing = hub.wait_hearing(KITCHEN, 0, |h| h.ended.is_some());
    assert!(hearing.whole && hearing.stop_sent.is_none() && hearing.bytes == 48_000, "{}", hearing.bytes);
    hub.event(KITCHEN, mark, "SpeechSynthesizer", "SpeechFinished");
    hub.wait_attention(KITCHEN, "idle");
    // A wake word, with where it was and how loud: the other event goes before, of the same dialog.
    let mark = hub.simulator().mark(KITCHEN);
    script(&hub, Script::text("volume 3").stop(Stop::Silence(Duration::from_millis(400))));
    let query = "?initiator=wakeword&wake_word=computer&profile=far-field&start=8000&end=20000\
                 &voice_energy=0.5&ambient_energy=0.1";
    let mut upload = hub.speak_to(KITCHEN, query, PCM);
    let mut sound = spoken(16_000, 1.5);
    sound.extend(vec![0; 320_000]);
    upload.say_until(16_000, &sound, || false);
    assert_eq!(upload.end().0, 204);
    let payload = recognize(&hub, mark);
    assert_eq!(payload["profile"], "FAR_FIELD");
    let indices = json!({ "startIndexInSamples": 8000, "endIndexInSamples": 20000 });
    let initiator = json!({ "wakeWord": "COMPUTER", "wakeWordIndices": indices });
    assert_eq!(payload["initiator"], json!({ "type": "WAKEWORD", "payload": initiator }));
    hub.event(KITCHEN, mark, "Speaker", "VolumeChanged");
    let entries = hub.simulator().transcript(KITCHEN);
    let ids: Vec<(&str, &Value)> = entries
        .iter()
        .filter(|e| e.index >= mark && e.is_event("SpeechRecognizer", &e.name))
        .map(|e| (e.name.as_str(), &e.header()["dialogRequestId"]))
        .collect();
    assert!(
        matches!(ids[..], [("ReportEchoSpatialPerceptionData", a), ("Recognize", b)] if a == b),
        "{ids:?}"
    );
    hub.wait_attention(KITCHEN, "idle");
    // Somebody stops it here.
    let mark = hub.simulator().mark(KITCHEN);
    script(&hub, Script::nothing().stop(Stop::Never));
    let mut upload = hub.speak_to(KITCHEN, "?initiator=tap", PCM);
    upload.send(&spoken(16_000, 0.5));
    assert_eq!(recognize(&hub, mark)["initiator"], json!({ "type": "TAP", "payload": {} }));
    hub.wait_attention(KITCHEN, "listening");
    // One at a time.
    let (status, problem) = hub.speak_to(KITCHEN, "", PCM).answer();
    assert_eq!((status, &problem["status"]), (409, &json!(409)));
    assert!(problem["detail"].as_str().unwrap().contains("listening already"), "{problem}");
    assert_eq!(upload.end().0, 204);
    hub.wait_attention(KITCHEN, "idle");
    hub.assert_no_violations();
}

#[test]
fn the_end_of_speech_comes_by_every_road() {
    let hub = hub();
    let long = |hub: &Hub| {
        let mut upload = hub.speak_to(KITCHEN, "?initiator=wakeword", PCM);
        upload.say_until(16_000, &spoken(16_000, 20.0), || false);
        upload.answer().0
    };
    let second = Stop::Bytes(16_000);
    let roads = [
        Script::text("volume 3").stop(second).untagged(),
        Script::text("volume 4").stop(second).road(antiphon_simulator::Road::Downchannel),
        Script::text("volume 5").stop(second).road(antiphon_simulator::Road::Downchannel).untagged(),
        Script::text("volume 6").stop(second).processing(),
        Script::text("volume 7").stop(second).new_dialog(),
    ];
    for (index, road) in roads.into_iter().enumerate() {
        let mark = hub.simulator().mark(KITCHEN);
        script(&hub, road);
        assert_eq!(long(&hub), 204);
        let hearing = hub.wait_hearing(KITCHEN, index, |h| h.ended.is_some());
        assert!(hearing.whole && hearing.stop_sent.is_some());
        let told = hub.event(KITCHEN, mark, "Speaker", "VolumeChanged");
        assert_eq!(told.payload()["volume"], (index + 3) * 10);
        hub.wait_attention(KITCHEN, "idle");
    }
    // It was no wake word, or nothing could be made of it.
    for (index, road) in [Script::false_wake(), Script::nothing()].into_iter().enumerate() {
        script(&hub, road);
        assert_eq!(long(&hub), 204);
        let hearing = hub.wait_hearing(KITCHEN, index + 5, |h| h.ended.is_some());
        assert!(hearing.whole);
        hub.wait_attention(KITCHEN, "idle");
    }
    hub.assert_no_violations();
}

#[test]
fn what_is_expected_is_echoed() {
    let hub = hub();
    let wanted = json!({ "type": "ANSWER", "payload": { "token": "t-1" } });
    let question = |initiator| {
        script(&hub, Script::directives(vec![hub.speech("q", 1)]).expect(Duration::from_secs(20), initiator));
        let mark = hub.simulator().mark(KITCHEN);
        held(&hub, 1.0);
        hub.event(KITCHEN, mark, "SpeechSynthesizer", "SpeechFinished");
        hub.wait_attention(KITCHEN, "expecting");
    };
    for initiator in [Some(wanted), None] {
        question(initiator.clone());
        let mark = hub.simulator().mark(KITCHEN);
        script(&hub, Script::text("volume 3"));
        assert_eq!(held(&hub, 1.0), 204);
        assert_eq!(recognize(&hub, mark).get("initiator"), initiator.as_ref());
        hub.wait_attention(KITCHEN, "idle");
    }
    // Nobody answers; what comes later is a request of its own.
    script(
        &hub,
        Script::directives(Vec::new()).expect(Duration::from_secs(1), Some(json!({ "type": "ANSWER" }))),
    );
    let mark = hub.simulator().mark(KITCHEN);
    held(&hub, 1.0);
    hub.event(KITCHEN, mark, "SpeechRecognizer", "ExpectSpeechTimedOut");
    hub.wait_attention(KITCHEN, "idle");
    let mark = hub.simulator().mark(KITCHEN);
    held(&hub, 1.0);
    assert_eq!(recognize(&hub, mark)["initiator"]["type"], "PRESS_AND_HOLD");
    hub.assert_no_violations();
}

#[test]
fn a_microphone_is_opened_when_speech_is_expected() {
    let live = |more: &str| {
        format!(
            "microphone = \"audiotestsrc is-live=true samplesperbuffer=160 {more} ! audio/x-raw,rate=16000\"\n"
        )
    };
    let (steady, ends, breaks) = (live(""), live("num-buffers=60"), live("! identity error-after=60"));
    let missing = "microphone = \"filesrc location=/nonexistent ! wavparse\"\n";
    let hub = Setup::new(&["steady", "ends", "breaks", "missing"])
        .speaker("steady", &steady)
        .speaker("ends", &ends)
        .speaker("breaks", &breaks)
        .speaker("missing", missing)
        .start();
    let expect = |timeout: u64| {
        let payload = json!({ "timeoutInMilliseconds": timeout, "initiator": { "type": "ANSWER" } });
        Outgoing::new("SpeechRecognizer", "ExpectSpeech", payload)
    };
    for id in ["steady", "ends", "breaks"] {
        let stop = if id == "steady" { Stop::Usual } else { Stop::Never };
        hub.simulator().answer_speech(id, Script::directives(vec![hub.speech("a", 1)]).stop(stop)).unwrap();
        hub.send_whole(id, expect(8000));
    }
    for id in ["steady", "ends", "breaks"] {
        let hearing = hub.wait_hearing(id, 0, |h| h.ended.is_some());
        let (ahead, behind) = (hearing.ahead(), hearing.behind());
        println!(
            "speech: microphone {id}: {:?} of sound, {ahead:?} ahead, {behind:?} behind",
            hearing.sound()
        );
        assert!(hearing.whole, "{id}: it ends as it should");
        let sound = hearing.sound();
        let enough = if id == "steady" {
            sound >= Duration::from_secs(1)
        } else {
            sound.as_millis().abs_diff(600) < 60
        };
        assert!(enough && ahead < Duration::from_millis(300), "{id}: {sound:?}");
        let payload = hub.event(id, 0, "SpeechRecognizer", "Recognize").payload().clone();
        assert_eq!(payload["initiator"], json!({ "type": "ANSWER" }));
        hub.event(id, 0, "SpeechSynthesizer", "SpeechFinished");
        hub.wait_attention(id, "idle");
    }
    // One that cannot be opened leaves a question that nobody answers.
    hub.send_whole("missing", expect(1500));
    hub.event("missing", 0, "SpeechRecognizer", "ExpectSpeechTimedOut");
    hub.wait_attention("missing", "idle");
    hub.assert_no_violations();
}

#[test]
fn the_program_speaks_from_a_file_and_from_standard_input() {
    let hub = hub();
    let file = hub.folder().join("said.wav");
    let samples = spoken(16_000, 1.2);
    let mut wav = wav_head(16_000);
    wav[4..8].copy_from_slice(&(36 + samples.len() as u32).to_le_bytes());
    wav[40..44].copy_from_slice(&(samples.len() as u32).to_le_bytes());
    wav.extend(&samples);
    std::fs::write(&file, &wav).unwrap();
    let done = hub.antiphon(&["listen", KITCHEN, file.to_str().unwrap(), "--hold"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let hearing = hub.wait_hearing(KITCHEN, 0, |h| h.ended.is_some());
    assert!(hearing.bytes.abs_diff(samples.len() as u64) < 640 && hearing.whole, "{}", hearing.bytes);
    assert!(hearing.audio[..32_000] == samples[..32_000], "the same samples");
    hub.event(KITCHEN, 0, "SpeechSynthesizer", "SpeechFinished");
    hub.wait_attention(KITCHEN, "idle");
    let mut child =
        hub.antiphon(&["listen", KITCHEN, "-", "--wake-word", "echo"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let mark = hub.simulator().mark(KITCHEN);
    // A pipe that stays open: enough is when Alexa says so.
    pipe.write_all(&spoken(16_000, 1.5)).unwrap();
    assert_eq!(recognize(&hub, mark)["initiator"]["payload"]["wakeWord"], "ECHO");
    let hearing = hub.wait_hearing(KITCHEN, 1, |h| h.ended.is_some());
    assert!(hearing.whole && hearing.stop_sent.is_some());
    drop(pipe);
    let ended = wait_for(PATIENCE, || child.try_wait().unwrap());
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    // Tones when they are set, and only then.
    hub.event(KITCHEN, mark, "SpeechSynthesizer", "SpeechFinished");
    hub.wait_attention(KITCHEN, "idle");
    let tones = "antiphon_actors_voices_started_total{speaker=\"kitchen\",voice=\"notification\"}";
    wait_metric(&hub, tones, 0.0);
    hub.say(KITCHEN, "wake word tone on");
    hub.event(KITCHEN, mark, "SpeechRecognizer", "WakeWordConfirmationReport");
    hub.say(KITCHEN, "speech tone on");
    hub.event(KITCHEN, mark, "SpeechRecognizer", "SpeechConfirmationReport");
    held(&hub, 1.0);
    wait_metric(&hub, tones, 2.0);
    hub.assert_no_violations();
}
