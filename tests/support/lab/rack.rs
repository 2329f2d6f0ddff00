//! A rack of stereo sound outputs that share one sample clock, and its recorder.
//!
//! One PulseAudio has one null sink of 2N channels, clocked by the machine's monotonic clock, and N stereo
//! outputs, each mapped without mixing on its own pair of channels. A player asks its output for the delay, as
//! of a real card, and aims its samples accordingly. All outputs are columns of the same frames, so "heard
//! together" means "in the same frame of the recording": no second clock enters. What it cannot show: the drift
//! of separate real sound cards, and their own delays.
//!
//! A rack on a host of the lab ([`Rack::on_network`]) is a PulseAudio server in the network, too: each of its outputs is
//! a network speaker that senders of PulseAudio's own protocol (TCP) reach, and some play the RTP sessions that are announced to them.

use super::error::{LabError, LabResult};
use super::process::Process;
use super::recording::{Recorder, Recording};
use super::{Lab, missing_programs, run};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Frames a second of every rack, as players are told. PulseAudio's null sink counts its time in whole microseconds and
/// rounds down for each piece it renders, so at 48 kHz it was seen to run 105 to 350 ppm fast, the more the busier. At
/// 50 kHz nothing is rounded: it keeps the machine's time. This rate loses 1.2 ns a frame, whatever the pieces (up to
/// 800 frames), so that the rack runs 60 ppm fast: a sound card like many, whose players have something to correct.
pub const RATE: u32 = 49_997;

/// PulseAudio mixes at most 32 channels.
const MOST_OUTPUTS: usize = 16;

/// The rack. Attach nothing but players while it is measured.
#[derive(Debug)]
pub struct Rack {
    process: Process,
    folder: PathBuf,
    outputs: usize,
}

/// Where PulseAudio takes senders of its own protocol.
pub const PULSE_PORT: u16 = 4713;

/// The SAP group that PulseAudio announces to and listens to of its own accord.
pub const SAP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 56);

/// How long outputs that play RTP hold it back; PulseAudio resamples to keep that.
const RTP_LATENCY: Duration = Duration::from_millis(200);

/// What a rack offers to the network.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// Its host.
    pub host: &'a str,
    /// Outputs that play every RTP session announced to this SAP group.
    pub rtp: &'a [usize],
    /// The SAP group, UDP port 9875.
    pub sap: Ipv4Addr,
    /// Whether each output is announced as `_pulse-sink._tcp` by the host's name service.
    pub announced: bool,
}

impl Rack {
    /// Starts a rack with outputs 1 to `outputs`.
    pub fn new(lab: &Lab, outputs: usize) -> LabResult<Self> {
        Self::start(lab, outputs, None)
    }

    /// Starts a rack which outputs are network speakers, on TCP port [`PULSE_PORT`] of a host.
    pub fn on_network(lab: &Lab, outputs: usize, offer: Offer<'_>) -> LabResult<Self> {
        if offer.announced {
            lab.name_service(offer.host)?;
        }
        Self::start(lab, outputs, Some(offer))
    }

    fn start(lab: &Lab, outputs: usize, offer: Option<Offer<'_>>) -> LabResult<Self> {
        let missing = missing_programs(&["pulseaudio", "pactl", "parec"]);
        if !missing.is_empty() {
            return Err(LabError::Missing(missing));
        }
        assert!((1..=MOST_OUTPUTS).contains(&outputs), "a rack has 1 to {MOST_OUTPUTS} outputs");
        let folder = lab.folder().join("rack");
        let script = folder.join("rack.pa");
        std::fs::create_dir_all(folder.join("home"))
            .and_then(|()| std::fs::write(&script, script_text(&folder, outputs, offer)))
            .map_err(|e| LabError::failed("write the rack's script", e))?;
        // It stands for hardware: nobody who plays into it may keep it waiting. Its threads inherit the priority.
        let player = with_priority_of("pulseaudio", 10);
        let mut command = match offer {
            Some(offer) => lab.command(offer.host, player.get_program()),
            None => Command::new(player.get_program()),
        };
        command.args(player.get_args()).arg("-n").arg("-F").arg(&script);
        command.args([
            "--daemonize=no",
            "--use-pid-file=no",
            "--exit-idle-time=-1",
            "--disable-shm=yes",
            "--realtime=no",
            "--resample-method=speex-float-5",
            "--log-target=stderr",
            "--log-level=warn",
        ]);
        command.env("HOME", folder.join("home"));
        command.env("XDG_RUNTIME_DIR", &folder).env("PULSE_RUNTIME_PATH", &folder);
        if !offer.is_some_and(|offer| offer.announced) {
            command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
        }
        let mut process = lab.spawn("rack", command)?;
        let last = format!("out{outputs}");
        process.ready(Duration::from_secs(15), || {
            let sinks = run(client(&folder, "pactl").args(["list", "short", "sinks"])).ok()?;
            sinks.contains(&last).then_some(())
        })?;
        Ok(Self { process, folder, outputs })
    }

