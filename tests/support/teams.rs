//! Teams of receivers and whoever sends to them: how each is brought up on the lab's hosts and made to play. `make
//! sync-report` compares teams, and the tests of mixed groups have one.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::house::House;
use super::lab::Lab;
use super::lab::error::{LabError, LabResult};
use super::lab::rack::{PULSE_PORT, Rack};
use super::lab::raop_sender::RaopSender;
use super::lab::receiver::{PORT, Receiver};
use super::lab::rtp::{self, RtpReceiver};
use super::lab::sendspin::{self, SendspinPlayer, SendspinServe};
use super::lab::snapcast::{self, Sink, SnapClient, SnapServer};
use super::rooms::approve_all;

/// The hosts that every phase has, beside one for each receiver.
pub const HOSTS: [&str; 5] = ["hub", "rack", "snapd", "raop", "spind"];

/// How loud our receivers play: loud enough to be judged in 16 bits.
const VOLUME: &str = "80";

/// How long a receiver may take to be found.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// This hub.
    Antiphon,
    /// Debian's snapserver with its defaults.
    Snapserver,
    /// PulseAudio's RAOP sinks under a combined sink.
    PulseRaop,
    /// `sendspin serve`, the reference server.
    SendspinServe,
}

impl Sender {
    /// As it is called in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Antiphon => "Antiphon",
            Self::Snapserver => "snapserver",
            Self::PulseRaop => "PulseAudio RAOP",
            Self::SendspinServe => "aiosendspin",
        }
    }
}

/// What kind of receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// shairport-sync 3.3.8.
    Airplay,
    /// snapclient.
    Snapcast,
    /// A PulseAudio sink reached over TCP.
    Pulse,
    /// GStreamer's RTP receiver.
    Rtp,
    /// The reference client of Sendspin. Its output adds a constant delay that is another after each start.
    Sendspin,
}

impl Make {
    /// The kind by which the hub knows it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Airplay => "airplay",
            Self::Snapcast => "snapcast",
            Self::Pulse => "pulse",
            Self::Rtp => "rtp",
            Self::Sendspin => "sendspin",
        }
    }
}

/// Receivers that play together.
#[derive(Clone, Debug)]
pub struct Team {
    pub sender: Sender,
    pub makes: Vec<Make>,
}

impl Team {
    pub fn new(sender: Sender, makes: &[Make]) -> Self {
        Self { sender, makes: makes.to_vec() }
    }
}

/// One receiver's place: its host, its output of the rack.
#[derive(Clone, Debug)]
pub struct Place {
    pub make: Make,
    pub output: usize,
    pub host: String,
}

/// The places of all teams, counted through.
pub fn places(teams: &[Team]) -> Vec<Vec<Place>> {
    let mut output = 0;
    let mut place = |make: &Make| {
        output += 1;
        Place { make: *make, output, host: format!("m{output}") }
    };
    teams.iter().map(|team| team.makes.iter().map(&mut place).collect()).collect()
}

/// The hub's configuration for the places that are not found but configured.
pub fn configuration(lab: &Lab, teams: &[Team], places: &[Vec<Place>]) -> String {
    let mut text = String::from("[discovery]\ninterfaces = [\"eth0\"]\n");
    let rack = lab.address("rack");
    for place in teams.iter().zip(places).filter(|(t, _)| t.sender == Sender::Antiphon).flat_map(|(_, p)| p) {
        let endpoint = match place.make {
            Make::Airplay | Make::Snapcast | Make::Sendspin => continue,
            Make::Pulse => format!("pulse://{rack}:{PULSE_PORT}/out{}", place.output),
            Make::Rtp => format!("rtp://{}?delay={}", session(place), rtp::HELD.as_millis()),
        };
        let name = &place.host;
        text += &format!("[[speakers]]\nid = \"{name}\"\nname = \"{name}\"\nendpoint = \"{endpoint}\"\n");
    }
    text
}

/// The multicast group of a place's own session.
fn session(place: &Place) -> SocketAddrV4 {
    let last = u8::try_from(place.output).unwrap_or(u8::MAX);
    SocketAddrV4::new(Ipv4Addr::new(239, 69, 0, last), 5004)
}

/// A team that is up. Dropping it ends its programs.
pub struct Playing {
    sender: Sender,
    group: String,
    /// Those of AirPlay, in the order of their places.
    pub receivers: Vec<Receiver>,
    /// Those of Snapcast, in the order of their places.
    pub clients: Vec<SnapClient>,
    /// Those of Sendspin, in the order of their places.
    pub players: Vec<SendspinPlayer>,
    /// Those of RTP, in the order of their places.
    pub sessions: Vec<RtpReceiver>,
    /// The URLs by which another server reaches these.
    urls: Vec<String>,
    serve: Option<SendspinServe>,
    server: Option<SnapServer>,
    raop: Option<RaopSender>,
}

