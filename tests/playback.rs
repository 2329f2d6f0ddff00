//! Playing, stopping and failing through the front door: Play directives in, events and captured sound out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_simulator::{Answer, Outgoing};
use serde_json::{Value, json};
use support::analysis::{SILENCE, is_tone, tone_level};
use support::calm::calmly;
use support::hub::{Hub, RATE, Setup, Sound, level_at, play};
use support::patience::wait_for;

/// What is told of a stream once in its life; reports, titles and stutters come beside it.
const LIFE: [&str; 7] = [
    "PlaybackStarted",
    "PlaybackNearlyFinished",
    "PlaybackFinished",
    "PlaybackStopped",
    "PlaybackFailed",
    "PlaybackQueueCleared",
    "PlaybackPaused",
];

/// Name without `Playback`, and token, of what was told since `mark`.
fn lives(hub: &Hub, id: &str, mark: u64) -> Vec<(String, String)> {
    let entries = hub.simulator().transcript(id);
    let ours = entries
        .iter()
        .filter(|e| e.index >= mark && LIFE.contains(&e.name.as_str()) && e.is_event("AudioPlayer", &e.name));
    ours.map(|e| {
        (e.name.trim_start_matches("Playback").into(), e.payload()["token"].as_str().unwrap_or("").into())
    })
    .collect()
}

/// Waits until exactly this was told: `Started:a` and so on.
fn told(hub: &Hub, id: &str, mark: u64, expected: &[&str]) {
    let mut last = Vec::new();
    let found = wait_for(support::hub::PATIENCE, || {
        last = lives(hub, id, mark).into_iter().map(|(name, token)| format!("{name}:{token}")).collect();
        // What is not expected is seen at once, what is missing is waited for.
        (last == expected || !expected.starts_with(&last.iter().map(String::as_str).collect::<Vec<_>>()))
            .then_some(())
    });
    assert!(found.is_some() && last == expected, "{id} told {last:?}, not {expected:?}");
}

fn offset(hub: &Hub, id: &str, mark: u64, name: &str) -> u64 {
    hub.event(id, mark, "AudioPlayer", name).payload()["offsetInMilliseconds"].as_u64().unwrap()
}

/// Sends a Play of a tone of the simulator.
fn tone(hub: &Hub, id: &str, behavior: &str, token: &str, track: &str, previous: Option<&str>) {
    hub.send(id, "AudioPlayer", "Play", play(behavior, &hub.simulator().track(track), token, previous));
}

#[test]
fn heard_a_stream_from_beginning_to_end() {
    calmly(a_stream_from_beginning_to_end);
}

fn a_stream_from_beginning_to_end() {
    let hub = Setup::new(&["kitchen"]).start();
    let mark = hub.simulator().mark("kitchen");
    tone(&hub, "kitchen", "REPLACE_ALL", "a", "tone-997-3s.wav", None);
    told(&hub, "kitchen", mark, &["Started:a", "NearlyFinished:a", "Finished:a"]);
    assert_eq!(offset(&hub, "kitchen", mark, "PlaybackStarted"), 0);
    assert!(offset(&hub, "kitchen", mark, "PlaybackFinished").abs_diff(3000) < 100);
    let sound = hub.recording("kitchen").samples;
    let heard = support::analysis::sounding(&sound, -60.0).unwrap();
    let seconds = heard.len() as f64 / f64::from(RATE);
    assert!((seconds - 3.0).abs() < 0.05, "{seconds} s");
    // Nobody said how loud: the safe level.
    let middle = &sound[heard.start + RATE as usize / 2..heard.end - RATE as usize / 2];
    assert!(is_tone(middle, RATE, 997.0));
    let level = tone_level(middle, RATE, 997.0);
    assert!((level - level_at(40)).abs() < 0.2, "{level} dBFS");
    hub.assert_no_violations();
}

#[test]
fn heard_three_behaviours() {
    calmly(three_behaviours);
}

