//! What many idle links cost, and how fast a directive and its answer are. Prints figures; asserts only what must hold on a
//! busy machine too.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use antiphon_link::{LinkEvent, LinkState};
use antiphon_simulator::Outgoing;
use serde_json::json;
use support::*;

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Not a test of its own: the peer of the next one, in a process of its own so that its memory is not counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer() {
    let Some(folder) = std::env::var_os("ANTIPHON_TEST_PEER").map(std::path::PathBuf::from) else { return };
    let simulator = simulator(antiphon_simulator::Options::new(&folder)).await;
    std::fs::write(folder.join("gateway.new"), simulator.gateway()).unwrap();
    std::fs::rename(folder.join("gateway.new"), folder.join("gateway")).unwrap();
    // Until standard input closes, which the other process's end does at the latest.
    let wait = || std::io::Read::read_to_end(&mut std::io::stdin(), &mut Vec::new());
    tokio::task::spawn_blocking(wait).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_idle_links_are_small() {
    let folder = folder();
    let mut peer = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "peer"])
        .env("ANTIPHON_TEST_PEER", &folder)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let limit = Instant::now() + PATIENCE;
    let gateway = loop {
        if let Ok(gateway) = std::fs::read_to_string(folder.join("gateway")) {
            break gateway;
        }
        assert!(Instant::now() < limit, "the peer does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let context = context();
    let mut rigs = Vec::new();
    let mut grown = Vec::new();
    for step in 0..3 {
        for number in 0..100 {
            let dsn = format!("SIZE{step}X{number}");
            let config = config_at(&gateway, &folder.join("ca.pem"), &dsn);
            rigs.push(start(&context, config, Some(&format!("Atzr|{dsn}"))));
        }
        for rig in &mut rigs[step * 100..] {
            rig.connected().await;
        }
        grown.push(resident_kib());
    }
    // The first hundred pays for what is shared.
    let kib = (grown[2] - grown[0]) as f64 / 200.0;
    println!("idle_link_memory {kib:.1} KiB");
    drop(peer.stdin.take());
    peer.wait().unwrap();
    assert!(kib < 100.0, "{kib} KiB a link");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directive_is_answered_at_once() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    let mut times = Vec::new();
    for volume in 0..200 {
        let sent = simulator
            .send(&dsn, Outgoing::new("Speaker", "SetVolume", json!({ "volume": volume % 100 })))
            .await
            .unwrap();
        rig.directive("SetVolume").await;
        let mark = simulator.mark(&dsn);
        rig.handle.post(volume_changed(volume % 100)).unwrap();
        let entry = simulator.wait_for_event(&dsn, mark, "Speaker", "VolumeChanged", PATIENCE).await.unwrap();
        times.push(entry.at.duration_since(sent));
    }
    times.sort();
    println!("directive_to_event p50 {:?} p99 {:?}", times[100], times[198]);
    // Anything like a delayed acknowledgement (40 ms) would show in the median.
    assert!(times[100] < Duration::from_millis(20), "{:?}", times[100]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_cannot_connect_does_not_spin() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut config = config(&simulator, &dsn);
    config.gateway = "https://127.0.0.1:1".into();
    config.timers = antiphon_link::Timers::default();
    let mut rig = start(&context, config, Some(&format!("Atzr|{dsn}")));
    let mut attempts = 0;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        let event = tokio::time::timeout(Duration::from_millis(100), rig.events.recv()).await;
        if let Ok(Some(LinkEvent::State(LinkState::Connecting { .. }))) = event {
            attempts += 1;
        }
    }
    // At once, and after at least 0.165, 0.66 and 1.98 s more.
    assert!((2..=4).contains(&attempts), "{attempts} attempts in 3 s");
}
