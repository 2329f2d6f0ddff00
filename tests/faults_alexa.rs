//! What goes wrong at Alexa's side while somebody talks, Alexa speaks, an alert rings, an event waits that must arrive, a
//! card is shown, the tone changes, or an account is linked: each fault in the midst of each. The link comes back and is
//! synchronised, what must survive does, nothing hangs. Every speaker of a test gets a fault of its own at the same time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_simulator::Fault;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use support::hub::{Hub, PATIENCE, Setup};
use support::midst::{ALL, Begin, Between, obeys};

/// Limits short enough for a test where a fault is only noticed by a limit.
const TIMERS: &str = "[avs.timers]\nliveness_idle_s = 0.5\nliveness_limit_s = 2.0\nevent_progress_s = 3.0\n\
                      linger_s = 0.3\nlwa_delays_s = [0.2, 0.5]\nevent_delays_s = [0.2, 0.5]\n\
                      connect_delays_s = [0.2, 0.5]\nping_idle_s = 1.0\nping_limit_s = 1.0\n";

/// What happens to one speaker.
type Case = (&'static str, Vec<Fault>);

fn cases() -> Vec<Case> {
    let ms = Duration::from_millis;
    vec![
        ("goaway", vec![Fault::GoAway]),
        ("enddown", vec![Fault::EndDownchannel]),
        ("resetdown", vec![Fault::ResetDownchannel]),
        ("resetevents", vec![Fault::ResetEvents(2)]),
        ("tcpreset", vec![Fault::TcpReset]),
        ("halfclose", vec![Fault::HalfClose]),
        ("silence", vec![Fault::Silence]),
        ("expired", vec![Fault::ExpireToken]),
        ("drip", vec![Fault::SlowDrip(Duration::ZERO)]),
        ("split", vec![Fault::SplitDelimiters]),
        ("malformed", vec![Fault::MalformedPart]),
        ("oversized", vec![Fault::OversizedPart(8 << 20)]),
        ("nofinal", vec![Fault::NoFinalDelimiter(2)]),
        ("ping", vec![Fault::UnansweredPing(1)]),
        ("badrequest", vec![Fault::EventStatus(400, 1)]),
        ("toomany", vec![Fault::EventStatus(429, 2)]),
        ("broken", vec![Fault::EventStatus(500, 2)]),
        ("late", vec![Fault::DelayHeaders(ms(1500), 1)]),
    ]
}

/// Every speaker gets into the midst of the same, and each meets its fault there.
fn in_the_midst(what: &str, cases: &[Case]) {
    let begin: Begin = ALL.iter().find(|(name, _)| *name == what).unwrap().1;
    let names: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
    let hub =
        Setup::new(&names).with(TIMERS).with_simulator(|o| o.code_interval = Duration::from_secs(1)).start();
    let begun = Instant::now();
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let work = |case: &'_ Case| {
            let tried = catch_unwind(AssertUnwindSafe(|| survives(&hub, begin, case)));
            println!("faults: {what}, {}: over after {:.1} s", case.0, begun.elapsed().as_secs_f64());
            tried.is_err().then_some(case.0)
        };
        let all: Vec<_> = cases.iter().map(|case| scope.spawn(move || work(case))).collect();
        all.into_iter().filter_map(|one| one.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{what}: {failed:?}");
    hub.assert_no_violations();
}

fn survives(hub: &Hub, begin: Begin, (id, faults): &Case) {
    let after = begin(hub, id);
    for fault in faults {
        hub.simulator().inject(id, fault).unwrap();
    }
    // What is said may be lost while it lasts; people say it again.
    let limit = Instant::now() + Duration::from_secs(30);
    let mut volume = 40;
    while !obeys(hub, id, volume, Duration::from_secs(1)) {
        assert!(Instant::now() < limit, "{id}: nothing said gets through: {:#}", hub.speaker(id));
        volume = 40 + (volume + 1) % 20;
    }
    let _ = hub.simulator().inject(id, &Fault::Clear);
    hub.wait(hub.simulator().wait_connected(id, PATIENCE)).unwrap();
    hub.wait_picture("it is connected", |_| hub.speaker(id)["link"]["state"] == "connected");
    let refused = matches!(faults[..], [Fault::EventStatus(400, _)]);
    after(hub, id, if refused { Between::Refused } else { Between::Fault });
    assert!(obeys(hub, id, 30, PATIENCE), "{id}: not as before");
}

#[test]
fn faults_in_the_midst_of_an_upload() {
    in_the_midst("upload", &cases());
}

#[test]
fn faults_in_the_midst_of_speech() {
    in_the_midst("speech", &cases());
}

#[test]
fn faults_in_the_midst_of_a_ringing_alert() {
    in_the_midst("ringing", &cases());
}

#[test]
fn faults_in_the_midst_of_what_must_arrive() {
    in_the_midst("outbox", &cases());
}

#[test]
fn faults_in_the_midst_of_a_card() {
    in_the_midst("card", &cases());
}

#[test]
fn faults_in_the_midst_of_a_change_of_tone() {
    in_the_midst("tone", &cases());
}

#[test]
fn faults_in_the_midst_of_a_login() {
    let mut cases = cases();
    for (name, error) in [
        ("slowdown", "slow_down"),
        ("lwabroken", "servererror"),
        ("garbage", "garbage"),
        ("lwareset", "reset"),
    ] {
        cases.push((name, vec![Fault::Lwa(error.into(), 1)]));
    }
    in_the_midst("login", &cases);
}