fn three_behaviours() {
    let hub = Setup::new(&["kitchen"]).start();
    let mark = hub.simulator().mark("kitchen");
    tone(&hub, "kitchen", "REPLACE_ALL", "a", "tone-440.wav", None);
    hub.wait_level("kitchen", 440.0, level_at(40));
    tone(&hub, "kitchen", "ENQUEUE", "b", "tone-550.wav", Some("a"));
    // Replaces b only.
    tone(&hub, "kitchen", "REPLACE_ENQUEUED", "c", "tone-660-2s.wav", None);
    hub.listen("kitchen", RATE as usize / 2);
    hub.wait_level("kitchen", 440.0, level_at(40));
    // Replaces both.
    tone(&hub, "kitchen", "REPLACE_ALL", "d", "tone-770-2s.wav", None);
    hub.wait_level("kitchen", 770.0, level_at(40));
    tone(&hub, "kitchen", "ENQUEUE", "e", "tone-880-2s.wav", Some("d"));
    hub.wait_level("kitchen", 880.0, level_at(40));
    told(
        &hub,
        "kitchen",
        mark,
        &[
            "Started:a",
            "Stopped:a",
            "Started:d",
            "NearlyFinished:d",
            "Finished:d",
            "Started:e",
            "NearlyFinished:e",
            "Finished:e",
        ],
    );
    // Neither b nor c was ever heard.
    for hertz in [550.0, 660.0] {
        let sound = hub.recording("kitchen").samples;
        let loudest = support::analysis::tone_levels(&sound, RATE, hertz, 0.25).into_iter().map(|(_, l)| l);
        assert!(loudest.fold(SILENCE, f64::max) < -40.0, "{hertz}");
    }
    hub.assert_no_violations();
}

#[test]
fn heard_no_gap_between_streams() {
    calmly(no_gap_between_streams);
}

fn no_gap_between_streams() {
    let hub = Setup::new(&["kitchen"]).start();
    let mark = hub.simulator().mark("kitchen");
    // Whole periods: the second begins where the first would have gone on.
    tone(&hub, "kitchen", "REPLACE_ALL", "a", "tone-441-2s.wav", None);
    tone(&hub, "kitchen", "ENQUEUE", "b", "tone-441-2s.wav", Some("a"));
    tone(&hub, "kitchen", "ENQUEUE", "c", "tone-441-1s.wav", Some("b"));
    hub.wait(hub.simulator().wait_for(
        "kitchen",
        mark,
        |e| e.name == "PlaybackFinished" && e.payload()["token"] == "c",
        support::hub::PATIENCE,
    ))
    .unwrap();
    let sound = hub.recording("kitchen").samples;
    let heard = support::analysis::sounding(&sound, -60.0).unwrap();
    let sound = &sound[heard.start + 441..heard.end - 441];
    let seconds = (heard.end - heard.start) as f64 / f64::from(RATE);
    assert!((seconds - 5.0).abs() < 0.02, "{seconds} s");
    let (_, gap) = support::analysis::longest_gap(sound, level_at(40) - 20.0);
    let (place, jump) = support::analysis::largest_jump(sound, RATE, 441.0);
    assert!(gap < 20 && jump < 3e-6, "{gap} samples silent; {jump} s out of place at {place}");
    hub.assert_no_violations();
}

#[test]
fn heard_a_piece_of_a_stream() {
    calmly(a_piece_of_a_stream);
}

