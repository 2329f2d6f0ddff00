//! A group of receivers of every kind that there is: it plays one stream together, and a member that is killed, frozen,
//! cut off or slowed costs nobody else a sample and comes back by itself.
//!
//! Figures are printed; `cargo nextest run --no-capture --test mixed` shows them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

mod support;

use std::time::{Duration, Instant};
use support::analysis::{chirp_offsets_within, quantile};
use support::heard::unbroken;
use support::house::House;
use support::lab::Lab;
use support::lab::error::LabResult;
use support::lab::process::Process;
use support::lab::rack::{Offer, RATE, Rack, SAP};
use support::lab::recording::{Recorder, Recording};
use support::lab::sendspin;
use support::lab::weather::Weather;
use support::or_skip;
use support::patience::wait_for;
use support::rooms::{play_control, track, write_track};
use support::teams::{self, HOSTS, Make, Place, Playing, Sender, Sound, Team};

/// The first two of these are the ones that fail. The last has an output with a constant delay of its own, so that its
/// time is not judged here; that it is never broken is.
const MAKES: [Make; 7] =
    [Make::Airplay, Make::Snapcast, Make::Airplay, Make::Snapcast, Make::Pulse, Make::Rtp, Make::Sendspin];

/// What two of them may be apart at most, seconds, for most of the chirps. The distribution is the sync report's matter.
const IN_TIME: f64 = 0.001;
/// So many chirps are judged at once, one a second.
const CHIRPS: usize = 5;
/// How long finding each other may take. snapclient 0.26 goes by the delay that libpulse guesses, and after a start
/// wanders by up to 3 ms for half a minute, whoever sends to it (snapserver's wander no less).
const PATIENCE: Duration = Duration::from_secs(90);

/// Everything, in the order of its end.
struct Mixed {
    playing: Playing,
    house: House,
    _control: Process,
    rack: Rack,
    lab: Lab,
    places: Vec<Place>,
}

#[test]
fn lab_mixed_group_plays_in_time_and_fails_one_by_one() {
    let Some(mut mixed) = or_skip(Mixed::start()) else { return };
    let mut recorder = mixed.rack.record().expect("record");
    mixed.play();
    let timed = mixed.timed();
    mixed.wait_in_time(&mut recorder, &timed);

    let (airplay, snapcast) = (0, 1);
    mixed.fail(&mut recorder, snapcast, "killed", |mixed| {
        mixed.playing.clients[0].kill9();
        std::thread::sleep(Duration::from_secs(1));
        mixed.playing.clients[0].start_again(&mixed.lab).expect("started");
    });
    mixed.fail(&mut recorder, airplay, "frozen", |mixed| {
        mixed.playing.receivers[0].process().freeze();
        std::thread::sleep(Duration::from_secs(4));
        mixed.playing.receivers[0].process().thaw();
    });
    mixed.fail(&mut recorder, snapcast, "cut off", |mixed| {
        let host = mixed.places[snapcast].host.clone();
        mixed.lab.set_cable(&host, false).expect("pulled");
        std::thread::sleep(Duration::from_secs(4));
        mixed.lab.set_cable(&host, true).expect("plugged");
    });
    let line = or_skip(mixed.lab.line(&mixed.places[airplay].host, 7));
    if let Some(line) = line {
        mixed.fail(&mut recorder, airplay, "slow and lossy", |_| {
            let (delay, jitter) = (Duration::from_millis(40), Duration::from_millis(300));
            line.set(Weather { delay, jitter, loss: 0.2, ..Weather::default() });
            std::thread::sleep(Duration::from_secs(5));
            line.set(Weather::default());
        });
    }
    let line = or_skip(mixed.lab.line(&mixed.places[snapcast].host, 8));
    if let Some(line) = line {
        mixed.fail(&mut recorder, snapcast, "too slow for its stream", |_| {
            line.set(Weather { bytes_per_second: Some(4_000), loss: 0.05, ..Weather::default() });
            std::thread::sleep(Duration::from_secs(8));
            line.set(Weather::default());
        });
    }
}

impl Mixed {
    fn start() -> LabResult<Self> {
        let mut makes = MAKES.to_vec();
        if or_skip(sendspin::available()).is_none() {
            makes.retain(|make| *make != Make::Sendspin);
        }
        let team = [Team::new(Sender::Antiphon, &makes)];
        let places = teams::places(&team).remove(0);
        let mut hosts = HOSTS.to_vec();
        hosts.extend(places.iter().map(|place| place.host.as_str()));
        let lab = Lab::new(&hosts)?;
        let offer = Offer { host: "rack", rtp: &[], sap: SAP, announced: false };
        let rack = Rack::on_network(&lab, places.len() + 1, offer)?;
        let control = play_control(&lab, &rack, places.len() + 1)?;
        write_track(&lab)?;
        let configuration = teams::configuration(&lab, &team, std::slice::from_ref(&places));
        let house = House::start(&lab, "hub", &configuration)?;
        let playing = Playing::start(&lab, &rack, &house, &team[0], &places)?;
        Ok(Self { playing, house, _control: control, rack, lab, places })
    }

