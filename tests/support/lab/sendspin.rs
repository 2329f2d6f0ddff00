//! A real Sendspin player on a host of the lab: the reference client in Python, announced by itself.
//!
//! Its sound goes through PortAudio into an output of the rack, with a constant delay that is another after each start:
//! judge its samples and its timestamps, not its offset.

use super::Lab;
use super::error::{LabError, LabResult};
use super::process::Process;
use super::rack::{Rack, with_priority_of};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where it waits for servers.
pub const PORT: u16 = 8928;

/// Python takes the processor for longer at a time than other players have sound in hand: they go before it.
const PRIORITY: u8 = 3;

/// A player. It can be killed and started again; dropping it ends it.
#[derive(Debug)]
pub struct SendspinPlayer {
    process: Process,
    host: String,
    folder: PathBuf,
    arguments: Vec<String>,
}

impl Lab {
    /// Starts a player called `name` on `host`, playing into output number `output` of the rack. It is announced as
    /// `_sendspin._tcp`; with `server` (`ws://HOST:PORT/sendspin`) it dials that instead.
    pub fn sendspin(
        &self,
        host: &str,
        name: &str,
        rack: &Rack,
        output: usize,
        server: Option<&str>,
    ) -> LabResult<SendspinPlayer> {
        program()?;
        let folder = self.folder().join(format!("sendspin-{host}"));
        let card = format!(
            "type pulse server \"{server}\" device \"{output}\"",
            server = rack.server(),
            output = rack.output(output)
        );
        let cards = format!(
            "pcm.card {{ {card} }}\npcm.!default {{ {card} }}\nctl.!default {{ type pulse server \"{}\" }}\n",
            rack.server()
        );
        std::fs::create_dir_all(folder.join("settings"))
            .and_then(|()| std::fs::write(folder.join(".asoundrc"), cards))
            .map_err(|e| LabError::failed("write the player's settings", e))?;
        let settings = folder.join("settings").display().to_string();
        let mut arguments: Vec<String> =
            ["daemon", "--name", name, "--audio-device", "default", "--settings-dir", &settings]
                .map(str::to_owned)
                .into();
        arguments.extend(["--disable-mpris", "--hardware-volume", "false"].map(str::to_owned));
        if let Some(server) = server {
            arguments.extend(["--url".to_owned(), server.to_owned()]);
        }
        let process = start(self, host, &folder, &arguments)?;
        let mut player = SendspinPlayer { process, host: host.to_owned(), folder, arguments };
        if server.is_none() {
            let listens = || self.listening(host).contains(&PORT).then_some(());
            player.process.ready(Duration::from_secs(30), listens)?;
        }
        Ok(player)
    }
}

/// The reference server, playing a file to the players it was told of. Dropping it ends it.
#[derive(Debug)]
pub struct SendspinServe {
    process: Process,
}

impl Lab {
    /// Starts the reference server on `host`; it dials these players and plays the file to them.
    pub fn sendspin_serve(&self, host: &str, file: &Path, players: &[String]) -> LabResult<SendspinServe> {
        let program = program()?;
        let folder = self.folder().join(format!("sendspin-serve-{host}"));
        std::fs::create_dir_all(&folder).map_err(|e| LabError::failed("make the server's folder", e))?;
        let player = with_priority_of(&program.to_string_lossy(), PRIORITY);
        let mut command = self.command(host, player.get_program());
        command.args(player.get_args()).arg("serve").env("HOME", &folder);
        for player in players {
            command.args(["--client", player]);
        }
        command.arg(file);
        Ok(SendspinServe { process: self.spawn(&format!("sendspin-serve-{host}"), command)? })
    }
}

impl SendspinServe {
    /// Its process: its use of the machine, its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// The URL by which a server reaches a player on the host with this address.
pub fn url(address: std::net::Ipv4Addr) -> String {
    format!("ws://{address}:{PORT}/sendspin")
}

impl SendspinPlayer {
    /// Ends it at once; its announcement stays, as it says no goodbye.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again after it was ended, as the same client.
    pub fn start_again(&mut self, lab: &Lab) -> LabResult<()> {
        self.process.stop(Duration::from_secs(2));
        self.process = start(lab, &self.host, &self.folder, &self.arguments)?;
        Ok(())
    }

    /// Its process: to freeze and thaw it, to read its log and its use of the machine.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Where `deploy/setup.sh test` puts the clients: in the folder of built things.
pub fn peers() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("target")).join("peers")
}

/// The Python that has the reference client.
pub fn python() -> LabResult<PathBuf> {
    installed("venv/bin/python3")
}

/// Whether this machine has the reference client.
pub fn available() -> LabResult<()> {
    program().map(drop)
}

fn program() -> LabResult<PathBuf> {
    installed("venv/bin/sendspin")
}

fn installed(path: &str) -> LabResult<PathBuf> {
    let program = peers().join(path);
    if program.is_file() {
        Ok(program)
    } else {
        Err(LabError::Missing(vec![format!("the Sendspin reference client ({})", program.display())]))
    }
}

fn start(lab: &Lab, host: &str, folder: &PathBuf, arguments: &[String]) -> LabResult<Process> {
    let program = program()?;
    let player = with_priority_of(&program.to_string_lossy(), PRIORITY);
    let mut command = lab.command(host, player.get_program());
    command.args(player.get_args()).args(arguments).env("HOME", folder);
    lab.spawn(&format!("sendspin-{host}"), command)
}
