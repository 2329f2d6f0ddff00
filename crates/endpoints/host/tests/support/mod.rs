//! A PulseAudio of a test's own: one null sink of several stereo outputs that share a clock, heard by one recorder.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub, reason = "tests; each uses a part")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use antiphon_audio::Block;
use antiphon_domain::{HubTime, Level, SpeakerId, Volume};
use antiphon_endpoint::{Clock, Control, Descriptor, Endpoint, EndpointEvent, Kind, Pace};
use antiphon_host::metrics::Metrics;
use antiphon_host::{PulseKind, PulseOptions};
use rustix::process::{Pid, Signal, kill_process};

/// How long a state that must come may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Frames a second of the sinks.
pub const RATE: u32 = 48_000;

pub struct TestClock(pub Instant);

impl Clock for TestClock {
    fn now(&self) -> HubTime {
        HubTime::EPOCH + self.0.elapsed()
    }
}

pub fn clock() -> Arc<dyn Clock> {
    Arc::new(TestClock(Instant::now()))
}

/// Waits until it answers.
pub fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let before = Instant::now();
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(before.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Says aloud that this machine cannot run a test; in CI it must.
fn skipped(what: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(!std::env::var("CI").is_ok_and(|v| v != "false"), "{test} needs {what}, which CI must have");
    println!("SKIPPED: {test}: {what} is not installed");
    // `make test` prints this file at its end.
    if let Some(path) = std::env::var_os("ANTIPHON_SKIPPED")
        && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = file.write_all(format!("  {test}: no {what}\n").as_bytes());
    }
}

/// The server; it ends with its guard.
pub struct Pulse {
    child: Child,
    pub folder: PathBuf,
    pub port: u16,
    outputs: usize,
    anonymous: bool,
}

