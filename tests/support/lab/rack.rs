//! A rack of stereo sound outputs that share one sample clock, and its recorder.
//!
//! One PulseAudio has one null sink of 2N channels, clocked by the machine's monotonic clock, and N stereo
//! outputs, each mapped without mixing on its own pair of channels. A player asks its output for the delay, as
//! of a real card, and aims its samples accordingly. All outputs are columns of the same frames, so "heard
//! together" means "in the same frame of the recording": no second clock enters. What it cannot show: the drift
//! of separate real sound cards, and their own delays.

use super::error::{LabError, LabResult};
use super::process::Process;
use super::recording::{Recorder, Recording};
use super::{Lab, missing_programs, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Frames a second of every rack. The null sink was seen to run 105 to 250 ppm fast on a busy machine, at 44.1 kHz
/// as well, which its players have to correct all the time.
pub const RATE: u32 = 48_000;

/// PulseAudio mixes at most 32 channels.
const MOST_OUTPUTS: usize = 16;

/// The rack. Attach nothing but players while it is measured.
#[derive(Debug)]
pub struct Rack {
    process: Process,
    folder: PathBuf,
    outputs: usize,
}

impl Rack {
    /// Starts a rack with outputs 1 to `outputs`.
    pub fn new(lab: &Lab, outputs: usize) -> LabResult<Self> {
        let missing = missing_programs(&["pulseaudio", "pactl", "parec"]);
        if !missing.is_empty() {
            return Err(LabError::Missing(missing));
        }
        assert!((1..=MOST_OUTPUTS).contains(&outputs), "a rack has 1 to {MOST_OUTPUTS} outputs");
        let folder = lab.folder().join("rack");
        let script = folder.join("rack.pa");
        std::fs::create_dir_all(folder.join("home"))
            .and_then(|()| std::fs::write(&script, script_text(&folder, outputs)))
            .map_err(|e| LabError::failed("write the rack's script", e))?;
        let mut command = with_priority("pulseaudio");
        command.arg("-n").arg("-F").arg(&script);
        command.args([
            "--daemonize=no",
            "--use-pid-file=no",
            "--exit-idle-time=-1",
            "--disable-shm=yes",
            "--realtime=yes",
            "--resample-method=speex-float-5",
            "--log-target=stderr",
            "--log-level=warn",
        ]);
        command.env("HOME", folder.join("home"));
        command.env("XDG_RUNTIME_DIR", &folder).env("PULSE_RUNTIME_PATH", &folder);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
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
        Recorder::start(self.client("parec"), self.outputs * 2)
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
    let may = Command::new("chrt").args(["--rr", "5", "true"]).output();
    if may.is_ok_and(|output| output.status.success()) {
        let mut command = Command::new("chrt");
        command.args(["--rr", "5", program]);
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

fn script_text(folder: &Path, outputs: usize) -> String {
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
             channel_map=front-left,front-right master_channel_map={} remix=no\n",
            channel_map(output * 2 - 2, 2)
        );
    }
    text
}
