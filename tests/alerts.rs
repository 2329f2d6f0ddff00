//! Alarms, timers and reminders as they are heard: on time, at a volume of their own, from files or without, one at a
//! time, over music and under speech. Every speaker of a test has an alert of its own at the same time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_audio::chime;
use antiphon_domain::sound::BuiltIn;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::alarms::{alert, first_sound, in_seconds, level, millis, part, second, with_assets};
use support::analysis::{longest_gap, tone_level, tone_levels, total_level};
use support::calm::calmly;
use support::hub::{Hub, PATIENCE, RATE, Setup, Sound, level_at, play};
use support::patience::{eventually, wait_for};
use support::witness::Witness;

/// Product law: an alert begins within this of its second.
const ON_TIME: f64 = 50.0;

/// How far from its second an alert began, milliseconds; it must be on time.
fn lateness(hub: &Hub, witness: &Witness, id: &str, due: u64) -> (f64, f64) {
    let wanted = witness.frame_at(due);
    let from = wanted - f64::from(RATE) / 2.0;
    let begun = hub.wait_first_sound(id, from);
    let late = millis(wanted, begun);
    println!("{id}: first sample {late:+.2} ms from its second");
    assert!(late.abs() < ON_TIME, "{id} began {late:.1} ms late");
    (begun, late)
}

/// The first pass of a built-in tone was heard at this volume: every quarter of a second of it, to half a decibel.
fn assert_chime(sound: &Sound, begun: f64, tone: BuiltIn, volume: u64, seconds: f64) {
    let wanted: Vec<f32> =
        chime::render(tone).chunks_exact(2).map(|frame| f32::from(frame[0]) / 32_768.0).collect();
    let gain = 40.0 * (volume as f64 / 100.0).log10();
    let step = RATE as usize / 4;
    for (number, window) in wanted.chunks_exact(step).enumerate() {
        let after = number as f64 * 0.25;
        if after + 0.25 > seconds || total_level(window) < -50.0 {
            continue;
        }
        let (heard, wanted) = (level(sound, begun, after, 0.25), total_level(window) + gain);
        assert!((heard - wanted).abs() < 0.5, "{heard:.2} dBFS {after} s in, not {wanted:.2}");
    }
}

#[test]
fn heard_on_time_each_in_its_own_way() {
    calmly(|| {
        let witness = Witness::new();
        let plain = ["plain", "muted", "lost", "garbage", "stalled", "slow"];
        let all = [&plain[..], &["rising", "files"]].concat();
        let hub = Setup::new(&all).with_kind(witness.clone()).start();
        hub.set_alone(&[("muted", 0)]);
        hub.api("POST", "/api/speakers/muted/mute", json!({ "muted": true, "scope": "speaker" }));
        let mark = hub.simulator().mark("files");
        hub.say("rising", "alarm ramp on");
        hub.event("rising", 0, "Alerts", "AlarmVolumeRampReport");
        hub.send("muted", "Alerts", "SetVolume", json!({ "volume": 55 }));
        let told = hub.event("muted", 0, "Alerts", "VolumeChanged");
        assert_eq!(told.payload()["volume"], 55);

        let due = in_seconds(4.0);
        for id in ["plain", "muted"] {
            hub.set_alert(id, &alert("TIMER", id, due));
        }
        // A file that cannot be had, or not in time, or that is none, never silences an alarm.
        for (id, track) in
            [("lost", "404"), ("garbage", "garbage"), ("stalled", "stall"), ("slow", "slow-tone-660-9s.mp3")]
        {
            hub.set_alert(id, &with_assets(alert("TIMER", id, due), &hub, &[track]));
        }
        hub.set_alert("rising", &alert("ALARM", "rising", due));
        let tracks = ["tone-880-1s.wav", "tone-660-1s.wav"];
        let mut files = with_assets(alert("REMINDER", "files", due), &hub, &tracks);
        files["loopCount"] = json!(2);
        files["loopPauseInMilliSeconds"] = json!(500);
        hub.set_alert("files", &files);
        eventually("the files are fetched ahead", PATIENCE, || {
            tracks.iter().all(|track| hub.simulator().fetched(track).len() == 1)
        });

        for id in plain {
            let started = hub.event(id, 0, "Alerts", "AlertStarted");
            assert_eq!(second(&started.payload()["scheduledTime"]), due, "{id}");
            assert_eq!(second(&started.payload()["eventTime"]), due, "{id}");
            let (begun, _) = lateness(&hub, &witness, id, due);
            // Two seconds of it.
            eventually("it goes on", PATIENCE, || {
                hub.recording(id).end() as f64 > begun + 2.2 * f64::from(RATE)
            });
            assert_chime(&hub.recording(id), begun, BuiltIn::Timer, if id == "muted" { 55 } else { 40 }, 2.0);
        }
        files_in_order(&hub, &witness, due, mark);
        rises(&hub, &witness, due);
        ended_in_every_way(&hub);
        // A second pass needs no second file.
        assert!(tracks.iter().all(|track| hub.simulator().fetched(track).len() == 1));
        assert_eq!(hub.volume("muted"), Some(0), "its own volume is as it was");
        hub.assert_no_violations();
    });
}