/// The sound in the forms that senders want.
pub struct Sound<'a> {
    /// Where the hub fetches it.
    pub url: &'a str,
    /// A file at 44.1 kHz.
    pub wav: &'a Path,
    /// Raw S16LE stereo at [`SNAPSERVER_RATE`].
    pub raw: &'a [u8],
}

/// snapserver's default.
pub const SNAPSERVER_RATE: u32 = 48_000;

impl Playing {
    /// Starts a team's receivers and its sender, and waits until the sender knows them.
    pub fn start(lab: &Lab, rack: &Rack, house: &House, team: &Team, places: &[Place]) -> LabResult<Self> {
        let group = format!("team{}", places.first().map_or(0, |place| place.output));
        let mut playing = Self {
            sender: team.sender,
            group,
            receivers: Vec::new(),
            clients: Vec::new(),
            players: Vec::new(),
            sessions: Vec::new(),
            urls: Vec::new(),
            serve: None,
            server: None,
            raop: None,
        };
        if team.sender == Sender::Snapserver {
            playing.server = Some(lab.snapserver("snapd", SNAPSERVER_RATE, "flac")?);
        }
        for place in places {
            let host = &place.host;
            match place.make {
                Make::Airplay => playing.receivers.push(lab.receiver(host, host, rack, place.output)?),
                Make::Snapcast => {
                    let server = if team.sender == Sender::Snapserver { "snapd" } else { "hub" };
                    let server = (lab.address(server), snapcast::PORT);
                    let sink = Sink::Output(rack, place.output);
                    playing.clients.push(lab.snapclient(host, host, server, sink)?);
                }
                Make::Sendspin => {
                    playing.urls.push(sendspin::url(lab.address(host)));
                    playing.players.push(lab.sendspin(host, host, rack, place.output, None)?);
                }
                Make::Rtp => {
                    playing.sessions.push(lab.rtp_receiver(host, session(place), rack, place.output)?);
                }
                // The rack itself.
                Make::Pulse => {}
            }
        }
        match team.sender {
            Sender::Antiphon => playing.form(lab, house, places)?,
            // Started when it plays: it has no other time for it.
            Sender::SendspinServe | Sender::Snapserver => {}
            Sender::PulseRaop => {
                let addresses: Vec<(Ipv4Addr, u16)> =
                    places.iter().map(|place| (lab.address(&place.host), PORT)).collect();
                playing.raop = Some(lab.raop_sender("raop", &addresses)?);
            }
        }
        Ok(playing)
    }

    /// Makes a group of ours, each as loud as the other.
    fn form(&self, lab: &Lab, house: &House, places: &[Place]) -> LabResult<()> {
        let mut ids = Vec::new();
        for place in places {
            let picture = house.wait_for_picture(
                lab,
                &format!("find the {} {}", place.make.kind(), place.host),
                PATIENCE,
                |picture| {
                    if place.make == Make::Sendspin {
                        approve_all(house, lab);
                    }
                    speaker(picture, place)["endpoint"]["state"] == "present"
                },
            )?;
            let id = speaker(&picture, place)["id"].as_str().unwrap_or_default().to_owned();
            house.antiphon(lab, &["volume", &id, VOLUME, "--alone"])?;
            ids.push(id);
        }
        let mut arguments = vec!["group", self.group.as_str()];
        arguments.extend(ids.iter().map(String::as_str));
        house.antiphon(lab, &arguments).map(drop)
    }

    /// Begins to play.
    pub fn play(&mut self, lab: &Lab, house: &House, sound: &Sound<'_>) -> LabResult<()> {
        match self.sender {
            Sender::Antiphon => house.antiphon(lab, &["play", &self.group, sound.url]).map(drop),
            Sender::Snapserver => match &mut self.server {
                Some(server) => server.play(sound.raw.to_vec()),
                None => Err(LabError::failed("play by snapserver", "it was not started")),
            },
            Sender::PulseRaop => match &mut self.raop {
                Some(raop) => raop.play(lab, sound.wav),
                None => Err(LabError::failed("play by PulseAudio", "it was not started")),
            },
            Sender::SendspinServe => {
                self.serve = Some(lab.sendspin_serve("spind", sound.wav, &self.urls)?);
                Ok(())
            }
        }
    }
}

/// How the hub shows the receiver of a place: it bears the name of its host.
fn speaker<'a>(picture: &'a Value, place: &Place) -> &'a Value {
    let speakers = picture["speakers"].as_array();
    let found = speakers.into_iter().flatten().find(|speaker| {
        let named =
            |key: &str| speaker[key].as_str().is_some_and(|text| text.eq_ignore_ascii_case(&place.host));
        named("name") || named("id")
    });
    found.unwrap_or(&Value::Null)
}