fn a_piece_of_a_stream() {
    let hub = Setup::new(&["kitchen"]).start();
    let mark = hub.simulator().mark("kitchen");
    let mut payload = play("REPLACE_ALL", &hub.simulator().track("tone-440-5s.wav"), "a", None);
    payload["audioItem"]["stream"]["offsetInMilliseconds"] = json!(2000);
    payload["audioItem"]["stream"]["endOffsetInMilliseconds"] = json!(3500);
    // The next comes as the answer to the event that asks for it.
    let next = play("ENQUEUE", &hub.simulator().track("tone-660-1s.wav"), "b", Some("a"));
    let answer = Answer::directives(vec![Outgoing::new("AudioPlayer", "Play", next)]);
    hub.simulator().answer_next("kitchen", "AudioPlayer", "PlaybackNearlyFinished", answer);
    hub.send("kitchen", "AudioPlayer", "Play", payload);
    told(
        &hub,
        "kitchen",
        mark,
        &["Started:a", "NearlyFinished:a", "Finished:a", "Started:b", "NearlyFinished:b", "Finished:b"],
    );
    assert_eq!(offset(&hub, "kitchen", mark, "PlaybackStarted"), 2000);
    assert!(offset(&hub, "kitchen", mark, "PlaybackFinished").abs_diff(3500) < 100);
    let sound = hub.recording("kitchen").samples;
    let heard = support::analysis::sounding(&sound, -60.0).unwrap();
    let seconds = heard.len() as f64 / f64::from(RATE);
    assert!((seconds - 2.5).abs() < 0.05, "{seconds} s");
    let (place, gap) = support::analysis::longest_gap(&sound[heard], level_at(40) - 20.0);
    assert!(gap < 40, "{gap} samples of silence at {place}");
    hub.assert_no_violations();
}

#[test]
fn heard_stop_and_clear() {
    calmly(stop_and_clear);
}

fn stop_and_clear() {
    let hub = Setup::new(&["kitchen"]).start();
    let mut mark = hub.simulator().mark("kitchen");
    tone(&hub, "kitchen", "REPLACE_ALL", "a", "tone-440.wav", None);
    hub.wait_level("kitchen", 440.0, level_at(40));
    tone(&hub, "kitchen", "ENQUEUE", "b", "tone-550.wav", Some("a"));
    hub.send("kitchen", "AudioPlayer", "Stop", json!({}));
    told(&hub, "kitchen", mark, &["Started:a", "Stopped:a"]);
    // What it says it played is what was heard.
    let stopped = offset(&hub, "kitchen", mark, "PlaybackStopped");
    wait_for(support::hub::PATIENCE, || (hub.speaker("kitchen")["playing"] == false).then_some(())).unwrap();
    let sound = hub.recording("kitchen").samples;
    let heard = support::analysis::sounding(&sound, -60.0).unwrap().len() as u64 * 1000 / u64::from(RATE);
    assert!(stopped.abs_diff(heard) < 250, "told {stopped} ms, heard {heard} ms");
    // An answer to what was stopped comes too late and is dropped; nothing plays, so a stop says nothing.
    mark = hub.simulator().mark("kitchen");
    tone(&hub, "kitchen", "ENQUEUE", "late", "tone-550.wav", Some("a"));
    hub.send("kitchen", "AudioPlayer", "Stop", json!({}));
    // Clearing everything tells so even when there is nothing.
    hub.send("kitchen", "AudioPlayer", "ClearQueue", json!({ "clearBehavior": "CLEAR_ALL" }));
    told(&hub, "kitchen", mark, &["QueueCleared:"]);
    mark = hub.simulator().mark("kitchen");
    tone(&hub, "kitchen", "REPLACE_ALL", "c", "tone-440-3s.wav", None);
    tone(&hub, "kitchen", "ENQUEUE", "d", "tone-550.wav", Some("c"));
    // Somebody else's order: dropped without a word.
    tone(&hub, "kitchen", "ENQUEUE", "e", "tone-660.wav", Some("nobody"));
    hub.event("kitchen", mark, "AudioPlayer", "PlaybackStarted");
    hub.send("kitchen", "AudioPlayer", "ClearQueue", json!({ "clearBehavior": "CLEAR_ENQUEUED" }));
    hub.event("kitchen", mark, "AudioPlayer", "PlaybackFinished");
    let all: Vec<String> =
        lives(&hub, "kitchen", mark).into_iter().map(|(n, t)| format!("{n}:{t}")).collect();
    assert_eq!(all.first().map(String::as_str), Some("Started:c"));
    assert_eq!(all.last().map(String::as_str), Some("Finished:c"));
    assert!(all.contains(&"QueueCleared:".into()) && all.len() == 4, "{all:?}");
    mark = hub.simulator().mark("kitchen");
    tone(&hub, "kitchen", "REPLACE_ALL", "f", "tone-440.wav", None);
    hub.event("kitchen", mark, "AudioPlayer", "PlaybackStarted");
    hub.send("kitchen", "AudioPlayer", "ClearQueue", json!({ "clearBehavior": "CLEAR_ALL" }));
    told(&hub, "kitchen", mark, &["Started:f", "Stopped:f", "QueueCleared:"]);
    hub.assert_no_violations();
}

