//! What goes wrong at Alexa's side while music plays: the link comes back, in few attempts and synchronised, directives
//! work again, and nobody hears anything of it. Every speaker of a test gets a fault of its own at the same time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_simulator::{Entry, Fault, Options, Simulator};
use serde_json::json;
use std::time::{Duration, Instant};
use support::analysis::{largest_jump, longest_gap};
use support::calm::calmly;
use support::hub::{Hub, PATIENCE, RATE, Setup, level_at, play};
use support::patience::wait_for;

const HERTZ: f64 = 997.0;

/// Limits short enough for a test where a fault is only noticed by a limit.
const TIMERS: &str = "[avs.timers]\nliveness_idle_s = 0.5\nliveness_limit_s = 2.0\nevent_progress_s = 3.0\n\
                      linger_s = 0.3\nlwa_delays_s = [0.2, 0.5]\nevent_delays_s = [0.2, 0.5]\n";

/// What happens to one speaker, and how many connections it may make, its first one included.
struct Case {
    name: &'static str,
    faults: Vec<Fault>,
    most: u64,
}

fn case(name: &'static str, faults: &[Fault], most: u64) -> Case {
    Case { name, faults: faults.to_vec(), most }
}

/// All play, each by its own Play; then each meets its fault.
fn survive(timers: &str, cases: &[Case]) {
    let names: Vec<&str> = cases.iter().map(|c| c.name).collect();
    let hub = Setup::new(&names).with(timers).start();
    let url = hub.simulator().track("tone-997-120s.wav");
    for name in &names {
        hub.send(name, "AudioPlayer", "Play", play("REPLACE_ALL", &url, name, None));
    }
    for name in &names {
        hub.wait_level(name, HERTZ, level_at(40));
    }
    std::thread::scope(|scope| {
        for case in cases {
            let hub = &hub;
            scope.spawn(move || recovers(hub, case));
        }
    });
    for name in names {
        unbroken(&hub, name);
    }
    hub.assert_no_violations();
}

fn recovers(hub: &Hub, case: &Case) {
    let name = case.name;
    let mark = hub.simulator().mark(name);
    for fault in &case.faults {
        hub.simulator().inject(name, fault).unwrap();
    }
    // What is said may be lost while it lasts; people say it again.
    let limit = Instant::now() + Duration::from_secs(30);
    let mut volume = 40;
    while !obeys(hub, name, mark, volume, Duration::from_secs(1)) {
        assert!(Instant::now() < limit, "{name}: nothing said gets through: {:#}", hub.speaker(name));
        volume = 40 + (volume + 1) % 20;
    }
    hub.wait(hub.simulator().wait_connected(name, PATIENCE)).unwrap();
    hub.wait_picture("it is connected", |_| hub.speaker(name)["link"]["state"] == "connected");
    let _ = hub.simulator().inject(name, &Fault::Clear);
    // Now it is as good as before: what is said once is done.
    assert!(obeys(hub, name, mark, 30, PATIENCE), "{name}: not as before");
    let counts = hub.simulator().counts(name);
    let attempts = counts.connects + counts.refused_connects;
    assert!(attempts <= case.most, "{name}: {attempts} connections: {counts:?}");
}

/// Whether a volume that is spoken is set and told within a time.
fn obeys(hub: &Hub, name: &str, mark: u64, volume: u64, within: Duration) -> bool {
    let said = antiphon_simulator::Outgoing::new("Speaker", "SetVolume", json!({ "volume": volume }));
    let sent = hub.wait(async { tokio::time::timeout(within, hub.simulator().send(name, said)).await });
    if !matches!(sent, Ok(Ok(_))) {
        return false;
    }
    let told = |e: &Entry| {
        e.is_event("Speaker", "VolumeChanged")
            && e.payload()["volume"] == volume
            && (200..300).contains(&e.status)
    };
    hub.wait(hub.simulator().wait_for(name, mark, told, within)).is_ok()
}

