//! PulseAudio as another sender to AirPlay receivers: what we are compared with.

use super::error::{LabError, LabResult};
use super::process::Process;
use super::rack::with_priority;
use super::{Lab, missing_programs, run};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A PulseAudio that sends to receivers. Dropping it ends it.
#[derive(Debug)]
pub struct RaopSender {
    player: Option<Process>,
    process: Process,
    folder: PathBuf,
    receivers: usize,
}

impl Lab {
    /// Starts a PulseAudio on `host` with a sink for each receiver and, for more than one, a combined sink for all.
    pub fn raop_sender(&self, host: &str, receivers: &[(Ipv4Addr, u16)]) -> LabResult<RaopSender> {
        let missing = missing_programs(&["pulseaudio", "pactl", "paplay"]);
        if !missing.is_empty() {
            return Err(LabError::Missing(missing));
        }
        let folder = self.folder().join(format!("raop-sender-{host}"));
        let script = folder.join("sender.pa");
        std::fs::create_dir_all(folder.join("home"))
            .and_then(|()| std::fs::write(&script, script_text(&folder, receivers)))
            .map_err(|e| LabError::failed("write the sender's script", e))?;
        let player = with_priority("pulseaudio");
        let mut command = self.command(host, player.get_program());
        command.args(player.get_args()).arg("-n").arg("-F").arg(&script).args([
            "--daemonize=no",
            "--use-pid-file=no",
            "--exit-idle-time=-1",
            "--disable-shm=yes",
            "--realtime=yes",
            "--resample-method=speex-float-5",
            "--log-target=stderr",
            "--log-level=notice",
        ]);
        command.env("HOME", folder.join("home")).env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
        command.env("XDG_RUNTIME_DIR", &folder).env("PULSE_RUNTIME_PATH", &folder);
        let mut process = self.spawn(&format!("raop-sender-{host}"), command)?;
        let last = format!("raop{}", receivers.len());
        process.ready(Duration::from_secs(15), || {
            let sinks = run(client(&folder, "pactl").args(["list", "short", "sinks"])).ok()?;
            sinks.contains(&last).then_some(())
        })?;
        Ok(RaopSender { player: None, process, folder, receivers: receivers.len() })
    }
}

impl RaopSender {
    /// Begins to play a WAV file on all receivers.
    pub fn play(&mut self, lab: &Lab, wav: &Path) -> LabResult<()> {
        // PulseAudio 16.1 opens the receivers' sessions only when its sinks leave SUSPENDED.
        for suspended in ["1", "0"] {
            for number in 1..=self.receivers {
                let sink = format!("raop{number}");
                run(client(&self.folder, "pactl").args(["suspend-sink", &sink, suspended]))?;
            }
            // Until each has noticed: nothing tells when.
            std::thread::sleep(Duration::from_millis(500));
        }
        let sink = if self.receivers > 1 { "group" } else { "raop1" };
        let mut command = client(&self.folder, "paplay");
        command.args(["-d", sink]).arg(wav);
        self.player = Some(lab.spawn("raop-sender-player", command)?);
        Ok(())
    }

    /// Its process: its use of the machine, its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn client(folder: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PULSE_SERVER", format!("unix:{}", folder.join("native").display()));
    command.env("HOME", folder.join("home")).env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
    command
}

fn script_text(folder: &Path, receivers: &[(Ipv4Addr, u16)]) -> String {
    let socket = folder.join("native");
    let mut text =
        format!("load-module module-native-protocol-unix auth-anonymous=1 socket={}\n", socket.display());
    let mut sinks = Vec::new();
    for (number, (address, port)) in receivers.iter().enumerate() {
        let sink = format!("raop{}", number + 1);
        // ALAC here means frames that are not compressed; with PCM shairport-sync 3.3.8 plays silence.
        text += &format!(
            "load-module module-raop-sink sink_name={sink} server={address}:{port} protocol=UDP encryption=none \
             codec=ALAC channels=2 format=s16le rate=44100\n"
        );
        sinks.push(sink);
    }
    if sinks.len() > 1 {
        let slaves = sinks.join(",");
        text += &format!(
            "load-module module-combine-sink sink_name=group slaves={slaves} channels=2 rate=44100\n"
        );
    }
    text
}