#[test]
fn what_cannot_be_played_is_told_with_its_type() {
    let hub = Setup::new(&["kitchen"]).start();
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/a.mp3", listener.local_addr().unwrap())
    };
    let track = |name: &str| hub.simulator().track(name);
    for (url, expected) in [
        (track("404"), vec!["MEDIA_ERROR_INVALID_REQUEST"]),
        (track("500"), vec!["MEDIA_ERROR_INTERNAL_SERVER_ERROR"]),
        (closed, vec!["MEDIA_ERROR_SERVICE_UNAVAILABLE"]),
        (track("garbage"), vec!["MEDIA_ERROR_INTERNAL_DEVICE_ERROR", "MEDIA_ERROR_UNKNOWN"]),
    ] {
        let mark = hub.simulator().mark("kitchen");
        hub.send("kitchen", "AudioPlayer", "Play", play("REPLACE_ALL", &url, "bad", None));
        let failed = hub.event("kitchen", mark, "AudioPlayer", "PlaybackFailed");
        let payload = failed.payload();
        assert!(expected.iter().any(|kind| payload["error"]["type"] == *kind), "{url}: {payload:#}");
        assert_eq!(payload["token"], "bad");
        assert!(payload["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{payload:#}");
        told(&hub, "kitchen", mark, &["Failed:bad"]);
    }
    // A failure is not the end.
    let mark = hub.simulator().mark("kitchen");
    tone(&hub, "kitchen", "REPLACE_ALL", "good", "tone-440-1s.wav", None);
    told(&hub, "kitchen", mark, &["Started:good", "NearlyFinished:good", "Finished:good"]);
    hub.assert_no_violations();
}

#[test]
fn heard_progress_is_reported_on_time() {
    calmly(progress_is_reported_on_time);
}

fn progress_is_reported_on_time() {
    let hub = Setup::new(&["kitchen"]).start();
    let reports = |delay: u64, interval: u64, offset: u64| {
        let mark = hub.simulator().mark("kitchen");
        let mut payload = play("REPLACE_ALL", &hub.simulator().track("tone-440-3s.wav"), "a", None);
        payload["audioItem"]["stream"]["offsetInMilliseconds"] = json!(offset);
        payload["audioItem"]["stream"]["progressReport"] = json!({
            "progressReportDelayInMilliseconds": delay,
            "progressReportIntervalInMilliseconds": interval,
        });
        hub.send("kitchen", "AudioPlayer", "Play", payload);
        assert_eq!(self::offset(&hub, "kitchen", mark, "PlaybackStarted"), offset);
        hub.event("kitchen", mark, "AudioPlayer", "PlaybackFinished");
        let entries = hub.simulator().transcript("kitchen");
        let ours = entries.iter().filter(|e| e.index >= mark && e.name.starts_with("ProgressReport"));
        let kind = |name: &str| if name.contains("Delay") { 'd' } else { 'i' };
        ours.map(|e| (kind(&e.name), e.payload()["offsetInMilliseconds"].as_u64().unwrap()))
            .collect::<Vec<_>>()
    };
    let near = |found: Vec<(char, u64)>, expected: &[(char, u64)]| {
        let fits = |(f, e): (&(char, u64), &(char, u64))| f.0 == e.0 && f.1.abs_diff(e.1) < 150;
        let all = found.len() == expected.len() && found.iter().zip(expected).all(fits);
        assert!(all, "{found:?}, not {expected:?}");
    };
    near(reports(500, 800, 0), &[('d', 500), ('i', 800), ('i', 1600), ('i', 2400)]);
    // Positions count from the stream's beginning; a delay that is over never comes.
    near(reports(500, 800, 1000), &[('i', 1600), ('i', 2400)]);
    hub.assert_no_violations();
}

