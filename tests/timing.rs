//! When speakers are heard, through the front door: offsets, groups of low latency, and how well it is seen to go.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_endpoint::{ClockReading, Corrections, EndpointEvent, Pace, SyncReport, TimingError};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;
use support::analysis::longest_gap;
use support::calm::calmly;
use support::hub::{Hub, PATIENCE, RATE, Setup};
use support::patience::{eventually, wait_for};
use support::puppet::Puppet;

/// By how many frames `b` is later than `a`, in the last half second that both have played: the very same samples, so
/// exact. `None` where they are not the same.
fn frames_later(hub: &Hub, a: &str, b: &str) -> Option<i64> {
    let (a, b) = (hub.recording(a), hub.recording(b));
    let most = 3_000;
    let end = a.end().min(b.end()).checked_sub(most)?;
    let from = end.checked_sub(u64::from(RATE) / 2)?;
    let heard = a.between(from, end);
    if heard.len() < RATE as usize / 4 || heard.iter().all(|s| *s == 0.0) {
        return None;
    }
    let mut lags: Vec<i64> = (-(most as i64)..=most as i64).collect();
    lags.sort_by_key(|lag| lag.abs());
    lags.into_iter().find(|lag| {
        let at = from.saturating_add_signed(*lag);
        let moved = b.between(at, at + (end - from));
        moved.len() == heard.len() && moved.iter().zip(heard).all(|(x, y)| (x - y).abs() < 1e-4)
    })
}

fn wait_later(hub: &Hub, by: i64) {
    let mut last = None;
    let found = wait_for(PATIENCE, || {
        last = frames_later(hub, "kitchen", "sofa");
        // Due times are in nanoseconds, files in frames.
        last.filter(|frames| (frames - by).abs() <= 1)
    });
    assert!(found.is_some(), "the sofa is heard {last:?} frames later, not {by}");
}

#[test]
fn heard_an_offset_moves_one_speaker_and_nobody_else() {
    calmly(an_offset_moves_one_speaker);
}

fn an_offset_moves_one_speaker() {
    let mut hub = Setup::new(&["kitchen", "sofa"]).grouped().program().start();
    let url = hub.simulator().track("demo.wav");
    hub.api("POST", "/api/groups/all/play", json!({ "url": url }));
    wait_later(&hub, 0);
    hub.api("PUT", "/api/speakers/sofa/offset", json!({ "offset_ms": 12 }));
    wait_later(&hub, 529);
    assert!(hub.antiphon(&["offset", "sofa", "-20"]).status().unwrap().success());
    wait_later(&hub, -882);
    // The one heard no gap at all, the other two of as much as it was moved.
    let (kitchen, sofa) = (hub.recording("kitchen").samples, hub.recording("sofa").samples);
    let begun = |sound: &[f32]| sound.iter().position(|s| *s != 0.0).unwrap();
    let (at, gap) = longest_gap(&kitchen[begun(&kitchen)..], -90.0);
    assert!(gap < 100, "the kitchen was silent for {gap} frames at {at}");
    let (at, gap) = longest_gap(&sofa[begun(&sofa)..], -90.0);
    assert!(gap < 530 + 352, "the sofa was silent for {gap} frames at {at}");
    // It outlives the hub ...
    hub.end(Signal::KILL);
    hub.start_again();
    hub.wait_linked();
    assert_eq!(hub.speaker("sofa")["offset_ms"], -20);
    let shown = hub.antiphon(&["offset", "sofa"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stdout), "-20 ms\n");
    // ... and is in force from the first sample on.
    let url = hub.simulator().track("demo.wav");
    hub.api("POST", "/api/groups/all/play", json!({ "url": url }));
    wait_later(&hub, -882);
    let (status, problem) = hub.ask("PUT", "/api/speakers/sofa/offset", Some(json!({ "offset_ms": 1001 })));
    assert_eq!(
        (status, problem["detail"].as_str()),
        (400, Some("offset_ms: expected -1000 to 1000, found 1001"))
    );
    hub.assert_no_violations();
}

