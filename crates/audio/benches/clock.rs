//! How well time is kept, under virtual time: the playout and the clock filter against 200 simulated receivers with
//! seeded skew, jitter, loss and stalls; and what resampling costs and leaves, beside a library's.
//!
//! Prints `name{labels} value unit`, one figure a line. Takes some minutes on two cores; `-- resampling` prints the last
//! figures alone.
#![allow(clippy::unwrap_used, reason = "a bench")]
#![allow(clippy::disallowed_methods, reason = "a bench may look at the clock")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use antiphon_audio::clock::{ClockFilter, Exchange, Observed};
use antiphon_audio::drift::Corrections;
use antiphon_audio::playout::Playout;
use antiphon_audio::resample::fixed::{self, To48};
use antiphon_audio::{BLOCK_FRAMES, Block, CHANNELS};
use antiphon_domain::{Frames, HubTime, SampleRate};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, FixedAsync, Resampler, SincInterpolationParameters, SincInterpolationType, WindowFunction,
};
use support::{Chance, House, Output, play, quantile, silence, sine};

const RECEIVERS: u64 = 200;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    if std::env::args().any(|argument| argument == "resampling") {
        return resampling();
    }
    let broken_and_told = House { tells: true, ..House::BROKEN };
    let houses = [
        ("calm", House::CALM),
        ("wild", House::WILD),
        ("broken", House::BROKEN),
        ("broken, and told", broken_and_told),
    ];
    for (name, house) in houses {
        playouts(name, house);
    }
    for (name, jitter) in [("lan", 0.2e6), ("wifi", 4e6)] {
        clocks(name, jitter);
    }
    resampling();
}

/// Everything measured of one output.
#[derive(Default)]
struct Kept {
    /// Sizes of the error once settled, microseconds.
    errors: Vec<f64>,
    /// When the error came under 0.1 ms for good, after sound began, seconds.
    converged: f64,
    corrections: Corrections,
    late: u64,
    lost: u64,
    slew: f64,
}

fn playouts(name: &str, house: House) {
    const SECONDS: f64 = 45.0;
    const SETTLED: f64 = 15.0;
    let one = move |seed: u64| {
        let mut output = Output::new(seed, house);
        let mut kept = Kept::default();
        let (mut sounded, mut last_far, mut rate) = (None, 0.0, None);
        play(&mut output, SECONDS, silence, |truth| {
            if let (Some(before), true) = (rate, truth.error.is_some()) {
                let change: f64 = truth.rate_ppm - before;
                kept.slew = kept.slew.max(change.abs() * 100.0);
            }
            rate = truth.error.map(|_| truth.rate_ppm);
            let Some(error) = truth.error else { return };
            let begun: f64 = *sounded.get_or_insert(truth.now);
            if error.abs() > 100e3 && truth.now < SETTLED * 1e9 {
                last_far = truth.now - begun;
            }
            if truth.now > SETTLED * 1e9 {
                kept.errors.push(error.abs() / 1e3);
            }
        });
        kept.converged = last_far / 1e9;
        let report = output.report();
        kept.corrections = report.corrections;
        kept.late = u64::from(report.late_blocks) * BLOCK_FRAMES as u64;
        kept.lost = output.lost;
        kept
    };
    let half = |from: u64| thread::spawn(move || (from..RECEIVERS).step_by(2).map(one).collect::<Vec<_>>());
    let mut all = Vec::new();
    for thread in [half(0), half(1)] {
        all.extend(thread.join().unwrap());
    }
    let mut errors: Vec<f64> = all.iter().flat_map(|kept| kept.errors.iter().copied()).collect();
    let mut converged: Vec<f64> = all.iter().map(|kept| kept.converged).collect();
    let sum = |of: fn(&Kept) -> u64| all.iter().map(of).sum::<u64>();
    let label = format!("{{house=\"{name}\",receivers=\"{RECEIVERS}\"}}");
    for (part, percent) in [(0.5, 50), (0.99, 99), (1.0, 100)] {
        println!("playout_error_p{percent}{label} {:.1} us", quantile(&mut errors, part));
    }
    for (part, percent) in [(0.5, 50), (1.0, 100)] {
        println!("playout_converged_p{percent}{label} {:.1} s", quantile(&mut converged, part));
    }
    println!("playout_corrections_rate{label} {} corrections", sum(|kept| kept.corrections.rate.into()));
    println!("playout_reanchored{label} {} jumps", sum(|kept| kept.corrections.reanchored.into()));
    println!("playout_lost_by_network{label} {} frames", sum(|kept| kept.lost));
    println!("playout_lost_by_lateness{label} {} frames", sum(|kept| kept.late));
    let slew = all.iter().map(|kept| kept.slew).fold(0.0, f64::max);
    println!("playout_largest_slew{label} {slew:.0} ppm/s");
}

