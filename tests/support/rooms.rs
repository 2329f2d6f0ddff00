//! Rooms with real receivers in a house of the lab: each receiver on a host of its own, all playing into one rack, and
//! nothing configured: the hub finds them by mDNS, and people link and group them by the program `antiphon`.
//!
//! What is played is a sound that can be judged ([`Rooms::track`]): the left channel holds a steady tone, the
//! right one chirps.

use super::house::House;
use super::lab::Lab;
use super::lab::error::{LabError, LabResult};
use super::lab::process::Process;
use super::lab::rack::{RATE, Rack, with_priority};
use super::lab::receiver::Receiver;
use super::patience::wait_for;
use super::stimulus::{chirps, sine, write_wav};
use serde_json::Value;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The names of the receivers, by the number of their host and output, from 1.
pub const NAMES: [&str; 4] = ["Kitchen", "Bath", "Study", "Attic"];

/// The steady tone, and its level in dBFS.
pub const TONE: f64 = 997.0;
/// See [`TONE`].
pub const TONE_LEVEL: f64 = -12.04;

/// The track's length in seconds.
const LENGTH: u32 = 300;
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything, in the order of its end.
pub struct Rooms {
    pub house: House,
    pub receivers: Vec<Receiver>,
    pub rack: Rack,
    control: Process,
    ear: Ear,
    pub lab: Lab,
}

impl Rooms {
    /// A house for `most` receivers, none of which runs yet, and hosts for others.
    pub fn new(most: usize, others: &[&str]) -> LabResult<Self> {
        let names: Vec<String> = (1..=most).map(|number| format!("r{number}")).collect();
        let mut hosts = vec!["hub", "ear"];
        hosts.extend(names.iter().map(String::as_str));
        hosts.extend(others);
        let lab = Lab::new(&hosts)?;
        let rack = Rack::new(&lab, most + 1)?;
        let control = play_control(&lab, &rack, most + 1)?;
        let ear = Ear::open(&lab)?;
        write_track(&lab)?;
        let house = House::start(&lab, "hub", "[discovery]\ninterfaces = [\"eth0\"]")?;
        Ok(Self { house, receivers: Vec::new(), rack, control, ear, lab })
    }

    /// Starts the next receiver and waits until the hub shows it; how long that took from its announcement.
    pub fn add_receiver(&mut self) -> LabResult<Duration> {
        let number = self.receivers.len() + 1;
        let name = NAMES[number - 1];
        self.ear.forget();
        self.receivers.push(self.lab.receiver(&format!("r{number}"), name, &self.rack, number)?);
        self.wait_for_state(name, "present", PATIENCE)?;
        let shown = Instant::now();
        let announced = self.announced(name)?;
        Ok(shown.saturating_duration_since(announced))
    }

    /// When `name` was announced, first since a receiver was added or [`Rooms::forget_announcements`].
    pub fn announced(&self, name: &str) -> LabResult<Instant> {
        wait_for(PATIENCE, || self.ear.announced(name))
            .ok_or_else(|| LabError::failed("hear an announcement", format!("nobody announced {name}")))
    }

    /// Only later announcements count.
    pub fn forget_announcements(&self) {
        self.ear.forget();
    }

    /// The output of the rack which plays the control: the tone, from a file, by a player that has nothing to do with us.
    pub fn control(&self) -> usize {
        self.rack.outputs()
    }

    /// The URL of the track.
    pub fn track(&self) -> String {
        self.house.simulator().track(&track())
    }

    /// Links speakers to Amazon accounts as people do: `antiphon link` shows a code, which is entered.
    pub fn link(&self, names: &[&str]) -> LabResult<()> {
        let mut asking = Vec::new();
        for name in names {
            let mut command = self.lab.command("hub", env!("CARGO_BIN_EXE_antiphon"));
            command.args(["link", name]);
            asking.push(self.lab.spawn(&format!("link-{name}"), command)?);
        }
        let linked = wait_for(Duration::from_secs(60), || {
            for (code, _) in self.house.simulator().pending_codes() {
                // Approved twice when the device has not asked again yet; that is refused, and does no harm.
                let _ = self.house.simulator().approve(&code);
            }
            asking.iter_mut().all(|link| link.ended().is_some()).then_some(())
        });
        linked.ok_or_else(|| {
            LabError::failed("link the speakers", asking.iter().map(|l| l.log()).collect::<String>())
        })?;
        for (name, link) in names.iter().zip(&mut asking) {
            if !link.ended().is_some_and(|status| status.success()) {
                return Err(LabError::failed(format!("link {name}"), link.log()));
            }
        }
        Ok(())
    }

    /// The serial number by which the service knows a speaker.
    pub fn dsn(&self, name: &str) -> String {
        let device = self.house.simulator().device(name);
        device.unwrap_or_else(|| panic!("the service knows no {name}")).dsn
    }

    /// Says something to a speaker; answers when its directives were written.
    pub fn say(&self, name: &str, sentence: &str) -> Instant {
        self.house.wait(self.house.simulator().say(name, sentence)).expect("understood and sent");
        Instant::now()
    }

    /// A speaker as the hub shows it; `Null` when it does not.
    pub fn speaker(&self, name: &str) -> LabResult<Value> {
        Ok(find(&self.house.get(&self.lab, "/api/hub")?, name))
    }

    /// Waits until a speaker's endpoint is in a state, and answers the speaker.
    pub fn wait_for_state(&self, name: &str, state: &str, patience: Duration) -> LabResult<Value> {
        self.wait_for_speaker(name, state, patience, |speaker| speaker["endpoint"]["state"] == state)
    }