#[test]
fn an_offset_can_be_configured() {
    let hub = Setup::new(&["sofa"]).speaker("sofa", "offset_ms = -35").start();
    assert_eq!(hub.speaker("sofa")["offset_ms"], -35);
    hub.api("PUT", "/api/speakers/sofa/offset", json!({ "offset_ms": 0 }));
    eventually("what a person set counts", PATIENCE, || hub.speaker("sofa")["offset_ms"] == 0);
}

#[test]
fn a_group_is_quick_where_every_member_can() {
    let puppet = Puppet::new();
    puppet.state().slow.insert("attic".into());
    let hub = Setup::new(&["kitchen", "sofa", "attic"]).with_kind(puppet.clone()).start();
    let play = |place: &str| {
        let url = hub.simulator().track("demo.wav");
        hub.api("POST", &format!("{place}/play"), json!({ "url": url }));
    };
    let low_latency = |group: &str| -> Value {
        let sync = hub.ask("GET", "/api/sync", None).1;
        let groups = sync["groups"].as_array().cloned().unwrap_or_default();
        groups.into_iter().find(|g| g["id"] == group).map(|g| g["low_latency"].clone()).unwrap_or_default()
    };
    hub.api("PUT", "/api/groups/down", json!({ "speakers": ["kitchen", "sofa"] }));
    play("/api/groups/down");
    hub.wait_picture("both play", |_| {
        ["kitchen", "sofa"].iter().all(|id| hub.speaker(id)["playing"] == true)
    });
    assert_eq!((puppet.paces("kitchen"), puppet.paces("sofa")), (vec![Pace::Steady], vec![Pace::Steady]));
    assert_eq!(hub.speaker("sofa")["sync"]["lead_ms"], 600);
    // Quick is what begins next: what plays goes on unbroken.
    hub.api("PUT", "/api/groups/down/low-latency", json!({ "on": true }));
    assert_eq!(low_latency("down"), json!({ "active": true }));
    assert_eq!(puppet.paces("sofa"), [Pace::Steady]);
    play("/api/groups/down");
    eventually("opened anew", PATIENCE, || puppet.paces("sofa") == [Pace::Steady, Pace::Quick]);
    eventually("shown", PATIENCE, || hub.speaker("sofa")["sync"]["pace"] == "quick");
    assert_eq!(hub.speaker("sofa")["sync"]["lead_ms"], 120);
    // One that cannot keeps the group from it, and it says so; the others go on as they are.
    hub.api("PUT", "/api/groups/down", json!({ "speakers": ["kitchen", "sofa", "attic"] }));
    assert_eq!(low_latency("down"), json!({ "active": false, "why": "attic (puppet) needs 600 ms" }));
    hub.wait_picture("it joins", |_| hub.speaker("attic")["playing"] == true);
    assert_eq!(puppet.paces("sofa").len(), 2);
    let said = hub.antiphon(&["low-latency", "down"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "down: not yet: attic (puppet) needs 600 ms\n");
    play("/api/groups/down");
    eventually("steady again", PATIENCE, || puppet.paces("sofa").last() == Some(&Pace::Steady));
    // Without it the group is quick again.
    hub.api("PUT", "/api/groups/down", json!({ "speakers": ["kitchen", "sofa"] }));
    assert_eq!(low_latency("down"), json!({ "active": true }));
    hub.api("PUT", "/api/groups/down/low-latency", json!({ "on": false }));
    assert_eq!(low_latency("down"), Value::Null);
    hub.assert_no_violations();
}

/// The lines of the metrics page that begin so.
fn series(hub: &Hub, begin: &str) -> Vec<String> {
    hub.metrics().lines().filter(|line| line.starts_with(begin)).map(String::from).collect()
}

#[test]
fn how_well_a_speaker_keeps_time_is_seen_as_far_as_it_tells() {
    let puppet = Puppet::new();
    let hub = Setup::new(&["kitchen", "sofa"]).with_kind(puppet.clone()).grouped().start();
    assert_eq!(series(&hub, "antiphon_sync_"), Vec::<String>::new());
    let url = hub.simulator().track("demo.wav");
    hub.api("POST", "/api/groups/all/play", json!({ "url": url }));
    hub.wait_picture("both play", |_| {
        ["kitchen", "sofa"].iter().all(|id| hub.speaker(id)["playing"] == true)
    });
    let clock =
        ClockReading { offset_nanos: 123, uncertainty: Duration::from_micros(40), drift_ppm: Some(-12.5) };
    let error = TimingError { nanos: -150_000, uncertainty: Duration::from_micros(20) };
    let corrections = Some(Corrections { rate: 1, reanchored: 2 });
    let report = SyncReport { error: Some(error), clock: Some(clock), corrections };
    assert!(puppet.tell("kitchen", EndpointEvent::Sync(report)));
    assert!(puppet.tell("kitchen", EndpointEvent::Sync(report)));
    assert!(puppet.tell("kitchen", EndpointEvent::Underrun { blocks: 3 }));
    eventually("counted", PATIENCE, || hub.speaker("kitchen")["sync"]["underruns"] == 3);
    let sync = hub.ask("GET", "/api/sync", None).1;
    let told = json!({
        "lead_ms": 600, "pace": "steady", "error_us": -150.0, "uncertainty_us": 20.0, "clock_uncertainty_us": 40.0,
        "drift_ppm": -12.5, "corrections": { "rate": 2, "reanchored": 4 }, "underruns": 3,
    });
    assert_eq!(sync["speakers"][0]["sync"], told);
    assert_eq!(sync["speakers"][1]["sync"], json!({ "lead_ms": 600, "pace": "steady", "underruns": 0 }));
    let has = |line: &str| series(&hub, "antiphon_sync_").contains(&line.to_owned());
    let kitchen = "kind=\"puppet\",speaker=\"kitchen\"";
    assert!(has(&format!("antiphon_sync_error_seconds_bucket{{{kitchen},le=\"0.0001\"}} 0")));
    assert!(has(&format!("antiphon_sync_error_seconds_bucket{{{kitchen},le=\"0.0002\"}} 2")));
    assert!(has(&format!("antiphon_sync_offset_seconds{{{kitchen}}} -0.00015")));
    assert!(has(&format!("antiphon_sync_drift_ppm{{{kitchen}}} -12.5")));
    assert!(has(&format!("antiphon_sync_underruns_total{{{kitchen}}} 3")));
    assert!(has(&format!("antiphon_sync_corrections_total{{correction=\"reanchored\",{kitchen}}} 4")));
    // What the sofa's protocol does not tell is not there, not even as zero.
    let sofa: Vec<String> =
        series(&hub, "antiphon_sync_").into_iter().filter(|line| line.contains("\"sofa\"")).collect();
    let names: Vec<&str> = sofa.iter().filter_map(|line| line.split('{').next()).collect();
    assert_eq!(names, ["antiphon_sync_lead_seconds", "antiphon_sync_underruns_total"]);
    let table = hub.antiphon(&["sync"]).output().unwrap();
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("-150 us ± 20 us") && table.contains("-12.5 ppm"), "{table}");
    // What is told no more is absent at once, while the rest is told on.
    let silent = SyncReport { error: None, clock: Some(ClockReading { drift_ppm: None, ..clock }), ..report };
    assert!(puppet.tell("kitchen", EndpointEvent::Sync(silent)));
    eventually("told", PATIENCE, || hub.speaker("kitchen")["sync"]["error_us"] == Value::Null);
    for gone in ["offset_seconds", "uncertainty_seconds", "drift_ppm"] {
        assert_eq!(series(&hub, &format!("antiphon_sync_{gone}")), Vec::<String>::new());
    }
    assert!(has(&format!("antiphon_sync_clock_uncertainty_seconds{{{kitchen}}} 0.00004")));
    // Told no more, it is forgotten; and all of it with the session.
    eventually("stale", PATIENCE, || !hub.metrics().contains("antiphon_sync_error_seconds"));
    assert_eq!(hub.speaker("kitchen")["sync"]["error_us"], Value::Null);
    assert_eq!(hub.speaker("kitchen")["sync"]["corrections"]["reanchored"], 6);
    let (status, _) = hub.ask("DELETE", "/api/speakers/sofa", None);
    assert_eq!(status, 204);
    eventually("gone", PATIENCE, || {
        !series(&hub, "antiphon_sync_").iter().any(|line| line.contains("\"sofa\""))
    });
}
