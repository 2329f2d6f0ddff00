//! How soon a spoken volume is heard: SetVolume at one speaker of a group of two real receivers (shairport-sync, found by
//! mDNS in a private network), until the captured PCM of each has its new level to 1 dB.
//!
//! The clock starts when the simulator has written the directive. The recording says when a sample came out only to
//! about 20 ms (early rather than late), and a level needs 10 ms of sound to be seen. Nobody's output buffer is left
//! out: what is measured is what a listener hears.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on says where")]

#[path = "support/mod.rs"]
mod bench;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use support::analysis::total_level;
use support::lab::rack::RATE;
use support::lab::recording::Recorder;
use support::patience::wait_for;
use support::rooms::{NAMES, Rooms};

const CHANGES: usize = 16;
/// After so long a change is through, whatever the machine does.
const SETTLED: Duration = Duration::from_millis(1500);

fn main() {
    if bench::only_tried() {
        return;
    }
    let Some(mut rooms) = support::or_skip(Rooms::new(2, &[])) else { return };
    let names = &NAMES[..2];
    for _ in names {
        rooms.add_receiver().expect("found");
    }
    rooms.link(names).expect("linked");
    rooms.house.antiphon(&rooms.lab, &["group", "downstairs", names[0], names[1]]).expect("grouped");
    let mut recorder = rooms.rack.record().expect("record");
    rooms.say(names[0], &format!("play {}", rooms.track()));
    rooms.wait_until_playing(names).expect("they play");
    rooms.say(names[0], "set volume to 70 percent");
    // Both sound, and the caution of a first sound is over.
    let sounding =
        wait_for(bench::PATIENCE, || hear(&mut recorder).iter().all(|level| *level > -40.0).then_some(()));
    sounding.expect("both are heard");
    let mut taken = Vec::new();
    for turn in 0..CHANGES {
        let percent = if turn % 2 == 0 { 40 } else { 70 };
        let said = rooms.say(names[turn % 2], &format!("set volume to {percent} percent"));
        let after = hear(&mut recorder);
        let heard = recorder.since(recorder.frame_at(said).expect("recorded"));
        for (output, level) in after.into_iter().enumerate() {
            taken.push(changed(heard.output(output + 1), level).expect("the change is heard"));
        }
    }
    bench::percentiles("set_volume_to_heard", "receiver=\"shairport-sync\"", taken);
    assert_eq!(rooms.violations(), "");
}

/// Lets a change pass; how loud each output is then, in dBFS. Its left channel holds a steady tone alone.
fn hear(recorder: &mut Recorder) -> [f64; 2] {
    std::thread::sleep(SETTLED);
    let here = recorder.frames();
    recorder.wait_for_frames(here + RATE as usize / 4).expect("record");
    let heard = recorder.since(here);
    [1, 2].map(|output| total_level(heard.output(output)))
}

/// When it has this level to 1 dB.
fn changed(sound: &[f32], level: f64) -> Option<Duration> {
    let step = RATE as usize / 200;
    let window = 2 * step;
    let at = (0..sound.len().saturating_sub(window))
        .step_by(step)
        .find(|at| (total_level(&sound[*at..at + window]) - level).abs() < 1.0)?;
    Some(Duration::from_secs_f64((at + window) as f64 / f64::from(RATE)))
}
