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

/// Waits until nothing changes any more, and answers how loud the outputs from 1 to `outputs` are, in dBFS. Their left
/// channels hold the tone alone; all that is heard counts, as the tone's pitch moves while a receiver finds its pace.
pub fn levels(recorder: &mut Recorder, outputs: usize) -> Vec<f64> {
    let window = RATE as usize / 2;
    let mut before: Vec<f64> = Vec::new();
    let settled = wait_for(PATIENCE, || {
        let here = recorder.frames();
        recorder.wait_for_frames(here + window).ok()?;
        let heard = recorder.since(here);
        let level = |output| {
            let level = total_level(heard.output(output));
            // A muted receiver dithers the last of its 16 bits.
            if level <= -85.0 { SILENCE } else { level }
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

/// The tone was there all the time: never silent, never cut nor repeated. Answers false, having said so, when that cannot
/// be judged because the control was broken too: then this machine had no time for real-time sound.
pub fn assert_unbroken(rooms: &Rooms, outputs: &[usize], heard: &Recording) -> bool {
    let mut broken = String::new();
    for output in outputs {
        let (found, fine) = unbroken(heard.output(*output));
        println!("receivers: {} {found}", NAMES[output - 1]);
        if !fine {
            broken += &format!("{} {found}\n", NAMES[output - 1]);
        }
    }
    if broken.is_empty() {
        return true;
    }
    let (found, fine) = unbroken(heard.output(rooms.control()));
    if !fine {
        println!("receivers: NOT JUDGED, as the control was broken too: {found}");
        return false;
    }
    // To be listened to, where the lab is kept (`ANTIPHON_KEEP_LAB`).
    let _ = heard.write_wav(&rooms.lab.folder().join("broken.wav"));
    panic!("not unbroken:\n{broken}control {found}\n{}", rooms.troubles());
}

/// What is to be said of a sound, and whether it was the tone and never broken.
pub fn unbroken(sound: &[f32]) -> (String, bool) {
    let level = total_level(&sound[..RATE as usize]);
    let (gap_at, gap) = longest_gap(sound, level - 20.0);
    let (jump_at, jump) = largest_jump(sound, RATE, TONE);
    // In each tenth of a second the tone is most of what is heard: a receiver that keeps time bends it a little.
    let another = |part: &&[f32]| tone_level(part, RATE, TONE) < total_level(part) - 3.0;
    let others = sound.chunks_exact(RATE as usize / 10).filter(another).count();
    let seconds = |samples: usize| samples as f64 / f64::from(RATE);
    let found = format!(
        "for {:.0} s at {level:.1} dBFS: longest gap {:.2} ms (at {:.3} s), largest jump {:.0} us (at {:.3} s), \
         {others} tenths of a second with another sound",
        seconds(sound.len()),
        seconds(gap) * 1000.0,
        seconds(gap_at),
        jump * 1e6,
        seconds(jump_at)
    );
    (found, level > -60.0 && others == 0 && gap <= RATE as usize / 1000 && jump <= 0.000_25)
}

/// How far two right channels are apart, chirp by chirp; printed. Few chirps may be missing.
pub fn offsets(who: &str, a: &[f32], b: &[f32]) -> Vec<Offset> {
    let found = chirp_offsets_within(a, b, RATE, REACH);
    print_offsets(who, &found);
    let expected = a.len() / RATE as usize;
    assert!(found.len() * 5 >= expected * 4, "{who}: {} chirps of {expected}", found.len());
    found
}

/// Waits until the first outputs are as loud as `wanted`, to 0.3 dB.
pub fn same_levels(recorder: &mut Recorder, wanted: &[f64]) {
    let mut last = Vec::new();
    let found = wait_for(PATIENCE, || {
        last = levels(recorder, wanted.len());
        wanted.iter().zip(&last).all(|(a, b)| (a - b).abs() < 0.3).then_some(())
    });
    assert!(found.is_some(), "{wanted:.1?} dBFS became {last:.1?}");
}

/// Waits until two outputs have been less than a millisecond apart for three seconds; the frame at their end.
pub fn in_time(recorder: &mut Recorder, a: usize, b: usize) -> usize {
    let mut last = Vec::new();
    let found = wait_for(Duration::from_secs(60), || {
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