impl Pulse {
    /// Starts one with the outputs `out1` and so on, open to everybody who can reach it; none where it is not installed.
    pub fn start(outputs: usize) -> Option<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Self::start_as(outputs, port, true)
    }

    /// The same at this port; not `anonymous`: it wants to see its cookie.
    pub fn start_as(outputs: usize, port: u16, anonymous: bool) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(format!("/tmp/antiphon-pulse-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let script = folder.join("script.pa");
        let mut text = format!(
            "load-module module-native-protocol-unix auth-anonymous=1 socket={}\n\
             load-module module-cli-protocol-unix socket={}\n\
             load-module module-native-protocol-tcp listen=127.0.0.1 port={port} auth-anonymous={}\n\
             load-module module-null-sink sink_name=rack rate={RATE} format=s16le channels={} channel_map={}\n",
            folder.join("native").display(),
            folder.join("cli").display(),
            u8::from(anonymous),
            outputs * 2,
            channels(0, outputs * 2)
        );
        for output in 1..=outputs {
            text += &format!(
                "load-module module-remap-sink sink_name=out{output} master=rack channels=2 \
                 channel_map=front-left,front-right master_channel_map={} remix=no\n",
                channels(output * 2 - 2, 2)
            );
        }
        std::fs::write(&script, text).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = with_priority("pulseaudio")
            .args(["-n", "-F"])
            .arg(&script)
            .args(["--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"])
            .args(["--log-target=stderr", "--log-level=warn"])
            .env("HOME", &folder)
            .env("XDG_RUNTIME_DIR", &folder)
            .env("PULSE_RUNTIME_PATH", &folder)
            .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
            .env_remove("PULSE_SERVER")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let Ok(child) = child else {
            skipped("pulseaudio");
            return None;
        };
        let server = Self { child, folder, port, outputs, anonymous };
        let last = format!("out{outputs}");
        wait_for("pulseaudio", || server.control(&["list", "short", "sinks"]).contains(&last).then_some(()));
        Some(server)
    }

    /// Ends it at once and starts it again at the same port.
    pub fn restart(mut self) -> Self {
        self.kill();
        Self::start_as(self.outputs, self.port, self.anonymous).unwrap()
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// It keeps its sockets and does nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PULSE_SERVER", format!("unix:{}", self.folder.join("native").display()));
        command.env("HOME", &self.folder).stdin(Stdio::null());
        command
    }

    /// What `pactl` prints.
    pub fn control(&self, arguments: &[&str]) -> String {
        let output = self.command("pactl").args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Gives an order that `pactl` has no word for.
    pub fn order(&self, order: &str) {
        let mut cli = UnixStream::connect(self.folder.join("cli")).unwrap();
        cli.write_all(format!("{order}\n").as_bytes()).unwrap();
        cli.shutdown(std::net::Shutdown::Write).unwrap();
        // It hangs up, too, once it has done so.
        let _ = cli.read_to_end(&mut Vec::new());
    }

    /// The number of the only sink input.
    pub fn input(&self) -> String {
        wait_for("a sink input", || {
            let list = self.control(&["list", "short", "sink-inputs"]);
            // The outputs are inputs of the null sink themselves.
            let ours = list.lines().find(|line| line.contains("protocol-native"))?;
            ours.split_whitespace().next().map(str::to_owned)
        })
    }

    /// What `pactl` tells of the sink input that has this property.
    pub fn told_of(&self, property: &str) -> Option<String> {
        let list = self.control(&["list", "sink-inputs"]);
        list.split("Sink Input #").find(|input| input.contains(property)).map(str::to_owned)
    }

    /// The endpoint text for an output.
    pub fn text(&self, output: usize) -> String {
        format!("pulse://127.0.0.1:{}/out{output}", self.port)
    }

    /// Records all outputs from now on.
    pub fn record(&self) -> Recorder {
        let count = self.outputs * 2;
        let mut child = self
            .command("parec")
            .args(["--device=rack.monitor", "--raw", "--format=s16le", "--no-remix", "--latency-msec=20"])
            .arg(format!("--rate={RATE}"))
            .arg(format!("--channels={count}"))
            .arg(format!("--channel-map={}", channels(0, count)))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 16_384];
            while let Ok(count @ 1..) = out.read(&mut piece) {
                kept.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        let recorder = Recorder { child, bytes, reader: Some(reader), channels: count };
        wait_for("the recorder", || (recorder.frames() > 0).then_some(()));
        recorder
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What all outputs play.
pub struct Recorder {
    child: Child,
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    channels: usize,
}

impl Recorder {
    pub fn frames(&self) -> usize {
        self.bytes.lock().unwrap().len() / (2 * self.channels)
    }

    /// The left side of an output (from 1), -1 to 1, from a frame on.
    pub fn output(&self, output: usize, from: usize) -> Vec<f32> {
        let bytes = self.bytes.lock().unwrap();
        let at = (output * 2 - 2) * 2;
        let frames = bytes.chunks_exact(2 * self.channels).skip(from);
        frames.map(|frame| f32::from(i16::from_le_bytes([frame[at], frame[at + 1]])) / 32_768.0).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn channels(first: usize, count: usize) -> String {
    (first..first + count).map(|channel| format!("aux{channel}")).collect::<Vec<_>>().join(",")
}

/// With a real-time priority where we may give one: on a busy machine the sink's own clock stumbles without.
fn with_priority(program: &str) -> Command {
    let may = Command::new("chrt").args(["--rr", "5", "true"]).output();
    if may.is_ok_and(|output| output.status.success()) {
        let mut command = Command::new("chrt");
        command.args(["--rr", "5", program]);
        return command;
    }
    Command::new(program)
}

/// The kind, and the runtime it needs.
pub struct Hub {
    pub runtime: tokio::runtime::Runtime,
    pub kind: Arc<PulseKind>,
    pub clock: Arc<dyn Clock>,
}

impl Hub {
    pub fn new(options: PulseOptions) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let kind = PulseKind::new(runtime.handle().clone(), options, metrics);
        Self { runtime, kind: Arc::new(kind), clock: clock() }
    }

    pub fn describe(&self, text: &str) -> Descriptor {
        self.kind.configured(text, &SpeakerId::new(text), "Test").unwrap().unwrap()
    }

    /// Opens, and waits until it is ready.
    pub fn open(&self, text: &str, volume: i64) -> Player {
        let player = self.try_open(text, volume);
        player.wait("ready", |event| matches!(event, EndpointEvent::Ready).then_some(()));
        player
    }

    pub fn try_open(&self, text: &str, volume: i64) -> Player {
        let (told, events) = channel();
        let told = Mutex::new(told);
        let sink = Arc::new(move |event| {
            let _ = told.lock().unwrap().send(event);
        });
        let descriptor = self.describe(text);
        let mut endpoint = self.kind.open(&descriptor, Pace::Steady, Arc::clone(&self.clock), sink);
        endpoint.control(Control::Level(level(volume, false)));
        Player { endpoint: Arc::new(Mutex::new(endpoint)), events }
    }
}

pub fn level(volume: i64, muted: bool) -> Level {
    Level { volume: Volume::new(volume).unwrap(), muted }
}

/// An open session.
pub struct Player {
    pub endpoint: Arc<Mutex<Box<dyn Endpoint>>>,
    pub events: Receiver<EndpointEvent>,
}

impl Player {
    pub fn play(&self, block: &Block) {
        self.endpoint.lock().unwrap().play(block);
    }

    pub fn lead(&self) -> Duration {
        self.endpoint.lock().unwrap().caps().lead.0
    }

    pub fn turn(&self, volume: i64, muted: bool) {
        self.endpoint.lock().unwrap().control(Control::Level(level(volume, muted)));
    }

    /// Plays blocks from a thread of their own, each a little before its lead wants it, until the player is dropped.
    pub fn play_on(&self, clock: &Arc<dyn Clock>, blocks: impl Iterator<Item = Block> + Send + 'static) {
        let (endpoint, clock) = (Arc::downgrade(&self.endpoint), Arc::clone(clock));
        let early = self.lead() + Duration::from_millis(500);
        std::thread::spawn(move || {
            for block in blocks {
                std::thread::sleep((block.due - early).since(clock.now()));
                let Some(endpoint) = endpoint.upgrade() else { return };
                endpoint.lock().unwrap().play(&block);
            }
        });
    }

    /// Waits for an event; meters and reports on the way are passed over.
    pub fn wait<T>(&self, what: &str, mut fits: impl FnMut(&EndpointEvent) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).unwrap_or_else(|_| panic!("{what} did not come"));
            if let Some(found) = fits(&event) {
                return found;
            }
            assert!(!matches!(event, EndpointEvent::Lost(_)), "lost before {what}: {event:?}");
        }
    }
}