/// The music went on at every sample.
fn unbroken(hub: &Hub, id: &str) {
    hub.listen(id, RATE as usize / 4);
    let sound = hub.recording(id).samples;
    let begun = sound.iter().position(|s| *s != 0.0).unwrap() + RATE as usize / 10;
    let (place, gap) = longest_gap(&sound[begun..], level_at(30) - 20.0);
    assert!(gap < 20, "{id}: {gap} samples of silence {} s in", place as f64 / f64::from(RATE));
    let (place, jump) = largest_jump(&sound[begun..], RATE, HERTZ);
    assert!(jump < 3e-6, "{id}: moved by {jump} s, {} s in", place as f64 / f64::from(RATE));
}

#[test]
fn heard_connections_that_end() {
    calmly(connections_that_end);
}

fn connections_that_end() {
    survive(
        TIMERS,
        &[
            case("goaway", &[Fault::GoAway], 2),
            case("enddownchannel", &[Fault::EndDownchannel], 2),
            case("resetdownchannel", &[Fault::ResetDownchannel], 2),
            case("tcpreset", &[Fault::TcpReset], 2),
            case("halfclose", &[Fault::HalfClose], 2),
            case("silence", &[Fault::Silence], 2),
            case("expired", &[Fault::ExpireToken], 3),
        ],
    );
}

#[test]
fn heard_answers_that_are_wrong() {
    calmly(answers_that_are_wrong);
}

fn answers_that_are_wrong() {
    let s = Duration::from_millis;
    survive(
        TIMERS,
        &[
            case("resetevents", &[Fault::ResetEvents(2)], 2),
            case("badrequest", &[Fault::EventStatus(400, 1)], 1),
            case("forbidden", &[Fault::EventStatus(403, 1)], 2),
            case("toomany", &[Fault::EventStatus(429, 2)], 1),
            case("broken", &[Fault::EventStatus(500, 2)], 1),
            case("unavailable", &[Fault::EventStatus(503, 2)], 1),
            case("late", &[Fault::DelayHeaders(s(1500), 1)], 1),
        ],
    );
}

#[test]
fn heard_bytes_that_are_wrong() {
    calmly(bytes_that_are_wrong);
}

fn bytes_that_are_wrong() {
    survive(
        TIMERS,
        &[
            case("drip", &[Fault::SlowDrip(Duration::from_millis(1))], 1),
            case("split", &[Fault::SplitDelimiters], 1),
            case("malformed", &[Fault::MalformedPart], 1),
            case("oversized", &[Fault::OversizedPart(8 << 20)], 2),
            case("nofinal", &[Fault::NoFinalDelimiter(2)], 1),
        ],
    );
}

#[test]
fn heard_openings_that_fail() {
    calmly(openings_that_fail);
}

fn openings_that_fail() {
    let cut = Fault::TcpReset;
    survive(
        TIMERS,
        &[
            case("forbidden", &[Fault::DownchannelStatus(403, 2), cut.clone()], 5),
            case("broken", &[Fault::DownchannelStatus(500, 2), cut.clone()], 4),
            case("toomany", &[Fault::DownchannelStatus(429, 2), cut.clone()], 4),
            case("refused", &[Fault::Refuse(2), cut.clone()], 4),
            case("nocapabilities", &[Fault::CapabilitiesStatus(500, 1), cut.clone()], 3),
            case("nologin", &[Fault::ExpireToken, Fault::Lwa("servererror".into(), 2), cut], 3),
        ],
    );
}

#[test]
fn heard_pings_without_an_answer() {
    calmly(pings_without_an_answer);
}

fn pings_without_an_answer() {
    let timers = "[avs.timers]\nping_idle_s = 1.0\nping_limit_s = 1.0\nlinger_s = 0.3\n";
    survive(timers, &[case("ping", &[Fault::UnansweredPing(1)], 2)]);
}

#[test]
fn heard_the_service_dies_and_returns() {
    calmly(the_service_dies_and_returns);
}

