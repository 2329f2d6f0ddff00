//! How well two sinks of a real PulseAudio keep together. Figures are printed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use antiphon_audio::align::offset;
use antiphon_audio::{BLOCK_FRAMES, Block, CHANNELS};
use antiphon_domain::{Frames, HubTime, SampleRate};
use antiphon_endpoint::EndpointEvent;
use antiphon_host::PulseOptions;
use support::{Hub, Player, Pulse, RATE, wait_for};

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
fn lab_sinks_keep_together() {
    let Some(server) = Pulse::start(3) else { return };
    let hub = Hub::new(PulseOptions::default());
    let seconds = std::env::var("ANTIPHON_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(24);
    let recorder = server.record();
    let mut players = vec![hub.open(&server.text(1), 100), hub.open(&server.text(2), 100)];
    let lead = players[0].lead();
    let first = hub.clock.now() + lead + Duration::from_millis(100);
    let begun = recorder.frames();
    let (mut third, mut joined): (Option<Player>, bool) = (None, false);
    for index in 0.. {
        let block = block(index, first);
        let played = block.due.since(first);
        if played > Duration::from_secs(seconds) {
            break;
        }
        // The third joins late, and the others are not kept waiting for it.
        if players.len() == 2 && played > Duration::from_secs(seconds / 2) {
            let third = third.get_or_insert_with(|| hub.try_open(&server.text(3), 100));
            joined |= third.events.try_iter().any(|event| event == EndpointEvent::Ready);
        }
        if joined && let Some(third) = third.take() {
            players.push(third);
        }
        while block.due > hub.clock.now() + lead + Duration::from_millis(20) {
            std::thread::sleep(Duration::from_millis(4));
        }
        for player in &mut players {
            player.play(&block);
        }
    }
    // All of it was played, and the recorder is a little behind.
    let end = begun + ((hub.clock.now() + lead).since(first).as_secs_f64() * f64::from(RATE)) as usize;
    wait_for("the end", || (recorder.frames() > end).then_some(()));
    for (number, player) in players.iter().enumerate() {
        told(number + 1, player);
    }
    let heard = [1, 2, 3].map(|output| recorder.output(output, begun));
    let pair = offsets(&heard[0], &heard[1]);
    let late = offsets(&heard[0], &heard[2]);
    print("two sinks", &pair);
    print("one that joined late, against the first", &late);
    // A machine that is busy with other things makes the sink's own clock stumble.
    assert!(quantile(&pair, 0.5) < 100.0 && quantile(&late, 0.5) < 300.0);
    assert!(pair.len() as u64 > seconds * 4 && late.len() as u64 > seconds);
}

/// What a player said of itself.
fn told(number: usize, player: &Player) {
    let (mut rates, mut jumps, mut late) = (0, 0, 0);
    let mut last = None;
    while let Ok(event) = player.events.try_recv() {
        match event {
            EndpointEvent::Sync(sync) => {
                let done = sync.corrections.expect("corrections");
                rates += done.rate;
                jumps += done.reanchored;
                last = Some(sync);
            }
            EndpointEvent::Underrun { blocks } => late += blocks,
            _ => {}
        }
    }
    let sync = last.expect("a report");
    let (error, clock) = (sync.error.expect("an error"), sync.clock.expect("a clock"));
    println!(
        "pulse: sink {number}: error {:.1} +- {:.1} us, {:.1} ppm, {rates} corrections of the rate, {jumps} jumps, \
         {late} blocks late",
        error.nanos as f64 / 1e3,
        error.uncertainty.as_secs_f64() * 1e6,
        clock.drift_ppm.unwrap_or(f64::NAN)
    );
}

/// The offsets of `b` against `a`, a fifth of a second each, microseconds.
fn offsets(a: &[f32], b: &[f32]) -> Vec<f64> {
    let window = RATE as usize / 5;
    let sounds = |sound: &[f32]| sound.iter().filter(|sample| sample.abs() > 0.01).count() > window / 2;
    let windows = a.chunks_exact(window).zip(b.chunks_exact(window));
    let heard = windows.filter(|(a, b)| sounds(a) && sounds(b));
    heard.filter_map(|(a, b)| offset(a, b, RATE, 0.01)).map(|found| found.seconds * 1e6).collect()
}

fn print(what: &str, offsets: &[f64]) {
    let each: Vec<String> = offsets.iter().step_by(10).map(|micros| format!("{micros:.0}")).collect();
    println!(
        "pulse: {what}: p50 {:.1} p95 {:.1} p99 {:.1} max {:.1} us ({} windows; every 2 s {})",
        quantile(offsets, 0.5),
        quantile(offsets, 0.95),
        quantile(offsets, 0.99),
        quantile(offsets, 1.0),
        offsets.len(),
        each.join(" ")
    );
}

fn quantile(offsets: &[f64], part: f64) -> f64 {
    let mut sizes: Vec<f64> = offsets.iter().map(|micros| micros.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.get((sizes.len().saturating_sub(1) as f64 * part) as usize).copied().unwrap_or(f64::NAN)
}
