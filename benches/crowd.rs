//! A crowd: 24 snapclients, 4 shairport-syncs and 4 Sendspin players hear one stream of one hub, all on this machine:
//! `make crowd`.
//!
//! Prints what the hub takes of the machine, every count of the hub's own that says that something came too late or was
//! dropped, and what the receivers' logs say of missing sound. The receivers are real; the snapclients play into nothing, the
//! others into a rack of outputs. `--minutes N` measures for so long; without it nothing is done.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on says where")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::house::House;
use support::lab::error::LabResult;
use support::lab::rack::Rack;
use support::lab::receiver::Receiver;
use support::lab::sendspin::SendspinPlayer;
use support::lab::snapcast::{self, Sink, SnapClient};
use support::lab::{Lab, process::Process};
use support::stimulus::{sine, write_wav};
use support::{LabError, patience::wait_for};

const SNAPCLIENTS: usize = 24;
const SHAIRPORTS: usize = 4;
const SENDSPINS: usize = 4;

/// Until everybody plays and has found its pace.
const SETTLE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let minutes = arguments.find(|word| word == "--minutes").and_then(|_| arguments.next());
    let Some(minutes) = minutes else {
        println!("crowd: nothing measured: `make crowd` does, for some minutes");
        return;
    };
    let minutes: f64 = minutes.parse().expect("minutes");
    match run(Duration::from_secs_f64(minutes * 60.0)) {
        Ok(()) => {}
        Err(LabError::Missing(things)) => {
            println!("crowd: SKIPPED: this machine lacks {}", things.join(", "))
        }
        Err(trouble) => panic!("{trouble}"),
    }
}

/// Everybody who listens.
struct Crowd {
    clients: Vec<SnapClient>,
    receivers: Vec<Receiver>,
    players: Vec<SendspinPlayer>,
}

fn run(length: Duration) -> LabResult<()> {
    let mut hosts = vec!["hub".to_owned(), "snaps".to_owned()];
    hosts.extend((1..=SHAIRPORTS).map(|number| format!("air{number}")));
    hosts.extend((1..=SENDSPINS).map(|number| format!("spin{number}")));
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let lab = Lab::new(&hosts)?;
    let rack = Rack::new(&lab, SHAIRPORTS + SENDSPINS)?;
    let seconds = (length + SETTLE + PATIENCE).as_secs_f64();
    // A name of its own: the simulator makes tones of ten minutes at most.
    let file = format!("crowd-{}s.wav", seconds as u32);
    let media = lab.folder().join("alexa").join("media");
    let tone = sine(44_100, seconds, 440.0, 0.25);
    std::fs::create_dir_all(&media)
        .and_then(|()| write_wav(&media.join(&file), 44_100, &[&tone, &tone]))
        .map_err(|e| LabError::failed("write the sound", e))?;
    drop(tone);
    let mut house = House::start(&lab, "hub", "[discovery]\ninterfaces = [\"eth0\"]\n")?;
    let alone = house.hub().resident_kib().unwrap_or_default();
    let mut crowd = Crowd { clients: Vec::new(), receivers: Vec::new(), players: Vec::new() };
    let server = (lab.address("hub"), snapcast::PORT);
    for number in 1..=SNAPCLIENTS {
        crowd.clients.push(lab.snapclient("snaps", &format!("snap{number}"), server, Sink::Nowhere)?);
    }
    for number in 1..=SHAIRPORTS {
        let host = format!("air{number}");
        crowd.receivers.push(lab.receiver(&host, &host, &rack, number)?);
    }
    for number in 1..=SENDSPINS {
        let host = format!("spin{number}");
        match lab.sendspin(&host, &host, &rack, SHAIRPORTS + number, None) {
            Ok(player) => crowd.players.push(player),
            Err(LabError::Missing(things)) => {
                println!("crowd: WITHOUT Sendspin players: this machine lacks {}", things.join(", "));
                break;
            }
            Err(trouble) => return Err(trouble),
        }
    }
    let many = crowd.clients.len() + crowd.receivers.len() + crowd.players.len();
    let begun = Instant::now();
    let ids = present(&lab, &house, many)?;
    println!("crowd: {many} found within {:.1} s", begun.elapsed().as_secs_f64());
    let mut group = vec!["group", "crowd"];
    group.extend(ids.iter().map(String::as_str));
    house.antiphon(&lab, &group)?;
    house.antiphon(&lab, &["play", "crowd", &house.simulator().track(&file)])?;
    house.wait_for_picture(&lab, "everybody plays", PATIENCE, |picture| {
        speakers(picture).filter(|speaker| speaker["playing"] == true).count() == many
    })?;
    std::thread::sleep(SETTLE);

    let before = counts(&lab)?;
    let cpu = house.hub().cpu_seconds().unwrap_or_default();
    let logs = crowd.logs();
    std::thread::sleep(length);
    let used = house.hub().cpu_seconds().unwrap_or_default() - cpu;
    let resident = house.hub().resident_kib().unwrap_or_default();
    let after = counts(&lab)?;
    let minutes = length.as_secs_f64() / 60.0;
    println!("crowd_hub_cpu{{receivers=\"{many}\"}} {:.3} cpu-s/stream-minute", used / minutes);
    println!("crowd_hub_memory{{receivers=\"{many}\"}} {:.1} MiB", resident as f64 / 1024.0);
    println!("crowd_hub_memory{{receivers=\"0\"}} {:.1} MiB", alone as f64 / 1024.0);
    let picture = house.get(&lab, "/api/hub")?;
    let playing = speakers(&picture).filter(|speaker| speaker["playing"] == true).count();
    println!("crowd_still_playing {playing} of {many}");
    let mut more: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, count) in &after {
        let family = name.split('{').next().unwrap_or(name);
        *more.entry(family).or_default() += count - before.get(name).copied().unwrap_or_default();
    }
    for (name, count) in more {
        println!("crowd_hub_count{{of=\"{name}\"}} {count:.0}");
    }
    crowd.print_troubles(&logs);
    Ok(())
}