fn the_service_dies_and_returns() {
    let mut hub = Setup::new(&["kitchen", "sofa"])
        .grouped()
        .with("[avs.timers]\nconnect_delays_s = [0.25, 0.5]\n")
        .start();
    // Streams come from elsewhere and do not die with Alexa.
    let elsewhere = hub.wait(Simulator::start(Options::new(hub.folder().join("elsewhere")))).unwrap();
    let url = elsewhere.track("tone-997-120s.wav");
    hub.send("kitchen", "AudioPlayer", "Play", play("REPLACE_ALL", &url, "song", None));
    for id in ["kitchen", "sofa"] {
        hub.wait_level(id, HERTZ, level_at(40));
    }
    hub.restart_simulator(|hub| {
        let picture = hub.wait_picture("it shows that Alexa is away", |p| {
            p["speakers"].as_array().unwrap().iter().all(|s| s["link"]["why"].is_string())
        });
        assert_eq!(picture["speakers"][0]["link"]["state"], "waiting");
        // What needs no voice goes on.
        hub.api("POST", "/api/groups/all/volume", json!({ "volume": 50 }));
        hub.wait_level("sofa", HERTZ, level_at(50));
    });
    hub.wait_linked();
    // It is told where everything stands, what changed meanwhile included.
    let told = hub.event("kitchen", 0, "System", "SynchronizeState");
    assert_eq!(told.context("Speaker", "VolumeState").unwrap(), &json!({ "volume": 50, "muted": false }));
    let state = told.context("AudioPlayer", "PlaybackState").unwrap();
    assert_eq!((&state["token"], &state["playerActivity"]), (&json!("song"), &json!("PLAYING")));
    assert!(state["offsetInMilliseconds"].as_u64().unwrap() > 500);
    for id in ["kitchen", "sofa"] {
        let mark = hub.simulator().mark(id);
        assert!(obeys(&hub, id, mark, 45, PATIENCE), "{id}");
        unbroken(&hub, id);
        assert!(hub.simulator().counts(id).connects <= 2);
    }
    let mark = hub.simulator().mark("kitchen");
    hub.say("kitchen", "stop");
    hub.event("kitchen", mark, "AudioPlayer", "PlaybackStopped");
    hub.assert_no_violations();
    hub.wait(elsewhere.kill());
}

#[test]
fn heard_a_revoked_login_is_shown_and_music_goes_on() {
    calmly(a_revoked_login_is_shown_and_music_goes_on);
}

fn a_revoked_login_is_shown_and_music_goes_on() {
    let hub = Setup::new(&["kitchen"]).with(TIMERS).with_simulator(|o| o.approve_all = true).start();
    let url = hub.simulator().track("tone-997-120s.wav");
    // A person's music: what the account played ends with the account.
    hub.api("POST", "/api/speakers/kitchen/play", json!({ "url": url }));
    hub.wait_level("kitchen", HERTZ, level_at(40));
    hub.simulator().inject("kitchen", &Fault::Revoke).unwrap();
    hub.simulator().inject("kitchen", &Fault::TcpReset).unwrap();
    let picture =
        hub.wait_picture("it needs a login", |p| p["speakers"][0]["link"]["state"] == "needs_login");
    let why = &picture["speakers"][0]["link"]["why"];
    assert!(why.as_str().is_some_and(|w| w.contains("antiphon link")), "{picture:#}");
    let refused = hub.simulator().counts("kitchen").refused_refreshes;
    hub.listen("kitchen", RATE as usize);
    assert!(
        refused >= 1 && hub.simulator().counts("kitchen").refused_refreshes == refused,
        "it asks again and again"
    );
    // Linked again, it obeys again.
    hub.api("POST", "/api/speakers/kitchen/link", json!({}));
    let mark = hub.simulator().mark("kitchen");
    let linked =
        wait_for(PATIENCE, || obeys(&hub, "kitchen", mark, 35, Duration::from_secs(1)).then_some(()));
    assert!(linked.is_some(), "{:#}", hub.speaker("kitchen"));
    unbroken(&hub, "kitchen");
    hub.assert_no_violations();
}