/// Two files, a pause, and both again; then it ends by itself.
fn files_in_order(hub: &Hub, witness: &Witness, due: u64, mark: u64) {
    let (begun, _) = lateness(hub, witness, "files", due);
    let told = ["SetAlertSucceeded:files", "Started:files", "EnteredForeground:files", "Stopped:files"];
    hub.wait_alerts_told("files", mark, &told);
    let sound = hub.recording("files");
    for (after, hertz) in [(0.0, 880.0), (1.0, 660.0), (2.5, 880.0), (3.5, 660.0)] {
        let heard = tone_level(part(&sound, begun, after + 0.1, 0.8), RATE, hertz);
        assert!((heard - level_at(40)).abs() < 0.3, "{hertz} Hz {after} s in at {heard:.2} dBFS");
    }
    let (at, gap) = longest_gap(part(&sound, begun, 0.0, 4.4), level_at(40) - 30.0);
    let (at, gap) = (at as f64 / f64::from(RATE), gap as f64 / f64::from(RATE));
    println!("files: pause of {:.1} ms {at:.4} s in", gap * 1000.0);
    assert!((at - 2.0).abs() < 0.01 && (gap - 0.5).abs() < 0.01, "a pause of {gap} s {at} s in");
    assert_eq!(first_sound(&sound, begun + 4.6 * f64::from(RATE)), None, "silent afterwards");
    assert_eq!(hub.speaker("files")["device"]["alerts"], Value::Null);
}

/// An alarm that comes up slowly: a straight line from nothing to its volume within a minute, over all passes.
fn rises(hub: &Hub, witness: &Witness, due: u64) {
    let wanted = witness.frame_at(due);
    hub.event("rising", 0, "Alerts", "AlertStarted");
    // Its first samples are too soft to be told from silence: it is judged by how loud it has become when.
    eventually("six seconds of it", PATIENCE, || {
        hub.recording("rising").end() as f64 > wanted + 6.2 * f64::from(RATE)
    });
    let sound = hub.recording("rising");
    let pass: Vec<f32> = chime::render(BuiltIn::Alarm).chunks_exact(2).map(|f| f32::from(f[0])).collect();
    let mut seen = Vec::new();
    for quarter in 8..24_usize {
        let after = quarter as f64 * 0.25;
        let from = quarter * RATE as usize / 4 % pass.len();
        let Some(window) = pass.get(from..from + RATE as usize / 4) else { continue };
        let window: Vec<f32> = window.iter().map(|s| s / 32_768.0).collect();
        let full = total_level(&window) + 40.0 * 0.4_f64.log10();
        // Between notes there is too little of it to be judged in 16 bits.
        if full < -35.0 {
            continue;
        }
        let share = 10_f64.powf((level(&sound, wanted, after, 0.25) - full) / 20.0);
        seen.push((after + 0.125, share * 60.0));
    }
    println!("rising: share of full volume as seconds of sixty: {seen:.2?}");
    assert!(seen.len() > 4);
    for (at, share) in seen {
        assert!((share - at).abs() < 0.1 * at, "{share:.2}/60 of its volume {at:.2} s in");
    }
}