impl Crowd {
    fn processes(&mut self) -> Vec<(&'static str, &mut Process)> {
        let mut all: Vec<(&'static str, &mut Process)> = Vec::new();
        all.extend(self.clients.iter_mut().map(|client| ("snapcast", client.process())));
        all.extend(self.receivers.iter_mut().map(|receiver| ("airplay", receiver.process())));
        all.extend(self.players.iter_mut().map(|player| ("sendspin", player.process())));
        all
    }

    /// How long each log is.
    fn logs(&mut self) -> Vec<usize> {
        self.processes().iter().map(|(_, process)| process.log().len()).collect()
    }

    /// What each log has said of missing sound since it was so long.
    fn print_troubles(&mut self, since: &[usize]) {
        let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((kind, process), from) in self.processes().into_iter().zip(since) {
            let log = process.log();
            let new = log.get(*from..).unwrap_or_default();
            let troubles = new.lines().filter(|line| is_trouble(kind, line)).map(str::to_owned);
            lines.entry(kind).or_default().extend(troubles);
        }
        for (kind, lines) in lines {
            println!("crowd_receivers_complaints{{kind=\"{kind}\"}} {}", lines.len());
            for line in lines.iter().take(5) {
                println!("  {line}");
            }
        }
    }
}

/// Whether a line of a receiver's log tells of sound that was missing or late.
fn is_trouble(kind: &str, line: &str) -> bool {
    match kind {
        // Its words for chunks that are not there, or that came too late to be played.
        "snapcast" => ["No chunk", "Not enough frames", "Failed to", "too old", "Silent frames", "Exception"]
            .iter()
            .any(|words| line.contains(words)),
        // The columns of its statistics: missing, late and too late packets are the 5th to 7th.
        "airplay" => {
            let columns: Vec<&str> = line.split(',').map(str::trim).collect();
            let lost = columns
                .get(4..7)
                .is_some_and(|some| some.iter().any(|n| n.parse::<u64>().is_ok_and(|n| n > 0)));
            lost || line.contains("underrun") || line.contains("missing packet")
        }
        _ => ["WARNING", "ERROR", "underrun", "Underrun"].iter().any(|word| line.contains(word)),
    }
}

/// Waits until so many are present, lets those in that wait for a person, and answers their ids.
fn present(lab: &Lab, house: &House, many: usize) -> LabResult<Vec<String>> {
    let mut found = Vec::new();
    let done = wait_for(PATIENCE, || {
        let picture = house.get(lab, "/api/hub").ok()?;
        found = speakers(&picture)
            .filter(|speaker| speaker["endpoint"]["state"] == "present")
            .filter_map(|speaker| speaker["id"].as_str().map(str::to_owned))
            .collect();
        support::rooms::approve_all(house, lab);
        (found.len() >= many).then_some(())
    });
    done.ok_or_else(|| {
        LabError::failed(format!("find {many} receivers"), format!("{}: {found:?}", found.len()))
    })?;
    Ok(found)
}

fn speakers(picture: &Value) -> impl Iterator<Item = &Value> {
    picture["speakers"].as_array().into_iter().flatten()
}

/// The hub's counts that tell of sound that came too late or was dropped, by their whole name.
fn counts(lab: &Lab) -> LabResult<BTreeMap<String, f64>> {
    let (_, text) = lab.get("hub", "http://127.0.0.1:8780/metrics")?;
    let words = [
        "late", "unsent", "resent", "refused", "lost", "underrun", "gone", "stall", "skipped", "slow",
        "dropped",
    ];
    let counted = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let family = name.split('{').next()?;
        let wanted = family.ends_with("_total") && words.iter().any(|word| family.contains(word));
        wanted.then(|| Some((name.to_owned(), value.parse().ok()?)))?
    });
    let counts: BTreeMap<String, f64> = counted.collect();
    // None of them would be as good as none above 0.
    if !counts.keys().any(|name| name.starts_with("antiphon_render_late_blocks_total")) {
        return Err(LabError::failed("read the hub's counts", text));
    }
    Ok(counts)
}
