//! Each fault of the simulator ends in a connected, synchronised link again, with few attempts, and events go through.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use antiphon_link::{LinkEvent, LinkState, LoginReason};
use antiphon_simulator::{Fault, Outgoing, Simulator};
use serde_json::json;
use support::*;

/// Connects, injects, and waits until a new event gets through on a synchronised connection; then the attempts it took.
async fn survives(fault: Fault, most_connects: u64) {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut config = config(&simulator, &dsn);
    // Short limits where a fault is only noticed by a limit.
    config.timers.liveness_idle = Duration::from_millis(500);
    config.timers.liveness_limit = Duration::from_millis(2500);
    config.timers.event_progress = Duration::from_secs(5);
    config.timers.linger = Duration::from_millis(300);
    let mut rig = start(&context, config, Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    simulator.inject(&dsn, &fault).unwrap();
    works(&simulator, &mut rig, &dsn, 11, &fault).await;
    let connects = simulator.counts(&dsn).connects;
    assert!(connects <= most_connects, "{fault:?}: {connects} connections");
    works(&simulator, &mut rig, &dsn, 12, &fault).await;
    let violations = simulator.violations();
    assert!(violations.is_empty(), "{fault:?}: {violations:#?}");
}

/// Posts until the event is accepted, then has a directive come through.
async fn works(simulator: &Simulator, rig: &mut Rig, dsn: &str, volume: i64, fault: &Fault) {
    let accepted = |entry: &antiphon_simulator::Entry| {
        entry.is_event("Speaker", "VolumeChanged")
            && entry.payload()["volume"] == volume
            && (200..300).contains(&entry.status)
    };
    let limit = Instant::now() + PATIENCE;
    loop {
        rig.handle.post(volume_changed(volume)).unwrap();
        if simulator.wait_for(dsn, 0, accepted, Duration::from_secs(1)).await.is_ok() {
            break;
        }
        assert!(Instant::now() < limit, "{fault:?}: no event gets through");
    }
    simulator.wait_connected(dsn, PATIENCE).await.unwrap();
    let name = format!("Mark{volume}");
    let limit = Instant::now() + PATIENCE;
    loop {
        // The downchannel may be the dead one for a moment.
        let _ = simulator.send(dsn, Outgoing::new("Test", &name, json!({}))).await;
        let came = async {
            rig.wait("the directive", |event| match event {
                LinkEvent::Directive { directive, .. } => (directive.header.name == name).then_some(()),
                _ => None,
            })
            .await;
        };
        if tokio::time::timeout(Duration::from_secs(2), came).await.is_ok() {
            return;
        }
        assert!(Instant::now() < limit, "{fault:?}: no directive gets through");
    }
}

macro_rules! faults {
    ($($name:ident: $fault:expr, $most:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            survives($fault, $most).await;
        }
    )*};
}

faults! {
    go_away: Fault::GoAway, 2;
    end_downchannel: Fault::EndDownchannel, 2;
    reset_downchannel: Fault::ResetDownchannel, 2;
    reset_events: Fault::ResetEvents(3), 1;
    tcp_reset: Fault::TcpReset, 2;
    half_close: Fault::HalfClose, 2;
    silence: Fault::Silence, 2;
    event_status_400: Fault::EventStatus(400, 1), 1;
    event_status_403: Fault::EventStatus(403, 1), 2;
    event_status_429: Fault::EventStatus(429, 2), 1;
    event_status_500: Fault::EventStatus(500, 2), 1;
    event_status_503: Fault::EventStatus(503, 2), 1;
    expire_token: Fault::ExpireToken, 2;
    slow_drip: Fault::SlowDrip(Duration::from_millis(1)), 1;
    split_delimiters: Fault::SplitDelimiters, 1;
    malformed_part: Fault::MalformedPart, 1;
    oversized_part: Fault::OversizedPart(8 << 20), 1;
    delayed_headers: Fault::DelayHeaders(Duration::from_millis(1500), 1), 1;
}

/// Faults that meet the link while it is opening: armed first, then the connection is cut.
async fn survives_opening(fault: Fault, most_connects: u64) {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut config = config(&simulator, &dsn);
    config.timers.event_progress = Duration::from_secs(5);
    let mut rig = start(&context, config, Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    simulator.inject(&dsn, &fault).unwrap();
    simulator.inject(&dsn, &Fault::TcpReset).unwrap();
    works(&simulator, &mut rig, &dsn, 21, &fault).await;
    let connects = simulator.counts(&dsn).connects;
    assert!(connects <= most_connects, "{fault:?}: {connects} connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_while_opening() {
    survives_opening(Fault::DownchannelStatus(403, 1), 2).await;
    survives_opening(Fault::DownchannelStatus(403, 3), 2).await;
    survives_opening(Fault::DownchannelStatus(500, 3), 2).await;
    survives_opening(Fault::DownchannelStatus(429, 2), 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_synchronisation() {
    survives_opening(Fault::EventStatus(500, 3), 2).await;
    survives_opening(Fault::EventStatus(403, 1), 3).await;
    survives_opening(Fault::EventStatus(400, 1), 2).await;
    survives_opening(Fault::EventStatus(429, 2), 2).await;
    survives_opening(Fault::ResetEvents(2), 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_connections() {
    survives_opening(Fault::Refuse(4), 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unanswered_ping() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut config = config(&simulator, &dsn);
    config.timers.ping_idle = Duration::from_millis(300);
    config.timers.ping_limit = Duration::from_secs(3);
    let mut rig = start(&context, config, Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    simulator.wait_until(&dsn, |_| simulator.counts(&dsn).pings >= 2, PATIENCE).await.unwrap_or_else(|_| {
        panic!("no pings: {:?}", simulator.counts(&dsn));
    });
    assert_eq!(simulator.counts(&dsn).connects, 1);
    simulator.inject(&dsn, &Fault::UnansweredPing(1)).unwrap();
    rig.connected().await;
    works(&simulator, &mut rig, &dsn, 31, &Fault::UnansweredPing(1)).await;
    assert_eq!(simulator.counts(&dsn).connects, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_link_is_noticed_within_fifteen_seconds() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    // The times of life, not of tests.
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    simulator.inject(&dsn, &Fault::Silence).unwrap();
    let began = Instant::now();
    rig.wait("loss", |event| match event {
        LinkEvent::State(state) => (state != LinkState::Connected).then_some(()),
        _ => None,
    })
    .await;
    let took = began.elapsed();
    assert!(took <= Duration::from_millis(15_500), "{took:?}");
    rig.connected().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_asks_for_a_person() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    simulator.inject(&dsn, &Fault::Revoke).unwrap();
    rig.handle.post(volume_changed(1)).unwrap();
    let why = rig
        .wait("the need of a login", |event| match event {
            LinkEvent::State(LinkState::NeedsLogin { why }) => Some(why),
            _ => None,
        })
        .await;
    assert_eq!(why, LoginReason::Revoked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_service_is_found_again() {
    let mut options = options();
    options.max_age = None;
    let first = simulator(options.clone()).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start(&context, config(&first, &dsn), Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    options.listen = first.gateway().trim_start_matches("https://").parse().unwrap();
    first.kill().await;
    rig.wait("a failed attempt", |event| {
        matches!(event, LinkEvent::State(LinkState::Waiting { .. })).then_some(())
    })
    .await;
    // A new process: it knows no token, no declaration and no device.
    let second = simulator(options).await;
    rig.connected().await;
    works(&second, &mut rig, &dsn, 41, &Fault::Clear).await;
}