/// Clocks over a network that adds a random wait to each way, once a second, five minutes long.
fn clocks(name: &str, jitter: f64) {
    let (mut errors, mut bounds, mut drifts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut broken, mut refused) = (0, 0);
    let began = Instant::now();
    let mut observed = 0u64;
    for seed in 0..RECEIVERS {
        let mut chance = Chance::new(seed + 1_000);
        let skew = chance.between(-100e-6, 100e-6);
        let apart = chance.between(-1e15, 1e15);
        let shows = |hub: f64| (hub + apart + hub * skew) as i64;
        let mut filter = ClockFilter::new();
        for second in 0..300 {
            let sent = f64::from(second) * 1e9 + chance.between(0.0, 1e8);
            if chance.part() < 0.02 {
                continue;
            }
            let received = sent + 50e3 + chance.wait(jitter);
            let answered = received + 20e3;
            let arrived = answered + 50e3 + chance.wait(jitter);
            let hub = |nanos: f64| HubTime::from_nanos(nanos as i64);
            let exchange = Exchange::two_way(hub(sent), shows(received), shows(answered), hub(arrived));
            refused += u64::from(filter.observe(exchange.unwrap()) != Observed::Taken);
            observed += 1;
            if second < 20 {
                continue;
            }
            let now = arrived + chance.between(0.0, 1e9);
            let reading = filter.reading(hub(now)).unwrap();
            let error = (reading.offset_nanos - (shows(now) - now as i64)).abs() as f64;
            let bound = reading.uncertainty.as_nanos() as f64;
            broken += u64::from(error > bound + 2.0);
            errors.push(error / 1e3);
            bounds.push(bound / 1e3);
            drifts.push((reading.drift_ppm.unwrap_or(f64::NAN) - skew * 1e6).abs());
        }
    }
    let label = format!("{{network=\"{name}\",mean_jitter_us=\"{:.0}\"}}", jitter / 1e3);
    println!("clock_error_p50{label} {:.1} us", quantile(&mut errors, 0.5));
    println!("clock_error_p99{label} {:.1} us", quantile(&mut errors, 0.99));
    println!("clock_bound_p50{label} {:.1} us", quantile(&mut bounds, 0.5));
    println!("clock_drift_error_p99{label} {:.2} ppm", quantile(&mut drifts, 0.99));
    println!("clock_bound_broken{label} {broken} readings");
    println!("clock_refused{label} {refused} exchanges");
    let each = began.elapsed().as_secs_f64() * 1e6 / observed as f64;
    println!("clock_cpu{label} {each:.2} us/exchange");
}