    /// Waits until the hub shows a speaker as wanted, and answers it.
    pub fn wait_for_speaker(
        &self,
        name: &str,
        what: &str,
        patience: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> LabResult<Value> {
        let what = format!("wait until {name} is {what}");
        let picture = self
            .house
            .wait_for_picture(&self.lab, &what, patience, |picture| wanted(&find(picture, name)))?;
        Ok(find(&picture, name))
    }

    /// Waits until these are shown to be playing.
    pub fn wait_until_playing(&self, names: &[&str]) -> LabResult<()> {
        for name in names {
            self.wait_for_speaker(name, "playing", PATIENCE, |speaker| speaker["playing"] == true)?;
        }
        Ok(())
    }

    /// What the hub and the receivers know of faults in the sound, to judge whose they were.
    pub fn troubles(&self) -> String {
        let mut text = String::new();
        let metrics = self.lab.get("hub", "http://127.0.0.1:8780/metrics").unwrap_or_default().1;
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            let words = [
                "late", "unsent", "resent", "refused", "lost", "underrun", "gone", "stalls", "skipped",
                "slow",
            ];
            if words.iter().any(|word| line.contains(word)) && !line.ends_with(" 0") {
                text += &format!("{line}\n");
            }
        }
        for number in 1..=self.receivers.len() {
            let log = std::fs::read_to_string(self.lab.folder().join(format!("receiver-r{number}.log")));
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            text += &format!("r{number}:\n{}\n", lines[lines.len().saturating_sub(15)..].join("\n"));
        }
        text + &self.house.hub_log()
    }

    /// Everything that any device did against the rules of the service.
    pub fn violations(&self) -> String {
        let violations = self.house.simulator().violations();
        violations.iter().map(|v| format!("{v:?}\n")).collect()
    }
}

/// Lets everybody in who waits for a person's approval, as the operator of the house would.
pub fn approve_all(house: &House, lab: &Lab) {
    let Ok(asks) = house.get(lab, "/api/pairing") else { return };
    for ask in asks.as_array().into_iter().flatten() {
        let Some(speaker) = ask["speaker"].as_str() else { continue };
        if ask["wants"] == "approval" {
            // One that went away meanwhile is asked for again.
            let _ = house.antiphon(lab, &["pair", speaker, "approve"]);
        }
    }
}

/// Plays the tone on an output of its own with a short buffer. Where it breaks off the machine did not let anybody play.
pub fn play_control(lab: &Lab, rack: &Rack, output: usize) -> LabResult<Process> {
    let file = lab.folder().join("control.wav");
    write_wav(&file, RATE, &[&sine(RATE, f64::from(LENGTH) + 60.0, TONE, 0.25)])
        .map_err(|e| LabError::failed("write the control", e))?;
    let player = with_priority("paplay");
    let mut command = rack.client(&player.get_program().to_string_lossy());
    command.args(player.get_args()).arg("--latency-msec=100").arg("-d").arg(rack.output(output)).arg(file);
    lab.spawn("control", command)
}

/// Lays the track where the simulated service finds it, which serves what is in its folder as it is.
pub fn write_track(lab: &Lab) -> LabResult<()> {
    let folder = lab.folder().join("alexa").join("media");
    let (left, right) = (sine(44_100, f64::from(LENGTH), TONE, 0.25), chirps(44_100, f64::from(LENGTH)));
    std::fs::create_dir_all(&folder)
        .and_then(|()| write_wav(&folder.join(track()), 44_100, &[&left, &right]))
        .map_err(|e| LabError::failed("write the track", e))
}

/// The track's name.
pub fn track() -> String {
    format!("tone-{TONE}-{LENGTH}s.wav")
}

fn find(picture: &Value, name: &str) -> Value {
    let speakers = picture["speakers"].as_array();
    let found = speakers.into_iter().flatten().find(|speaker| speaker["name"] == name);
    found.cloned().unwrap_or(Value::Null)
}

/// What came, and when.
type Packet = (Instant, Vec<u8>);

/// Listens to the lab's mDNS on a host where nothing else does.
#[derive(Debug)]
struct Ear {
    heard: Arc<Mutex<Vec<Packet>>>,
}

impl Ear {
    fn open(lab: &Lab) -> LabResult<Self> {
        let trouble = |e: std::io::Error| LabError::failed("listen to mDNS", e);
        let address = lab.address("ear");
        let socket = lab.within("ear", || {
            let socket = UdpSocket::bind(("0.0.0.0", 5353))?;
            socket.join_multicast_v4(&Ipv4Addr::new(224, 0, 0, 251), &address)?;
            Ok(socket)
        })?;
        let socket = socket.map_err(trouble)?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&heard);
        // Ends with the process: nobody closes the socket while a test runs.
        std::thread::spawn(move || {
            let mut buffer = [0; 9000];
            while let Ok(length) = socket.recv(&mut buffer) {
                // A response (RFC 1035: the first bit of the flags), not a probe.
                if length > 12 && buffer[2] & 0x80 != 0 {
                    let packet = buffer[..length].to_vec();
                    keep.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), packet));
                }
            }
        });
        Ok(Self { heard })
    }

    fn forget(&self) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// When a receiver of this name was heard first. Its label ends with `@NAME` and is written out once a packet.
    fn announced(&self, name: &str) -> Option<Instant> {
        let label = format!("@{name}");
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = |packet: &[u8]| packet.windows(label.len()).any(|part| part == label.as_bytes());
        heard.iter().find(|(_, packet)| of_it(packet)).map(|(at, _)| *at)
    }
}
