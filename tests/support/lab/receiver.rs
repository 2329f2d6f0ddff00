//! A real AirPlay receiver on a host of the lab: shairport-sync playing into an output of the rack, announced by
//! the host's own name service.
//!
//! It uses shairport-sync's ALSA output by way of ALSA's PulseAudio plugin: that output knows the delay of its
//! device and so really keeps time, which its pipe output does not.

use super::error::{LabError, LabResult};
use super::process::Process;
use super::rack::{Rack, with_priority};
use super::{Lab, missing_programs};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The RTSP port of every receiver; each has a host of its own.
pub const PORT: u16 = 5000;

/// A receiver. It can be killed and started again; dropping it ends it with a goodbye.
#[derive(Debug)]
pub struct Receiver {
    process: Process,
    host: String,
    folder: PathBuf,
    settings: PathBuf,
}

impl Lab {
    /// Starts a receiver called `name` on `host`, playing into output number `output` of the rack, and waits until
    /// it takes connections. It is announced as `<id>@NAME` of type `_raop._tcp` within about a second.
    pub fn receiver(&self, host: &str, name: &str, rack: &Rack, output: usize) -> LabResult<Receiver> {
        self.receiver_with(host, name, rack, output, "")
    }

    /// The same with more lines of shairport-sync's configuration, such as `general = { ... };` is not: that
    /// group is written here; `sessioncontrol` and `metadata` are free.
    pub fn receiver_with(
        &self,
        host: &str,
        name: &str,
        rack: &Rack,
        output: usize,
        more: &str,
    ) -> LabResult<Receiver> {
        self.receiver_set(host, name, rack, output, ("", more))
    }

    /// The same with more settings for the group `general` too (the first), such as `password = "x";`.
    pub fn receiver_set(
        &self,
        host: &str,
        name: &str,
        rack: &Rack,
        output: usize,
        (general, more): (&str, &str),
    ) -> LabResult<Receiver> {
        let mut missing = missing_programs(&["shairport-sync", "avahi-browse"]);
        if !alsa_has_pulse() {
            missing.push("ALSA's PulseAudio plugin".to_owned());
        }
        if !missing.is_empty() {
            return Err(LabError::Missing(missing));
        }
        self.name_service(host)?;
        let folder = self.folder().join(format!("receiver-{host}"));
        let settings = folder.join("receiver.conf");
        let card = card_text(&rack.server(), &rack.output(output));
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(".asoundrc"), card))
            .and_then(|()| std::fs::write(&settings, settings_text(name, general) + more))
            .map_err(|e| LabError::failed("write the receiver's settings", e))?;
        let process = start(self, host, &folder, &settings)?;
        Ok(Receiver { process, host: host.to_owned(), folder, settings })
    }
}

impl Receiver {
    /// Ends it at once: no goodbye, no TEARDOWN.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again after it was ended, with the same name and identity.
    pub fn start_again(&mut self, lab: &Lab) -> LabResult<()> {
        self.process.stop(Duration::from_secs(2));
        self.process = start(lab, &self.host, &self.folder, &self.settings)?;
        Ok(())
    }

    /// Its process: to freeze and thaw it, to end it with a goodbye, to read its log and its use of the machine.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn start(lab: &Lab, host: &str, folder: &PathBuf, settings: &PathBuf) -> LabResult<Process> {
    let player = with_priority("shairport-sync");
    let mut command = lab.command(host, player.get_program());
    command.args(player.get_args()).arg("-c").arg(settings).arg("-u").env("HOME", folder);
    let mut process = lab.spawn(&format!("receiver-{host}"), command)?;
    process.ready(Duration::from_secs(15), || lab.listening(host).contains(&PORT).then_some(()))?;
    Ok(process)
}

fn alsa_has_pulse() -> bool {
    let found = Command::new("sh")
        .args(["-c", "ls /usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so /usr/lib*/alsa-lib/libasound_module_pcm_pulse.so"])
        .output();
    found.is_ok_and(|output| !output.stdout.is_empty())
}

fn card_text(server: &str, output: &str) -> String {
    let device = format!("type pulse server \"{server}\" device \"{output}\"");
    format!(
        "pcm.card {{ {device} }}\npcm.!default {{ {device} }}\nctl.!default {{ type pulse server \"{server}\" }}\n"
    )
}

fn settings_text(name: &str, general: &str) -> String {
    format!(
        r#"general = {{ {general} name = "{name}"; port = {PORT}; output_backend = "alsa"; mdns_backend = "avahi";
  ignore_volume_control = "no"; interpolation = "basic"; drift_tolerance_in_seconds = 0.002; }};
alsa = {{ output_device = "card"; output_rate = 44100; output_format = "S16"; disable_synchronization = "no";
  use_mmap_if_available = "no"; }};
diagnostics = {{ statistics = "yes"; log_verbosity = 1; log_output_to = "stderr"; }};
"#
    )
}
