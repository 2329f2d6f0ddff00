//! What the bench programs share: figures on lines of their own, a simulated Alexa service, the hub as a process of
//! its own whose use of the machine can be read.
//!
//! Each program prints `name{labels} value unit`, one figure a line, and ends by itself within two minutes.
#![allow(dead_code, reason = "each bench compiles this module and uses its own part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on says where")]

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use antiphon_simulator::{Options, Outgoing, Simulator};
use serde_json::json;
use tempfile::TempDir;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use tokio::runtime::Runtime;

/// How long a bench waits for what should come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the program was started to be tried, not to measure: `cargo test --benches` does that.
pub fn only_tried() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// Lets this thread, and all that it starts, go before other programs, so that latencies are those of the hub and not of
/// whatever else this machine does. Without permission (root, or a limit on real-time priority) it says so.
pub fn undisturbed() {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    // The least of them: the hub's own render thread stays before the others.
    let priority = ThreadPriority::Crossplatform(1u8.try_into().unwrap());
    if set_thread_priority_and_policy(thread_native_id(), priority, policy).is_err() {
        eprintln!("bench: without permission for real-time priority, other programs disturb the latencies");
    }
}

/// Prints a figure. `labels` as Prometheus writes them, without braces; may be empty.
pub fn figure(name: &str, labels: &str, value: f64, unit: &str) {
    let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    println!("{name}{labels} {value:.3} {unit}");
}

/// Prints the 50th and 99th percentile (nearest rank) of some durations, in milliseconds.
pub fn percentiles(name: &str, labels: &str, mut taken: Vec<Duration>) {
    taken.sort();
    for (quantile, hundredths) in [("0.5", 50), ("0.99", 99)] {
        let rank = (taken.len() * hundredths).div_ceil(100).max(1);
        let millis = taken[rank - 1].as_secs_f64() * 1e3;
        figure(name, &format!("{labels},quantile=\"{quantile}\""), millis, "ms");
    }
}

/// A simulated service in this process, on two threads of its own.
pub struct Alexa {
    pub simulator: Simulator,
    pub runtime: Runtime,
    pub folder: TempDir,
}

impl Alexa {
    pub fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut options = Options::new(folder.path().join("alexa"));
        // Hundreds of hubs' worth of devices open their links at once here.
        options.synchronise_within = None;
        // Tracks are made once and kept.
        options.media = Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-media"));
        options.transcript_limit = 200;
        let simulator = runtime.block_on(Simulator::start(options)).unwrap();
        Self { simulator, runtime, folder }
    }

    /// The configuration of a hub with these speakers: id (also its serial number) and endpoint.
    pub fn config(&self, name: &str, speakers: &[(String, String)], groups: &[(&str, &[String])]) -> String {
        let gateway = self.simulator.gateway();
        let mut text = format!(
            "data_dir = {state:?}\n\
             [http]\nlisten = \"127.0.0.1:{port}\"\n[discovery]\ninterfaces = []\n\
             [avs]\ngateway = {gateway:?}\nlwa = {gateway:?}\ncapabilities = {gateway:?}\nca_file = {ca:?}\n\
             client_id = \"amzn1.application-oa2-client.bench\"\nproduct_id = \"antiphon_bench\"\n",
            state = self.folder.path().join(name),
            port = free_port(),
            ca = self.simulator.ca_file(),
        );
        for (id, endpoint) in speakers {
            let token = format!("Atzr|{id}");
            write!(
                text,
                "[[speakers]]\nid = {id:?}\nendpoint = {endpoint:?}\nserial_number = {id:?}\nrefresh_token = {token:?}\n"
            )
            .unwrap();
        }
        for (id, members) in groups {
            write!(text, "[[groups]]\nid = {id:?}\nspeakers = {members:?}\n").unwrap();
        }
        text
    }

    /// Has a track made, where it is not yet, so that the hub need not wait for it.
    pub fn make(&self, track: &str) {
        let url = self.simulator.track(track);
        let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{url} is not there");
    }

    /// Waits until every device has a synchronised connection.
    pub fn connected(&self, ids: impl IntoIterator<Item = impl AsRef<str>>) {
        for id in ids {
            let connected = self.runtime.block_on(self.simulator.wait_connected(id.as_ref(), PATIENCE));
            connected.unwrap_or_else(|e| panic!("{e}: {:#?}", self.simulator.violations()));
        }
    }

    /// Sends a directive; when its last byte was written.
    pub fn send(&self, id: &str, namespace: &str, name: &str, payload: serde_json::Value) -> Instant {
        self.runtime.block_on(self.simulator.send(id, Outgoing::new(namespace, name, payload))).unwrap()
    }

    /// Sends a Play of one of the simulator's tracks that replaces everything; when its last byte was written.
    pub fn play(&self, id: &str, track: &str, token: &str) -> Instant {
        let stream = json!({ "url": self.simulator.track(track), "token": token, "offsetInMilliseconds": 0 });
        let item = json!({ "audioItemId": token, "stream": stream });
        self.send(id, "AudioPlayer", "Play", json!({ "playBehavior": "REPLACE_ALL", "audioItem": item }))
    }

    /// When this event arrived whole, the first at or after mark `from`.
    pub fn event(&self, id: &str, from: u64, namespace: &str, name: &str) -> Instant {
        let wait = self.simulator.wait_for_event(id, from, namespace, name, PATIENCE);
        self.runtime.block_on(wait).unwrap().at
    }

    /// Ends the service after saying what the hub did against the rules: nothing, one hopes.
    pub fn stop(self) {
        let violations = self.simulator.violations();
        assert!(violations.is_empty(), "{violations:?}");
        self.runtime.block_on(self.simulator.stop());
    }
}

/// A port that nobody listens on just now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The hub as people run it, in a process of its own.
pub struct HubProcess {
    child: Child,
    /// From its start until it said that it is ready.
    pub ready_after: Duration,
}

impl HubProcess {
    /// Starts it on a configuration and waits until it says that it is ready.
    pub fn start(folder: &Path, config: &str) -> Self {
        let file: PathBuf = folder.join("bench.toml");
        std::fs::write(&file, config).unwrap();
        // The way the service manager is told (sd_notify(3)): "READY=1" in a datagram.
        let socket = folder.join("ready");
        let _ = std::fs::remove_file(&socket);
        let ready = UnixDatagram::bind(&socket).unwrap();
        ready.set_read_timeout(Some(PATIENCE)).unwrap();
        let began = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_antiphon"))
            .args(["run", "--config"])
            .arg(&file)
            .env("NOTIFY_SOCKET", &socket)
            .env("ANTIPHON_LOG", "error")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = [0; 64];
        ready.recv(&mut said).expect("the hub does not say that it is ready");
        Self { child, ready_after: began.elapsed() }
    }

    /// Processor time it has used in all its threads, those that have ended too, in ticks of 10 ms.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // After the name in parentheses: utime and stime are the 12th and 13th (proc(5)). What the scheduler notes of
        // each thread is finer, but goes with the thread.
        let ticks = stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2);
        Duration::from_millis(ticks.map(|n| n.parse::<u64>().unwrap() * 10).sum())
    }

    /// Processor time used while `time` passes.
    pub fn cpu_during(&self, time: Duration) -> Duration {
        let before = self.cpu();
        std::thread::sleep(time);
        self.cpu().saturating_sub(before)
    }

    /// How many threads it has.
    pub fn threads(&self) -> f64 {
        self.memory("Threads")
    }

    /// A line of /proc/PID/status in KiB: `VmRSS`, `RssAnon`, `RssFile`.
    pub fn memory(&self, line: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let found = status.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
        found.unwrap().split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