    fn play(&mut self) {
        let url = self.house.simulator().track(&track());
        let sound = Sound { url: &url, wav: self.lab.folder(), raw: &[] };
        self.playing.play(&self.lab, &self.house, &sound).expect("asked to play");
    }

    /// Those whose time can be judged.
    fn timed(&self) -> Vec<usize> {
        let all = self.places.iter().enumerate();
        all.filter(|(_, place)| place.make != Make::Sendspin).map(|(member, _)| member).collect()
    }

    /// Waits until these have been in time with each other for some chirps; how long that took.
    fn wait_in_time(&self, recorder: &mut Recorder, members: &[usize]) -> Duration {
        let begun = Instant::now();
        let mut worst = String::new();
        let found = wait_for(PATIENCE, || {
            let here = recorder.frames();
            recorder.wait_for_frames(here + (CHIRPS + 1) * RATE as usize).ok()?;
            let heard = recorder.since(here);
            let (all, told) = self.offsets(&heard, members);
            worst = told;
            let pairs = members.len() * (members.len() - 1) / 2;
            let enough = all.len() >= pairs * (CHIRPS - 1);
            (enough && quantile(all.iter().copied(), 0.8) < IN_TIME).then_some(())
        });
        assert!(found.is_some(), "not in time:\n{worst}\n{}", self.house.hub_log());
        print!("{worst}");
        // The chirps themselves are not waiting.
        begun.elapsed().saturating_sub(Duration::from_secs(CHIRPS as u64 + 1))
    }

    /// All offsets of all pairs, and what there is to say of each pair.
    fn offsets(&self, heard: &Recording, members: &[usize]) -> (Vec<f64>, String) {
        let right = |member: usize| heard.channel(self.places[member].output * 2 - 1);
        let (mut all, mut told) = (Vec::new(), String::new());
        for (number, a) in members.iter().enumerate() {
            for b in &members[number + 1..] {
                let found = chirp_offsets_within(right(*a), right(*b), RATE, 0.02);
                let found: Vec<f64> = found.iter().map(|offset| offset.seconds).collect();
                let part = |part| quantile(found.iter().copied(), part) * 1e6;
                told += &format!(
                    "mixed: {} and {}: p50 {:.0} max {:.0} us of {} chirps\n",
                    self.name(*a),
                    self.name(*b),
                    part(0.5),
                    part(1.0),
                    found.len()
                );
                all.extend(found);
            }
        }
        (all, told)
    }

    /// Lets one fail and waits until it is back in time with everybody; nobody else notices anything.
    fn fail(&mut self, recorder: &mut Recorder, who: usize, how: &str, what: impl Fn(&mut Self)) {
        // Once more where this machine had no time for real-time sound.
        for _ in 0..3 {
            let from = recorder.frames();
            let begun = Instant::now();
            what(self);
            let happened = begun.elapsed();
            let others: Vec<usize> = (0..self.places.len()).filter(|member| *member != who).collect();
            let took = self.wait_in_time(recorder, &self.timed());
            println!(
                "mixed: {} {how} for {:.1} s, in time again after {:.0} s",
                self.name(who),
                happened.as_secs_f64(),
                took.as_secs_f64()
            );
            if self.unharmed(&recorder.since(from), &others) {
                return;
            }
        }
        panic!("this machine has no time for real-time sound");
    }

    /// Whether these were never broken; false when that cannot be judged, as the control was broken too.
    fn unharmed(&self, heard: &Recording, members: &[usize]) -> bool {
        let broken: Vec<String> = members
            .iter()
            .map(|member| (member, unbroken(heard.output(self.places[*member].output))))
            .filter(|(_, (_, fine))| !fine)
            .map(|(member, (found, _))| format!("{} {found}", self.name(*member)))
            .collect();
        if broken.is_empty() {
            return true;
        }
        let (control, fine) = unbroken(heard.output(self.places.len() + 1));
        if !fine {
            println!("mixed: NOT JUDGED, as the control was broken too: {control}\n{}", broken.join("\n"));
            return false;
        }
        // To be listened to, where the lab is kept (`ANTIPHON_KEEP_LAB`).
        let _ = heard.write_wav(&self.lab.folder().join("broken.wav"));
        panic!("not unharmed:\n{}\ncontrol {control}\n{}", broken.join("\n"), self.house.hub_log());
    }

    fn name(&self, member: usize) -> String {
        format!("{}-{}", self.places[member].make.kind(), self.places[member].output)
    }
}
