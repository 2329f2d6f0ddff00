//! What the simulator itself costs, so that figures measured against it can be believed. Run with `--ignored`.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use antiphon_simulator::Outgoing;
use serde_json::json;
use support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a check"]
async fn sixty_four_devices_answer_a_directive() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let mut tasks = Vec::new();
    for number in 0..64 {
        let (mut device, mut down) = ready(&simulator, &format!("d{number}")).await;
        tasks.push(tokio::spawn(async move {
            while down.more().await {
                if down.text.contains("SetVolume") {
                    down.text.clear();
                    let changed = event("Speaker", "VolumeChanged", json!({"volume":50,"muted":false}));
                    device.event(&changed).await.unwrap();
                }
            }
        }));
    }
    let mut figures = Vec::new();
    for _ in 0..50 {
        let mut feed = simulator.subscribe();
        let start = Instant::now();
        for number in 0..64 {
            let set = Outgoing::new("Speaker", "SetVolume", json!({"volume":50}));
            simulator.send(&format!("d{number}"), set).await.unwrap();
        }
        let sent = start.elapsed();
        let mut left = 64;
        while left > 0 {
            let (_, entry) = tokio::time::timeout(PATIENCE, feed.recv()).await.unwrap().unwrap();
            left -= usize::from(entry.is_event("Speaker", "VolumeChanged"));
        }
        figures.push((start.elapsed(), sent));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    figures.sort();
    println!(
        "simulator_round{{devices=\"64\",quantile=\"0.5\"}} {:?} (sent {:?})",
        figures[25].0, figures[25].1
    );
    println!(
        "simulator_round{{devices=\"64\",quantile=\"0.99\"}} {:?} (sent {:?})",
        figures[49].0, figures[49].1
    );
    assert!(simulator.violations().is_empty(), "{:?}", simulator.violations());
}
