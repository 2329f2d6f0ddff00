//! What one more client costs: ours beside snapserver, the same real clients, the same sound, one run.
//!
//! `make bench`, or in a private network `cargo bench -p antiphon-snapcast`. `SECONDS=60` measures longer. Real
//! snapclients play into nothing; the processor time is the server's own, by the kernel's count.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench ends where something is not as it must be"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use antiphon_audio::encode::Codec;
use antiphon_audio::{BLOCK_FRAMES, Block};
use antiphon_domain::{Frames, HubTime, SampleRate};
use antiphon_endpoint::{Arrival, Clock, Endpoint, Kind, Pace};
use antiphon_snapcast::{SnapcastKind, SnapcastOptions};

const COUNTS: [usize; 3] = [1, 8, 32];
const SETTLING: Duration = Duration::from_secs(4);

struct Monotonic(Instant);

impl Clock for Monotonic {
    fn now(&self) -> HubTime {
        HubTime::EPOCH + self.0.elapsed()
    }
}

/// Ends with its value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !there("snapclient") || !there("snapserver") {
        println!("snapcast: SKIPPED, for want of snapclient and snapserver");
        return;
    }
    let length = std::env::var("SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let length = Duration::from_secs(length);
    let folder = std::env::temp_dir().join(format!("antiphon-snapcast-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for codec in [Codec::Pcm, Codec::Flac] {
        let name = format!("{codec:?}").to_lowercase();
        let ours = COUNTS.map(|count| ours(codec, count, length, &folder));
        let theirs = COUNTS.map(|count| snapserver(&name, count, length, &folder));
        for (who, used) in [("antiphon", ours), ("snapserver", theirs)] {
            let minutes = used.map(|(seconds, _)| format!("{seconds:.3}")).join(" / ");
            let per_client = (used[2].0 - used[0].0) / (COUNTS[2] - COUNTS[0]) as f64;
            let memory = (used[2].1 - used[0].1) / (COUNTS[2] - COUNTS[0]) as f64;
            println!(
                "snapcast {name}, {who}: {minutes} CPU-s a minute with 1 / 8 / 32 clients, {per_client:.4} a further \
                 one, {memory:.0} KiB of memory"
            );
        }
    }
    let _ = fs::remove_dir_all(folder);
}

/// CPU-seconds a minute and KiB of memory of our kind with so many clients.
fn ours(codec: Codec, count: usize, length: Duration, folder: &Path) -> (f64, f64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut options = SnapcastOptions::default();
    options.port = 0;
    options.interfaces = Some(vec!["lo".to_owned()]);
    options.codec = codec;
    let registry = prometheus::Registry::new();
    let kind = Arc::new(SnapcastKind::new(runtime.handle().clone(), options, &registry).unwrap());
    let clock: Arc<dyn Clock> = Arc::new(Monotonic(Instant::now()));
    let sessions: Arc<Mutex<Vec<Box<dyn Endpoint>>>> = Arc::default();
    let (list, its_clock, opener) = (Arc::clone(&sessions), Arc::clone(&clock), Arc::clone(&kind));
    let adverts = kind.listen(
        Arc::clone(&clock),
        Arc::new(move |arrival| {
            if let Arrival::Here(descriptor) = arrival {
                let session =
                    opener.open(&descriptor, Pace::Steady, Arc::clone(&its_clock), Arc::new(|_| {}));
                list.lock().unwrap().push(session);
            }
        }),
    );
    let over = Arc::new(AtomicBool::new(false));
    let feeder = {
        let (sessions, over, clock) = (Arc::clone(&sessions), Arc::clone(&over), Arc::clone(&clock));
        thread::spawn(move || feed(&sessions, &over, clock.as_ref()))
    };
    let _clients = clients(adverts[0].port, count, folder);
    wait_for(|| sessions.lock().unwrap().len() == count);
    thread::sleep(SETTLING);
    let used = used(std::process::id(), length);
    over.store(true, Ordering::Relaxed);
    feeder.join().unwrap();
    sessions.lock().unwrap().clear();
    used
}

fn feed(sessions: &Mutex<Vec<Box<dyn Endpoint>>>, over: &AtomicBool, clock: &dyn Clock) {
    let blocks: Vec<Arc<[i16]>> = music().chunks_exact(2 * BLOCK_FRAMES).map(Arc::from).collect();
    let begin = clock.now();
    let mut next = 0;
    while !over.load(Ordering::Relaxed) {
        loop {
            let due = begin + Frames(next * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
            if due > clock.now() + Duration::from_millis(1_020) {
                break;
            }
            let samples = Arc::clone(&blocks[next as usize % blocks.len()]);
            for session in sessions.lock().unwrap().iter_mut() {
                session.play(&Block { due, samples: Arc::clone(&samples) });
            }
            next += 1;
        }
        thread::sleep(Duration::from_millis(8));
    }
}

/// The same of a snapserver.
fn snapserver(codec: &str, count: usize, length: Duration, folder: &Path) -> (f64, f64) {
    let (feed, config) = (folder.join("feed"), folder.join("empty.conf"));
    let _ = fs::remove_file(&feed);
    fs::write(&config, "").unwrap();
    assert!(Command::new("mkfifo").arg(&feed).status().unwrap().success());
    let port = 20_000 + std::process::id() as u16 % 20_000;
    let mut command = Command::new("snapserver");
    command.arg("-c").arg(&config).arg(format!("--server.datadir={}", folder.display()));
    command.arg("--logging.sink=null").arg(format!("--stream.port={port}"));
    command.arg(format!("--tcp.port={}", port + 1)).arg(format!("--http.port={}", port + 2));
    let source =
        format!("pipe://{}?name=default&sampleformat=44100:16:2&codec={codec}&mode=read", feed.display());
    command.arg("--stream.source").arg(source);
    let server = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let over = Arc::new(AtomicBool::new(false));
    let feeder = {
        let over = Arc::clone(&over);
        thread::spawn(move || {
            // The server takes it at its pace.
            let mut pipe = fs::OpenOptions::new().write(true).open(feed).unwrap();
            let bytes: Vec<u8> = music().iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let mut chunks = bytes.chunks(4_096).cycle();
            while !over.load(Ordering::Relaxed) && pipe.write_all(chunks.next().unwrap_or_default()).is_ok() {
            }
        })
    };
    wait_for(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let _clients = clients(port, count, folder);
    thread::sleep(SETTLING + Duration::from_secs(1));
    let used = used(server.0.id(), length);
    over.store(true, Ordering::Relaxed);
    // A writer that waits for room ends with its reader.
    drop(server);
    feeder.join().unwrap();
    used
}

fn clients(port: u16, count: usize, folder: &Path) -> Vec<Process> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let client = |_| {
        let id = format!("bench-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let home: PathBuf = folder.join(&id);
        fs::create_dir_all(&home).unwrap();
        let mut command = Command::new("snapclient");
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "--hostID", &id]);
        command.args(["--player", "file:filename=null", "--logsink", "null"]).env("HOME", home);
        Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    };
    (0..count).map(client).collect()
}

/// CPU-seconds a minute and KiB of memory of a process, watched for so long.
fn used(pid: u32, length: Duration) -> (f64, f64) {
    let (before, begin) = (nanos(pid), Instant::now());
    thread::sleep(length);
    let seconds = (nanos(pid) - before) as f64 / 1e9;
    (seconds * 60.0 / begin.elapsed().as_secs_f64(), memory(pid))
}

/// Nanoseconds its threads have run (`/proc/PID/schedstat`, Documentation/scheduler/sched-stats).
fn nanos(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let of = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0)
    };
    tasks.map(of).sum()
}

fn memory(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn wait_for(state: impl Fn() -> bool) {
    let begin = Instant::now();
    while !state() {
        assert!(begin.elapsed() < Duration::from_secs(30), "it did not come to that");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Ten seconds of three notes that swell and fade, and a little noise.
fn music() -> Vec<i16> {
    let mut noise = 1_u32;
    let mut out = Vec::new();
    for frame in 0..441_000 {
        let t = f64::from(frame) / 44_100.0;
        let mut sound = 0.0;
        for (number, pitch) in [220.0, 277.18, 329.63_f64].into_iter().enumerate() {
            for overtone in 1..6 {
                let swell = (t * (0.3 + 0.1 * number as f64)).sin().abs() / f64::from(overtone);
                sound += (std::f64::consts::TAU * pitch * f64::from(overtone) * t).sin() * swell;
            }
        }
        for side in [0.6, 0.4] {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            out.push((sound * side * 5_000.0 + f64::from(noise >> 16) / 1_600.0) as i16);
        }
    }
    out
}