const THREE: [&str; 3] = ["kitchen", "shelf", "sofa"];

/// What all of them have played of the same moments, latest common beginning to earliest end.
fn common(hub: &Hub) -> Vec<Vec<f32>> {
    let sounds: Vec<Sound> = THREE.iter().map(|id| hub.recording(id)).collect();
    let from = sounds.iter().map(|s| s.origin).max().unwrap();
    let to = sounds.iter().map(Sound::end).min().unwrap();
    sounds.iter().map(|s| s.between(from, to).to_vec()).collect()
}

#[test]
fn heard_on_all_members_at_the_same_sample() {
    calmly(on_all_members_at_the_same_sample);
}

fn on_all_members_at_the_same_sample() {
    let hub = Setup::new(&THREE).grouped().start();
    let marks = THREE.map(|id| hub.simulator().mark(id));
    tone(&hub, "shelf", "REPLACE_ALL", "a", "tone-440.wav", None);
    for id in THREE {
        hub.wait_level(id, 440.0, level_at(40));
    }
    hub.listen("kitchen", RATE as usize);
    let sounds = common(&hub);
    assert!(sounds[0].len() > RATE as usize);
    assert!(sounds[0] == sounds[1] && sounds[1] == sounds[2], "the members differ");
    // A Play at another member is the later wish: the first is told that it was stopped.
    tone(&hub, "sofa", "REPLACE_ALL", "b", "tone-660.wav", None);
    told(&hub, "shelf", marks[1], &["Started:a", "Stopped:a"]);
    for id in THREE {
        hub.wait_level(id, 660.0, level_at(40));
    }
    // Then a person's, then nobody's.
    hub.api("POST", "/api/groups/all/play", json!({ "url": hub.simulator().track("tone-880.wav") }));
    told(&hub, "sofa", marks[2], &["Started:b", "Stopped:b"]);
    hub.wait_level("kitchen", 880.0, level_at(40));
    hub.api("POST", "/api/speakers/sofa/stop", json!({}));
    hub.wait_picture("nothing plays", |p| {
        p["speakers"].as_array().unwrap().iter().all(|s| s["playing"] == false)
    });
    // Only the one whose content it is tells of it.
    told(&hub, "kitchen", marks[0], &[]);
    told(&hub, "shelf", marks[1], &["Started:a", "Stopped:a"]);
    hub.assert_no_violations();
}

#[test]
fn heard_a_late_joiner_is_in_time() {
    calmly(a_late_joiner_is_in_time);
}

fn a_late_joiner_is_in_time() {
    let hub = Setup::new(&THREE).start();
    tone(&hub, "kitchen", "REPLACE_ALL", "a", "tone-997.wav", None);
    hub.wait_level("kitchen", 997.0, level_at(40));
    hub.api("PUT", "/api/groups/all", json!({ "speakers": ["kitchen", "shelf", "sofa"] }));
    let asked = std::time::Instant::now();
    for id in ["shelf", "sofa"] {
        hub.wait_level(id, 997.0, level_at(40));
    }
    let took = asked.elapsed();
    assert!(took.as_secs_f64() < 2.0, "heard after {took:?}");
    hub.listen("sofa", RATE as usize);
    let sounds = common(&hub);
    // Joiners may fade in; from then on they are the same.
    let settled: Vec<&[f32]> = sounds.iter().map(|s| &s[RATE as usize / 10..]).collect();
    assert!(settled[0] == settled[1] && settled[1] == settled[2], "the members differ");
    let (place, jump) = support::analysis::largest_jump(settled[0], RATE, 997.0);
    assert!(jump < 3e-6, "the first member was moved by {jump} s at {place}");
    let picture: Value = hub.picture();
    assert_eq!(picture["groups"][0]["content"]["leader"], "kitchen");
    hub.assert_no_violations();
}