/// By the API's two ways, by the program, by Alexa in both ways.
fn ended_in_every_way(hub: &Hub) {
    let marks: Vec<u64> =
        ["plain", "muted", "lost", "garbage", "stalled", "slow"].map(|id| hub.simulator().mark(id)).to_vec();
    hub.api("POST", "/api/speakers/plain/alerts/stop", json!({}));
    hub.api("POST", "/api/speakers/muted/stop", json!({}));
    let done = hub.antiphon(&["alarms", "lost", "stop"]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    hub.say("garbage", "stop");
    hub.say("stalled", "cancel timers");
    hub.send("slow", "Alerts", "DeleteAlerts", json!({ "tokens": ["slow", "unknown"] }));
    hub.api("POST", "/api/speakers/rising/alerts/stop", json!({}));
    for (id, mark) in ["plain", "muted", "lost"].into_iter().zip(&marks) {
        hub.wait_alerts_told(id, *mark, &[&format!("Stopped:{id}")]);
    }
    for (id, mark) in ["garbage", "stalled"].into_iter().zip(&marks[3..]) {
        hub.wait_alerts_told(id, *mark, &[&format!("Stopped:{id}"), &format!("DeleteAlertSucceeded:{id}")]);
    }
    hub.event("slow", marks[5], "Alerts", "AlertStopped");
    let gone = hub.event("slow", marks[5], "Alerts", "DeleteAlertsSucceeded");
    assert_eq!(gone.payload()["tokens"], json!(["slow", "unknown"]));
    for id in ["plain", "muted", "lost", "garbage", "stalled", "slow", "rising"] {
        hub.wait_silent(id);
        assert!(!hub.rings(id), "{id}");
    }
}

#[test]
fn heard_beside_music_speech_and_each_other() {
    calmly(|| {
        let witness = Witness::new();
        let hub = Setup::new(&["kitchen", "shelf", "two", "sleepy"]).with_kind(witness.clone()).start();
        hub.set_alone(&[("kitchen", 60)]);
        let url = hub.simulator().track("tone-1000-60s.wav");
        let mut music = play("REPLACE_ALL", &url, "music", None);
        music["audioItem"]["stream"]["interruptedBehavior"] = json!("ATTENUATE");
        hub.send("kitchen", "AudioPlayer", "Play", music);
        hub.wait_level("kitchen", 1000.0, level_at(60));
        let due = in_seconds(4.0);
        let asset = ["tone-450-1s.wav"];
        hub.set_alert("kitchen", &with_assets(alert("TIMER", "kitchen", due), &hub, &asset));
        // One at a time: by time, then by token.
        for token in ["b", "a"] {
            hub.set_alert("two", &alert("TIMER", token, due));
        }
        hub.set_alert("sleepy", &alert("ALARM", "sleepy", due));
        under_speech(&hub, &witness);
        over_music(&hub);
        one_at_a_time(&hub);
        snoozed(&hub);
        hub.assert_no_violations();
    });
}

/// Falls due while Alexa speaks: its short form beneath, and the whole of it afterwards.
fn under_speech(hub: &Hub, witness: &Witness) {
    let text = "once upon a time there was a little hub that spoke for a very long while and would not end";
    let mark = hub.simulator().mark("shelf");
    hub.say("shelf", &format!("tell me {text} and on it went and on and on until the alarm had been heard"));
    hub.event("shelf", mark, "SpeechSynthesizer", "SpeechStarted");
    let due = in_seconds(2.0);
    let mut set = with_assets(alert("ALARM", "shelf", due), hub, &["tone-450-1s.wav"]);
    let behind = json!({ "assetId": "behind", "url": hub.simulator().track("tone-330-1s.wav") });
    set["assets"].as_array_mut().unwrap().push(behind);
    set["backgroundAlertAsset"] = json!("behind");
    hub.set_alert("shelf", &set);
    let mark = hub.simulator().mark("shelf");
    hub.wait_alerts_told("shelf", mark, &["Started:shelf", "EnteredBackground:shelf"]);
    hub.event("shelf", mark, "SpeechSynthesizer", "SpeechFinished");
    // The file for behind, at the alert volume, stepped back.
    let sound = hub.recording("shelf");
    let heard = tone_level(part(&sound, witness.frame_at(due), 0.1, 0.8), RATE, 330.0);
    assert!((heard - level_at(20)).abs() < 3.0, "{heard:.2} dBFS under speech");
    let told = ["Started:shelf", "EnteredBackground:shelf", "EnteredForeground:shelf"];
    hub.wait_alerts_told("shelf", mark, &told);
    hub.wait_level("shelf", 450.0, level_at(40));
    hub.api("POST", "/api/speakers/shelf/alerts/stop", json!({}));
    hub.event("shelf", mark, "Alerts", "AlertStopped");
    hub.wait_silent("shelf");
}

/// Music steps back within a tenth of a second as the alert begins, and returns within three tenths at its end.
fn over_music(hub: &Hub) {
    let sound = hub.recording("kitchen");
    let rate = f64::from(RATE);
    let music = |sound: &Sound| {
        let skip = sound.samples.iter().position(|s| *s != 0.0).unwrap();
        tone_levels(&sound.samples[skip..], RATE, 1000.0, 0.02)
            .into_iter()
            .map(|(at, level)| (at + (sound.origin as f64 + skip as f64) / rate, level))
            .collect::<Vec<_>>()
    };
    // The alert's own tone is in front at the volume of the music before, which is the louder one.
    let end = sound.end() as f64;
    let ringing = tone_level(part(&sound, end - rate, 0.0, 0.9), RATE, 450.0);
    assert!((ringing - level_at(60)).abs() < 0.5, "the alert is at {ringing:.2} dBFS");
    let rang = first_above(&sound, 450.0, -35.0);
    let first = tone_level(part(&sound, rang, 0.0, 0.1), RATE, 450.0);
    assert!((first - level_at(60)).abs() < 0.5, "from its first sample on, not {first:.2} dBFS");
    let levels = music(&sound);
    let left = levels.iter().rposition(|(_, l)| (l - level_at(60)).abs() < 0.5).unwrap();
    let there = levels[left..].iter().position(|(_, l)| (l - level_at(20)).abs() < 0.5).unwrap();
    let took = levels[left + there].0 - levels[left].0;
    let begun = sound.between((levels[left].0 * rate) as u64, end as u64);
    let rung = begun.chunks_exact(RATE as usize / 100).position(|part| tone_level(part, RATE, 450.0) > -30.0);
    let apart = rung.unwrap() as f64 / 100.0;
    println!(
        "music ducks by {:.2} dB within {took:.2} s; the alert begins {apart:.2} s after it began to",
        level_at(60) - level_at(20)
    );
    assert!((0.06..=0.16).contains(&took), "ducked within {took:.2} s");
    assert!(apart < 0.08, "the alert begins {apart} s after the music steps back");
    assert!(levels[left + there..].iter().all(|(_, l)| (l - level_at(20)).abs() < 0.5), "stays there");

    let mark = hub.simulator().mark("kitchen");
    hub.say("kitchen", "stop");
    hub.wait_alerts_told("kitchen", mark, &["Stopped:kitchen", "DeleteAlertSucceeded:kitchen"]);
    hub.wait_level("kitchen", 1000.0, level_at(60));
    let levels = music(&hub.recording("kitchen"));
    let left = levels.iter().rposition(|(_, l)| (l - level_at(20)).abs() < 0.5).unwrap();
    let back = levels[left..].iter().position(|(_, l)| (l - level_at(60)).abs() < 0.3).unwrap();
    let took = levels[left + back].0 - levels[left].0;
    println!("music is back within {took:.2} s");
    assert!((0.2..=0.42).contains(&took), "back within {took:.2} s");
    assert_eq!(hub.events("kitchen", mark, "AudioPlayer"), Vec::<String>::new(), "the music never stopped");
}

/// The frame, to a hundredth of a second, from which on a tone is heard.
fn first_above(sound: &Sound, hertz: f64, dbfs: f64) -> f64 {
    let window = RATE as usize / 50;
    let parts = sound.samples.windows(window).step_by(window / 2);
    let found = parts.map(|part| tone_level(part, RATE, hertz)).position(|level| level > dbfs);
    sound.origin as f64 + ((found.unwrap() + 1) * window / 2) as f64
}

fn one_at_a_time(hub: &Hub) {
    let mark = 0;
    let told = ["SetAlertSucceeded:b", "SetAlertSucceeded:a", "Started:a", "EnteredForeground:a"];
    hub.wait_alerts_told("two", mark, &told);
    let active = hub.ask("GET", "/api/speakers/two/alerts", None).1["alerts"].clone();
    assert_eq!(active.as_array().unwrap().len(), 2);
    hub.api("POST", "/api/speakers/two/alerts/stop", json!({}));
    hub.wait_alerts_told(
        "two",
        mark,
        &[&told[..], &["Stopped:a", "Started:b", "EnteredForeground:b"]].concat(),
    );
    hub.api("POST", "/api/speakers/two/alerts/stop", json!({}));
    eventually("the second ends too", PATIENCE, || {
        hub.alerts_told("two", mark).last().is_some_and(|told| told == "Stopped:b")
    });
    hub.wait_silent("two");
}

/// Put off while it rings: silent, then again at its new time, all by one token.
fn snoozed(hub: &Hub) {
    let mark = hub.simulator().mark("sleepy");
    assert!(hub.rings("sleepy"));
    let asked = Instant::now();
    hub.say("sleepy", "snooze 3 seconds");
    eventually("it is put off", PATIENCE, || !hub.rings("sleepy"));
    hub.wait_silent("sleepy");
    assert!(asked.elapsed() < Duration::from_secs(3), "silent before it rings again");
    let again = hub.event("sleepy", mark, "Alerts", "AlertStarted");
    let set = wait_for(PATIENCE, || {
        let entries = hub.simulator().transcript("sleepy");
        entries.into_iter().rfind(|e| e.is_directive("Alerts", "SetAlert"))
    });
    let due = second(&set.unwrap().payload()["scheduledTime"]);
    assert_eq!(second(&again.payload()["eventTime"]), due);
    assert_eq!(second(&again.payload()["scheduledTime"]), due);
    let told = hub.alerts_told("sleepy", mark);
    let at = |name: &str| told.iter().position(|t| *t == format!("{name}:sleepy")).unwrap();
    assert!(at("Stopped") < at("Started") && at("SetAlertSucceeded") < at("Started"), "{told:?}");
    hub.wait_heard("sleepy");
    hub.api("POST", "/api/speakers/sleepy/alerts/stop", json!({}));
    hub.wait_silent("sleepy");
}