/// A minute of a sine through each resampler.
fn resampling() {
    const BLOCKS: u64 = 60 * 44_100 / BLOCK_FRAMES as u64;
    let blocks: Vec<Block> = (0..BLOCKS)
        .map(|index| {
            let first = index * BLOCK_FRAMES as u64;
            let samples: Vec<i16> =
                (first..first + BLOCK_FRAMES as u64).flat_map(sine::one_kilohertz).collect();
            let due = HubTime::EPOCH + Frames(first).duration(SampleRate::HUB);
            Block { due, samples: Arc::from(samples) }
        })
        .collect();
    // The machine is shared: the best of five rounds, in turns, is what it costs.
    let mut best: [(f64, Vec<i16>, f64, f64); 3] = Default::default();
    for best in &mut best {
        best.0 = f64::INFINITY;
    }
    for _ in 0..5 {
        for (best, round) in best.iter_mut().zip([fixed_round, variable_round, library_round]) {
            let began = processor_time();
            let (out, rate, hertz) = round(&blocks);
            let took = processor_time() - began;
            if took < best.0 {
                *best = (took, out, rate, hertz);
            }
        }
    }
    let names = ["fixed_48000", "variable", "rubato_sinc64_linear_48000"];
    for (name, (took, out, rate, hertz)) in names.iter().zip(best) {
        println!("resample_cpu{{by=\"{name}\"}} {took:.4} cpu-s/stream-minute");
        let left: Vec<f64> =
            out.chunks_exact(2).skip(500_000).take(100_000).map(|f| f64::from(f[0])).collect();
        println!("resample_thd_n{{by=\"{name}\"}} {:.1} dB", sine::thd_n(&left, rate, hertz));
    }
}

/// What this thread has used of a processor, seconds (proc(5): schedstat's first number).
fn processor_time() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// What came out, its rate, and the sine in it.
type Round = (Vec<i16>, f64, f64);

fn fixed_round(blocks: &[Block]) -> Round {
    let (mut to48, mut stream) = (To48::new(), fixed::Stream::default());
    let mut out = Vec::new();
    for block in blocks {
        out.extend_from_slice(&to48.run(&mut stream, block).samples);
    }
    (out, 48_000.0, 1_000.0)
}

/// An output that is 100 ppm fast.
fn variable_round(blocks: &[Block]) -> Round {
    let mut playout = Playout::new(SampleRate::HUB);
    for reading in 0..40u64 {
        let frame = reading * 44_100;
        let at = (frame as f64 / 44_100.0 / (1.0 + 100e-6) * 1e9) as i64;
        playout.heard(frame, HubTime::from_nanos(at), Duration::from_micros(1));
    }
    let mut out = vec![0; blocks.len() * BLOCK_FRAMES * CHANNELS];
    for (block, out) in blocks.iter().zip(out.chunks_mut(BLOCK_FRAMES * CHANNELS)) {
        playout.play(block);
        playout.fill(out);
    }
    let hertz = 1_000.0 * (1.0 + playout.rate_ppm() * 1e-6);
    (out, 44_100.0, hertz)
}

fn library_round(blocks: &[Block]) -> Round {
    let parameters = SincInterpolationParameters {
        sinc_len: 64,
        f_cutoff: None,
        oversampling_factor: 256,
        interpolation: SincInterpolationType::Linear,
        window: WindowFunction::Blackman2,
    };
    let ratio = 48_000.0 / 44_100.0;
    let mut library =
        Async::<f32>::new_sinc(ratio, 1.1, &parameters, BLOCK_FRAMES, 2, FixedAsync::Input).unwrap();
    let mut out = Vec::new();
    let mut piece = vec![0.0f32; 2 * library.output_frames_max()];
    for block in blocks {
        let floats: Vec<f32> = block.samples.iter().map(|sample| f32::from(*sample)).collect();
        let from = InterleavedSlice::new(&floats[..], 2, BLOCK_FRAMES).unwrap();
        let room = library.output_frames_max();
        let mut to = InterleavedSlice::new_mut(&mut piece[..], 2, room).unwrap();
        let (_, made) = library.process_into_buffer(&from, &mut to, None).unwrap();
        out.extend(piece[..2 * made].iter().map(|sample| sample.round() as i16));
    }
    (out, 48_000.0, 1_000.0)
}
