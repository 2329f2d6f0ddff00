//! One phase: a lab is made, every team plays, everything is recorded at once and judged.

use std::time::Duration;

use crate::judge::{self, TeamFigures};
use crate::support::house::House;
use crate::support::lab::Lab;
use crate::support::lab::error::{LabError, LabResult};
use crate::support::lab::rack::{Offer, RATE, Rack, SAP};
use crate::support::stimulus::{chirps, interleaved, sine, write_wav};
use crate::support::teams::{self, HOSTS, Place, Playing, SNAPSERVER_RATE, Sound, Team};

/// What is played before the figures count, seconds: receivers find their pace.
pub const SETTLE: u32 = 20;

/// Both tones' pitch and the level of the one alone, on the left.
pub const TONE: f64 = 997.0;
const TONE_LEVEL: f64 = 0.25;

/// Teams of the same receivers, ours and whom it is compared with.
pub struct Case {
    pub name: String,
    pub teams: Vec<TeamFigures>,
}

/// Runs it; `length` is measured after the first [`SETTLE`] seconds.
pub fn run(teams: &[Team], length: Duration) -> LabResult<Vec<Case>> {
    let places = teams::places(teams);
    let all: Vec<&Place> = places.iter().flatten().collect();
    let mut hosts = HOSTS.to_vec();
    hosts.extend(all.iter().map(|place| place.host.as_str()));
    let lab = Lab::new(&hosts)?;
    let offer = Offer { host: "rack", rtp: &[], sap: SAP, announced: false };
    let rack = Rack::on_network(&lab, all.len(), offer)?;

    // As long as it takes to begin, to settle, to measure.
    let seconds = length.as_secs_f64() + f64::from(SETTLE) + 60.0;
    let make = |rate: u32| (sine(rate, seconds, TONE, TONE_LEVEL), chirps(rate, seconds));
    let file = format!("tone-{TONE}-{}s.wav", seconds as u32);
    let media = lab.folder().join("alexa").join("media");
    let wav = media.join(&file);
    let (left, right) = make(44_100);
    std::fs::create_dir_all(&media)
        .and_then(|()| write_wav(&wav, 44_100, &[&left, &right]))
        .map_err(|e| LabError::failed("write the sound", e))?;
    let (left, right) = make(SNAPSERVER_RATE);
    let raw = interleaved(&left, &right);
    drop((left, right));

    let house = House::start(&lab, "hub", &teams::configuration(&lab, teams, &places))?;
    let url = house.simulator().track(&file);
    let mut playing = Vec::new();
    for (team, places) in teams.iter().zip(&places) {
        playing.push(Playing::start(&lab, &rack, &house, team, places)?);
    }
    let mut recorder = rack.record()?;
    for team in &mut playing {
        team.play(&lab, &house, &Sound { url: &url, wav: &wav, raw: &raw })?;
    }
    drop(raw);
    let begun = recorder.frames();
    let settled = begun + (SETTLE * RATE) as usize;
    recorder.wait_for_frames(settled)?;
    let over = settled + (length.as_secs_f64() * f64::from(RATE)) as usize;
    recorder.wait_for_frames(over)?;
    drop(playing);
    drop(house);
    let heard = recorder.finish()?;
    if std::env::var_os("ANTIPHON_KEEP_LAB").is_some() {
        heard.write_wav(&lab.folder().join("heard.wav"))?;
    }
    let mut cases: Vec<Case> = Vec::new();
    for (team, places) in teams.iter().zip(&places) {
        let figures = judge::team(team.sender, places, &heard, settled, over);
        let name = figures.label();
        match cases.iter_mut().find(|case| case.name == name) {
            Some(case) => case.teams.push(figures),
            None => cases.push(Case { name, teams: vec![figures] }),
        }
    }
    Ok(cases)
}