    /// The name of output number `output`, for a player.
    pub fn output(&self, output: usize) -> String {
        assert!((1..=self.outputs).contains(&output), "this rack has outputs 1 to {}", self.outputs);
        format!("out{output}")
    }

    /// How many outputs it has.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Where players reach it: `PULSE_SERVER`.
    pub fn server(&self) -> String {
        server(&self.folder)
    }

    /// A program of PulseAudio's that talks to this rack.
    pub fn client(&self, program: &str) -> Command {
        client(&self.folder, program)
    }

    /// Begins to record everything that the outputs play.
    pub fn record(&self) -> LabResult<Recorder> {
        let recorder = with_priority("parec");
        let mut command = self.client(&recorder.get_program().to_string_lossy());
        command.args(recorder.get_args());
        Recorder::start(command, self.outputs * 2)
    }

    /// Records for so long, and waits for it.
    pub fn record_for(&self, length: Duration) -> LabResult<Recording> {
        let mut recorder = self.record()?;
        recorder.wait_for_frames((length.as_secs_f64() * f64::from(RATE)) as usize)?;
        recorder.finish()
    }

    /// The rack's own process, for its log.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// `program`, with a real-time priority where we may give one: on a busy machine even a good player underruns
/// without.
pub fn with_priority(program: &str) -> Command {
    with_priority_of(program, 5)
}

/// The same with a priority of its own: the higher goes first.
pub fn with_priority_of(program: &str, priority: u8) -> Command {
    let priority = priority.to_string();
    let may = Command::new("chrt").args(["--rr", &priority, "true"]).output();
    if may.is_ok_and(|output| output.status.success()) {
        let mut command = Command::new("chrt");
        command.args(["--rr", &priority, program]);
        command
    } else {
        Command::new(program)
    }
}

/// The names of so many channels, in order, for PulseAudio.
pub fn channel_map(first: usize, count: usize) -> String {
    (first..first + count).map(|channel| format!("aux{channel}")).collect::<Vec<_>>().join(",")
}

fn server(folder: &Path) -> String {
    format!("unix:{}", folder.join("native").display())
}

fn client(folder: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PULSE_SERVER", server(folder)).env("HOME", folder.join("home"));
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
    command
}

fn script_text(folder: &Path, outputs: usize, offer: Option<Offer<'_>>) -> String {
    let socket = folder.join("native");
    let mut text =
        format!("load-module module-native-protocol-unix auth-anonymous=1 socket={}\n", socket.display());
    text += &format!(
        "load-module module-null-sink sink_name=rack rate={RATE} format=s16le channels={} channel_map={}\n",
        outputs * 2,
        channel_map(0, outputs * 2)
    );
    for output in 1..=outputs {
        text += &format!(
            "load-module module-remap-sink sink_name=out{output} master=rack channels=2 \
             channel_map=front-left,front-right master_channel_map={} remix=no \
             sink_properties=device.description=out{output}\n",
            channel_map(output * 2 - 2, 2)
        );
    }
    let Some(offer) = offer else { return text };
    text += &format!("load-module module-native-protocol-tcp auth-anonymous=1 port={PULSE_PORT}\n");
    for output in offer.rtp {
        text += &format!(
            "load-module module-rtp-recv sap_address={} sink=out{output} latency_msec={}\n",
            offer.sap,
            RTP_LATENCY.as_millis()
        );
    }
    if offer.announced {
        text += "load-module module-zeroconf-publish\n";
    }
    text
}
