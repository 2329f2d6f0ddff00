//! Real Snapcast peers on hosts of the lab: the client that plays for us, and the server that we are compared with.

use super::error::{LabError, LabResult};
use super::process::Process;
use super::rack::{Rack, with_priority};
use super::{Lab, missing_programs};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

/// Where servers take clients unless told otherwise.
pub const PORT: u16 = 1704;

/// Where a client's sound goes.
#[derive(Debug, Clone, Copy)]
pub enum Sink<'a> {
    /// Into this output of the rack.
    Output(&'a Rack, usize),
    /// Nowhere, in real time: for load. That player tells no delay, so nothing can be said of its time.
    Nowhere,
}

/// A snapclient. It can be killed and started again; dropping it ends it.
#[derive(Debug)]
pub struct SnapClient {
    process: Process,
    host: String,
    folder: PathBuf,
    arguments: Vec<String>,
}

impl Lab {
    /// Starts a snapclient on `host` that calls itself `id` and dials the server on `server`. Its log is
    /// `snapclient-ID.log` in the lab's folder; it says there when it has no sound to play.
    pub fn snapclient(
        &self,
        host: &str,
        id: &str,
        server: (Ipv4Addr, u16),
        sink: Sink<'_>,
    ) -> LabResult<SnapClient> {
        let place = ["-h", &server.0.to_string(), "-p", &server.1.to_string()].map(str::to_owned);
        self.start_snapclient(host, id, &place, sink)
    }

    /// The same, which looks for a server by the host's name service; and more arguments, such as `--mixer hardware`.
    pub fn looking_snapclient(
        &self,
        host: &str,
        id: &str,
        sink: Sink<'_>,
        more: &[&str],
    ) -> LabResult<SnapClient> {
        self.name_service(host)?;
        let more: Vec<String> = more.iter().map(|argument| (*argument).to_owned()).collect();
        self.start_snapclient(host, id, &more, sink)
    }

    fn start_snapclient(
        &self,
        host: &str,
        id: &str,
        more: &[String],
        sink: Sink<'_>,
    ) -> LabResult<SnapClient> {
        let missing = missing_programs(&["snapclient"]);
        if !missing.is_empty() {
            return Err(LabError::Missing(missing));
        }
        let folder = self.folder().join(format!("snapclient-{id}"));
        std::fs::create_dir_all(&folder).map_err(|e| LabError::failed("make a client's folder", e))?;
        let mut arguments = more.to_vec();
        arguments.extend(["--hostID", id, "--logsink", "stdout"].map(str::to_owned));
        match sink {
            Sink::Output(rack, output) => {
                // A short buffer at the device: what the player knows of its delay is as fresh as can be.
                let player = format!("pulse:server={},buffer_time=100", rack.server());
                arguments.extend(["--player".to_owned(), player, "-s".to_owned(), rack.output(output)]);
            }
            Sink::Nowhere => arguments.extend(["--player".to_owned(), "file:filename=null".to_owned()]),
        }
        let process = start_client(self, host, id, &folder, &arguments)?;
        Ok(SnapClient { process, host: host.to_owned(), folder, arguments })
    }
}

impl SnapClient {
    /// Ends it at once.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again after it was ended, as the same client.
    pub fn start_again(&mut self, lab: &Lab) -> LabResult<()> {
        self.process.stop(Duration::from_secs(2));
        let id = self.id().to_owned();
        self.process = start_client(lab, &self.host, &id, &self.folder, &self.arguments)?;
        Ok(())
    }

    /// What it calls itself.
    pub fn id(&self) -> &str {
        let at = self.arguments.iter().position(|argument| argument == "--hostID");
        at.and_then(|at| self.arguments.get(at + 1)).map_or("", String::as_str)
    }

    /// Its process: to freeze and thaw it, to read its log and its use of the machine.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn start_client(
    lab: &Lab,
    host: &str,
    id: &str,
    folder: &PathBuf,
    arguments: &[String],
) -> LabResult<Process> {
    let player = with_priority("snapclient");
    let mut command = lab.command(host, player.get_program());
    command.args(player.get_args()).args(arguments).env("HOME", folder);
    lab.spawn(&format!("snapclient-{id}"), command)
}

/// A snapserver, fed with one sound. Dropping it ends it.
#[derive(Debug)]
pub struct SnapServer {
    process: Process,
    feeder: Option<std::thread::JoinHandle<()>>,
    feed: PathBuf,
}

impl Lab {
    /// Starts a snapserver on `host` with Debian's defaults and no other stream than what it is fed with: S16 stereo of
    /// `rate`, in `codec` (`flac` is its default).
    pub fn snapserver(&self, host: &str, rate: u32, codec: &str) -> LabResult<SnapServer> {
        let missing = missing_programs(&["snapserver", "mkfifo"]);
        if !missing.is_empty() {
            return Err(LabError::Missing(missing));
        }
        let folder = self.folder().join(format!("snapserver-{host}"));
        let feed = folder.join("feed");
        // An empty file: the packaged one adds a stream of its own.
        let config = folder.join("empty.conf");
        std::fs::create_dir_all(&folder)
            .and_then(|()| File::create(&config).map(drop))
            .map_err(|e| LabError::failed("write the server's configuration", e))?;
        super::run(std::process::Command::new("mkfifo").arg(&feed))?;
        let player = with_priority("snapserver");
        let mut command = self.command(host, player.get_program());
        command.args(player.get_args()).arg("-c").arg(&config);
        command.arg(format!("--server.datadir={}", folder.display())).arg("--logging.sink=stdout");
        command.arg("--stream.source").arg(format!(
            "pipe://{}?name=default&sampleformat={rate}:16:2&codec={codec}&mode=read",
            feed.display()
        ));
        command.env("HOME", &folder);
        let mut process = self.spawn(&format!("snapserver-{host}"), command)?;
        process.ready(Duration::from_secs(15), || self.listening(host).contains(&PORT).then_some(()))?;
        Ok(SnapServer { process, feeder: None, feed })
    }
}

impl SnapServer {
    /// Begins to feed it with S16LE stereo samples, once through; the server reads them at their pace.
    pub fn play(&mut self, samples: Vec<u8>) -> LabResult<()> {
        // Opening a FIFO to write waits for its reader, which is there.
        let mut pipe = OpenOptions::new()
            .write(true)
            .open(&self.feed)
            .map_err(|e| LabError::failed("open the server's feed", e))?;
        self.feeder = Some(std::thread::spawn(move || {
            // Ends with the samples, or when the server is gone.
            let _ = pipe.write_all(&samples);
        }));
        Ok(())
    }

    /// Its process: its use of the machine, its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Drop for SnapServer {
    fn drop(&mut self) {
        self.process.stop(Duration::from_secs(2));
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.join();
        }
    }
}
