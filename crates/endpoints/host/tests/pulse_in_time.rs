//! How well two sinks of a real PulseAudio keep together. Figures are printed.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use antiphon_audio::align::offset;
use antiphon_audio::{BLOCK_FRAMES, Block, CHANNELS};
use antiphon_domain::{Frames, HubTime, SampleRate};
use antiphon_endpoint::EndpointEvent;
use antiphon_host::PulseOptions;
use support::{Hub, Pulse, RATE};

/// Noise that is nowhere like itself, softened so that it lies where a resampler is exact.
fn block(index: u64, first: HubTime) -> Block {
    let mut samples = Vec::with_capacity(BLOCK_FRAMES * CHANNELS);
    let start = index * BLOCK_FRAMES as u64;
    let white = |frame: u64| {
        let mut x = frame.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((x >> 40) as f64 / f64::from(1 << 24) - 0.5) * 0.5
    };
    for frame in start..start + BLOCK_FRAMES as u64 {
        let value = (0..8).map(|back| white(frame.saturating_sub(back))).sum::<f64>() / 4.0;
        let sample = (value * 32_000.0) as i16;
        samples.extend([sample, sample]);
    }
    let due = first + Frames(start).duration(SampleRate::HUB);
    Block { due, samples: samples.into() }
}

#[test]
fn lab_two_sinks_keep_together() {
    let Some(server) = Pulse::start(2) else { return };
    let hub = Hub::new(PulseOptions::default());
    let seconds = std::env::var("ANTIPHON_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(20);
    let recorder = server.record();
    let mut players = [hub.open(&server.text(1), 100), hub.open(&server.text(2), 100)];
    let lead = players[0].endpoint.caps().lead.0;
    let first = hub.clock.now() + lead + Duration::from_millis(100);
    let begun = recorder.frames();
    for index in 0.. {
        let block = block(index, first);
        if block.due.since(first) > Duration::from_secs(seconds) {
            break;
        }
        while block.due > hub.clock.now() + lead + Duration::from_millis(20) {
            std::thread::sleep(Duration::from_millis(4));
        }
        for player in &mut players {
            player.endpoint.play(&block);
        }
    }
    std::thread::sleep(Duration::from_millis(500));
    for (number, player) in players.iter().enumerate() {
        while let Ok(event) = player.events.try_recv() {
            match event {
                EndpointEvent::Sync(sync) => println!(
                    "pulse: {number} error {:?} us drift {:?} {:?}",
                    sync.error.map(|error| (error.nanos / 1_000, error.uncertainty)),
                    sync.clock.and_then(|clock| clock.drift_ppm),
                    sync.corrections
                ),
                EndpointEvent::Meter { .. } => {}
                other => println!("pulse: {number} {other:?}"),
            }
        }
    }
    let (a, b) = (recorder.output(1, begun), recorder.output(2, begun));
    let window = RATE as usize / 5;
    let mut all = Vec::new();
    for at in (0..a.len().min(b.len()) - window).step_by(window) {
        let (a, b) = (&a[at..at + window], &b[at..at + window]);
        if a.iter().filter(|sample| sample.abs() > 0.01).count() < window / 2 {
            continue;
        }
        if let Some(found) = offset(a, b, RATE, 0.01) {
            all.push(found.seconds * 1e6);
            if all.len() % 10 == 1 {
                println!(
                    "pulse: at {:.1} s {:.1} us ({:.3})",
                    at as f64 / f64::from(RATE),
                    found.seconds * 1e6,
                    found.likeness
                );
            }
        }
    }
    let mut size: Vec<f64> = all.iter().map(|us| us.abs()).collect();
    size.sort_by(f64::total_cmp);
    let quantile = |part: f64| size[((size.len() - 1) as f64 * part) as usize];
    println!(
        "pulse: two sinks {} windows: p50 {:.1} p95 {:.1} p99 {:.1} max {:.1} us",
        size.len(),
        quantile(0.5),
        quantile(0.95),
        quantile(0.99),
        quantile(1.0)
    );
    assert!(quantile(0.99) < 100.0);
}
