//! How well real receivers play together, from this hub and, in the same minutes on the same bench, from the rival's
//! sender: `make sync-report`.
//!
//! Each phase is a lab of its own: hosts on a private network, real receivers that all play into one rack of outputs
//! with one clock, a sender for each team of receivers. All teams of a phase play the same sound at the same time, so
//! what disturbs the machine disturbs everybody. The sound chirps once a second; how far apart two receivers are is read
//! from their chirps, sample for sample in one recording. Prints a line for each team, writes `sync.json` and `sync.png`.
//!
//! Arguments: `--seconds N` to measure each phase for so long (without it nothing is done), `--only WORD,...` for phases
//! whose name has one of the words, `--out FOLDER`, `--calibrate` to print what the rows of the calibration table should be.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on says where")]

#[path = "../../tests/support/mod.rs"]
mod support;

mod calibrate;
mod judge;
mod phase;
mod plot;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use report::Report;
use support::LabError;
use support::teams::{Make, Sender, Team};

/// What is asked for on the command line.
struct Wish {
    seconds: u32,
    only: Vec<String>,
    out: PathBuf,
    calibrate: bool,
}

fn main() {
    let Some(wish) = wish() else {
        println!("sync: nothing measured: `make sync-report` does, for some minutes");
        return;
    };
    let mut report = Report::new(wish.seconds);
    for (name, teams) in phases(wish.calibrate) {
        if !wish.only.is_empty() && !wish.only.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        eprintln!("sync: {name}: {} s", wish.seconds);
        match phase::run(&teams, Duration::from_secs(u64::from(wish.seconds))) {
            Ok(cases) => {
                for case in cases {
                    case.print();
                    if wish.calibrate {
                        calibrate::print(&case);
                    }
                    report.cases.push(case);
                }
            }
            Err(LabError::Missing(things)) => {
                println!("sync {name}: SKIPPED: this machine lacks {}", things.join(", "));
            }
            Err(trouble) => {
                println!("sync {name}: FAILED: {trouble}");
                report.failed.push(format!("{name}: {trouble}"));
            }
        }
    }
    report.print();
    std::fs::create_dir_all(&wish.out).expect("a folder for the report");
    report.write_json(&wish.out.join("sync.json")).expect("the report is written");
    match plot::draw(&report, &wish.out.join("sync.png")) {
        Ok(()) => println!("sync: {0}/sync.json and {0}/sync.png", wish.out.display()),
        Err(e) => println!("sync: {}/sync.json; no picture: {e}", wish.out.display()),
    }
    assert!(report.failed.is_empty(), "not everything could be measured: {:?}", report.failed);
}

/// The phases: which receivers play together, and who sends to them.
fn phases(calibrate: bool) -> Vec<(&'static str, Vec<Team>)> {
    use Make::{Airplay, Pulse, Rtp, Sendspin, Snapcast};
    let ours = |makes: &[Make]| Team::new(Sender::Antiphon, makes);
    let mixed = ours(&[Airplay, Snapcast, Pulse, Rtp]);
    if calibrate {
        return vec![("mixed group", vec![mixed])];
    }
    let snapcast =
        |many| [Sender::Antiphon, Sender::Snapserver].map(|sender| Team::new(sender, &vec![Snapcast; many]));
    let airplay =
        |many| [Sender::Antiphon, Sender::PulseRaop].map(|sender| Team::new(sender, &vec![Airplay; many]));
    let sendspin = [Sender::Antiphon, Sender::SendspinServe].map(|sender| Team::new(sender, &[Sendspin; 2]));
    vec![
        ("pairs of snapclients and of shairport-syncs", [snapcast(2), airplay(2)].concat()),
        ("4 snapclients", snapcast(4).to_vec()),
        ("4 shairport-syncs", airplay(4).to_vec()),
        ("4 pulse sinks and a mixed group", vec![ours(&[Pulse; 4]), mixed]),
        ("2 sendspin players", sendspin.to_vec()),
    ]
}

fn wish() -> Option<Wish> {
    let mut wish = Wish { seconds: 0, only: Vec::new(), out: PathBuf::from("target/sync"), calibrate: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().expect("a value behind the option");
        match argument.as_str() {
            "--seconds" => wish.seconds = value().parse().expect("seconds"),
            "--only" => wish.only = value().split(',').map(|word| word.trim().to_owned()).collect(),
            "--out" => wish.out = PathBuf::from(value()),
            "--calibrate" => wish.calibrate = true,
            // What cargo passes of its own accord.
            "--bench" => {}
            "--test" => return None,
            other => panic!("what is {other}? The head of this file says what there is"),
        }
    }
    wish.only.retain(|word| !word.is_empty());
    (wish.seconds > 0).then_some(wish)
}
