//! Judges what the rack heard of the rooms' track: how loud, since when, whether unbroken, how far apart. Figures are
//! printed, each line beginning with `receivers:`.

use super::analysis::{
    Offset, SILENCE, chirp_offsets_within, largest_jump, longest_gap, quantile, tone_level, total_level,
};
use super::lab::rack::RATE;
use super::lab::recording::{Recorder, Recording};
use super::patience::wait_for;
use super::rooms::{NAMES, Rooms, TONE};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// How far apart two receivers may be to be found at all, seconds.
const REACH: f64 = 0.005;

/// Waits until nothing changes any more, and answers how loud the tone is on the outputs from 1 to `outputs`, in dBFS.
pub fn levels(recorder: &mut Recorder, outputs: usize) -> Vec<f64> {
    let window = RATE as usize / 2;
    let mut before: Vec<f64> = Vec::new();
    let settled = wait_for(PATIENCE, || {
        let here = recorder.frames();
        recorder.wait_for_frames(here + window).ok()?;
        let heard = recorder.since(here);
        let level = |output| {
            let sound = heard.output(output);
            // A tone's level in utter silence is that of rounding.
            if total_level(sound) <= -100.0 { SILENCE } else { tone_level(sound, RATE, TONE) }
        };
        let now: Vec<f64> = (1..=outputs).map(level).collect();
        let same = before.len() == now.len() && before.iter().zip(&now).all(|(a, b)| (a - b).abs() < 0.1);
        before = now;
        same.then(|| before.clone())
    });
    settled.unwrap_or_else(|| panic!("levels do not settle: {before:?}"))
}

/// Waits for the first sound of an output at or after a frame; its frame.
pub fn first_sound(recorder: &Recorder, output: usize, from: usize) -> Option<usize> {
    let sounds = |sound: &[f32]| sound.iter().position(|sample| sample.abs() > 0.0005);
    Some(from + wait_for(PATIENCE, || sounds(recorder.since(from).output(output)))?)
}

/// Waits until an output has been silent for a fifth of a second, at or after a frame; where the silence began.
pub fn silent_from(recorder: &mut Recorder, output: usize, from: usize) -> usize {
    let least = RATE as usize / 5;
    let found = wait_for(PATIENCE, || {
        let heard = recorder.since(from);
        let (at, length) = longest_gap(heard.output(output), -90.0);
        (length >= least).then_some(from + at)
    });
    found.unwrap_or_else(|| panic!("output {output} does not fall silent"))
}

/// Milliseconds from a moment to a frame.
pub fn millis_since(recorder: &Recorder, moment: Instant, frame: usize) -> i64 {
    let from = recorder.frame_at(moment).expect("recorded");
    (frame as i64 - from as i64) * 1000 / i64::from(RATE)
}

/// The tone was there all the time: never silent, never cut nor repeated.
pub fn assert_unbroken(rooms: &Rooms, outputs: &[usize], heard: &Recording) {
    let mut broken = String::new();
    for output in outputs {
        let (name, sound) = (NAMES[output - 1], heard.output(*output));
        let level = tone_level(&sound[..RATE as usize], RATE, TONE);
        let (gap_at, gap) = longest_gap(sound, level - 20.0);
        let (jump_at, jump) = largest_jump(sound, RATE, TONE);
        let seconds = |samples: usize| samples as f64 / f64::from(RATE);
        let found = format!(
            "{name} for {:.0} s at {level:.1} dBFS: longest gap {:.2} ms (at {:.3} s), largest jump {:.0} us (at {:.3} s)",
            seconds(sound.len()),
            seconds(gap) * 1000.0,
            seconds(gap_at),
            jump * 1e6,
            seconds(jump_at)
        );
        println!("receivers: {found}");
        if level < -60.0 || gap > RATE as usize / 1000 || jump > 0.000_25 {
            broken += &format!("{found}\n");
        }
    }
    if !broken.is_empty() {
        panic!("not unbroken:\n{broken}{}", rooms.troubles());
    }
}

/// How far two right channels are apart, chirp by chirp; printed. Hardly a chirp may be missing.
pub fn offsets(who: &str, a: &[f32], b: &[f32]) -> Vec<Offset> {
    let found = chirp_offsets_within(a, b, RATE, REACH);
    print_offsets(who, &found);
    let expected = a.len() / RATE as usize;
    assert!(found.len() + 2 >= expected, "{who}: {} chirps of {expected}", found.len());
    found
}

/// Waits until two outputs have been less than a millisecond apart for three seconds; the frame at their end.
pub fn in_time(recorder: &mut Recorder, a: usize, b: usize) -> usize {
    let mut last = Vec::new();
    let found = wait_for(Duration::from_secs(40), || {
        let here = recorder.frames();
        recorder.wait_for_frames(here + 3 * RATE as usize).ok()?;
        let heard = recorder.since(here);
        last = chirp_offsets_within(heard.channel(a * 2 - 1), heard.channel(b * 2 - 1), RATE, REACH);
        (last.len() >= 2 && last.iter().all(|offset| offset.seconds.abs() < 0.001)).then(|| recorder.frames())
    });
    found.unwrap_or_else(|| panic!("{} and {} do not come in time: {last:?}", NAMES[a - 1], NAMES[b - 1]))
}

/// Prints what a list of offsets amounts to.
pub fn print_offsets(who: &str, offsets: &[Offset]) {
    let part = |part| quantile(offsets.iter().map(|o| o.seconds), part) * 1e6;
    println!(
        "receivers: offset {who}: p50 {:.0} p95 {:.0} p99 {:.0} max {:.0} us ({} chirps)",
        part(0.5),
        part(0.95),
        part(0.99),
        part(1.0),
        offsets.len()
    );
}
