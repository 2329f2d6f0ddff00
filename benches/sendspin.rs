//! What one more Sendspin player costs the hub, beside the reference server: processor time of a stream-minute, and
//! memory.
//!
//! The hub and `sendspin serve` (aiosendspin) are each a process of their own and play to the same clients: the reference
//! library's, which decrypt what they are sent and throw it away, in a third process. The cost of one more is what nine
//! cost beyond one, over eight: decoding and encoding are shared by a group, encrypting and sending are not. The ratio
//! that is asked for is at most a fifth. What is played is noise over a tone, which FLAC makes two thirds of, and clients
//! hold some seconds of it: a server that sends all it has at once has not much to do afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on says where")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Alexa, HubProcess, PATIENCE, figure, free_port};

/// A name by which the simulated service serves what it finds in its folder.
const TRACK: &str = "tone-441-120s.wav";
const LENGTH: u32 = 120;
const WATCH: Duration = Duration::from_secs(12);
const MORE: usize = 8;

fn main() {
    if support::only_tried() {
        return;
    }
    make_track();
    let peers = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("peers/venv/bin");
    if !peers.join("sendspin").is_file() {
        eprintln!("bench: the Sendspin reference client is not installed (deploy/setup.sh test)");
        return;
    }
    for codec in ["pcm", "flac"] {
        let ours = (hub(&peers, codec, 1), hub(&peers, codec, 1 + MORE));
        let theirs = (rival(&peers, codec, 1), rival(&peers, codec, 1 + MORE));
        let each = |(one, many): ((f64, f64), (f64, f64))| {
            ((many.0 - one.0) / MORE as f64, (many.1 - one.1) / MORE as f64)
        };
        let (ours, theirs) = (each(ours), each(theirs));
        let labels = |server: &str| format!("codec=\"{codec}\",server=\"{server}\"");
        for (server, (cpu, memory)) in [("antiphon", ours), ("aiosendspin", theirs)] {
            figure("sendspin_one_more_player_cpu", &labels(server), cpu, "cpu-s/stream-minute");
            figure("sendspin_one_more_player_memory", &labels(server), memory, "KiB");
        }
        figure("sendspin_one_more_player_ratio", &format!("codec=\"{codec}\""), ours.0 / theirs.0, "");
    }
}

/// Processor seconds a minute, and KiB resident, of a hub that plays to so many clients.
fn hub(peers: &Path, codec: &str, players: usize) -> (f64, f64) {
    let mut nulls = Nulls::start(peers, codec, players);
    let alexa = Alexa::start();
    let all: Vec<(String, String)> = (0..players)
        .map(|n| (format!("SPEAKER{n}"), format!("sendspin://127.0.0.1:{}", nulls.first + n)))
        .collect();
    let ids: Vec<String> = all.iter().map(|(id, _)| id.clone()).collect();
    let config = alexa.config("sendspin", &all, &[("all", &ids)]);
    let config = config.replace("[avs]", "[sendspin]\nport = 0\nunpaired = \"allow\"\n[avs]");
    let hub = HubProcess::start(alexa.folder.path(), &config);
    alexa.connected(&ids);
    alexa.make(TRACK);
    alexa.play(&ids[0], TRACK, "for all");
    nulls.playing();
    let spent = hub.cpu_during(WATCH).as_secs_f64() * 60.0 / WATCH.as_secs_f64();
    let memory = hub.memory("VmRSS");
    nulls.still_playing();
    if players > 1 {
        figure(
            "sendspin_chunks_shared",
            &format!("codec=\"{codec}\",players=\"{players}\""),
            shared(&config),
            "",
        );
    }
    drop(hub);
    alexa.stop();
    (spent, memory)
}

/// The same of the reference server.
fn rival(peers: &Path, codec: &str, players: usize) -> (f64, f64) {
    let mut nulls = Nulls::start(peers, codec, players);
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(peers.join("sendspin"));
    command.arg("serve").arg(track()).args(["--port", &free_port().to_string()]);
    for port in nulls.first..nulls.first + players {
        command.args(["--client", &format!("ws://127.0.0.1:{port}/sendspin")]);
    }
    command.env("HOME", folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = command.spawn().unwrap();
    nulls.playing();
    let before = cpu(server.id());
    std::thread::sleep(WATCH);
    let spent = (cpu(server.id()) - before) * 60.0 / WATCH.as_secs_f64();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory = memory.split_whitespace().next().unwrap().parse().unwrap();
    nulls.still_playing();
    server.kill().unwrap();
    server.wait().unwrap();
    (spent, memory)
}

/// The track as a file, where the simulated service looks for it.
fn track() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-media").join(TRACK)
}

/// Writes it: 16-bit stereo at 44.1 kHz.
fn make_track() {
    let size = LENGTH * 44_100 * 4;
    let mut file = b"RIFF".to_vec();
    file.extend_from_slice(&(36 + size).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    file.extend_from_slice(&44_100u32.to_le_bytes());
    file.extend_from_slice(&(44_100u32 * 4).to_le_bytes());
    file.extend_from_slice(b"\x04\0\x10\0data");
    file.extend_from_slice(&size.to_le_bytes());
    let mut random = 1u32;
    for frame in 0..LENGTH * 44_100 {
        let tone = (f64::from(frame) * 441.0 * std::f64::consts::TAU / 44_100.0).sin() * 8_000.0;
        for _ in 0..2 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (random >> 22) as i16 - 512;
            file.extend_from_slice(&(tone as i16 + noise).to_le_bytes());
        }
    }
    std::fs::create_dir_all(track().parent().unwrap()).unwrap();
    std::fs::write(track(), file).unwrap();
}

/// How many of the chunks that the hub sent had been encoded for another client before.
fn shared(config: &str) -> f64 {
    let port = config.split("listen = \"127.0.0.1:").nth(1).unwrap().split('"').next().unwrap();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let counted = |name: &str| -> f64 {
        let line = answer.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    let shared = counted("antiphon_sendspin_shared_chunks_total");
    shared / (shared + counted("antiphon_sendspin_encoded_chunks_total"))
}

/// Processor seconds that a process has used, and its children that ended.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // utime, stime, cutime and cstime are the 12th to 15th after the name (proc(5)), in ticks of 10 ms.
    let ticks = stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(4);
    ticks.map(|n| n.parse::<u64>().unwrap() as f64 / 100.0).sum()
}

/// Clients that hear nothing.
struct Nulls {
    child: Child,
    input: ChildStdin,
    said: BufReader<ChildStdout>,
    first: usize,
}

impl Nulls {
    fn start(peers: &Path, codec: &str, count: usize) -> Self {
        // Ports in a row, above those that a system gives away by itself.
        let first = 61_000 + usize::from(free_port()) % 4_000;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/sendspin/nulls.py");
        let mut command = Command::new(peers.join("python3"));
        command.arg("-u").arg(script).args(["--first", &first.to_string(), "--count", &count.to_string()]);
        command.args(["--codec", codec]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (input, said) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut nulls = Self { child, input, said, first };
        let ready = nulls.line();
        assert_eq!(ready["event"], "ready", "{ready}");
        nulls
    }

    fn line(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_default()
    }

    /// Chunks that each has had.
    fn chunks(&mut self) -> Vec<u64> {
        writeln!(self.input, "count").unwrap();
        let line = self.line();
        line["chunks"].as_array().unwrap().iter().filter_map(serde_json::Value::as_u64).collect()
    }

    /// Waits until each of them is sent sound, and what is sent ahead is gone.
    fn playing(&mut self) {
        let until = Instant::now() + PATIENCE;
        while self.chunks().contains(&0) {
            assert!(Instant::now() < until, "not everybody is played to: {:?}", self.chunks());
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(Duration::from_secs(4));
    }

    /// Fails where somebody is not sent sound any more.
    fn still_playing(&mut self) {
        let before = self.chunks();
        std::thread::sleep(Duration::from_secs(1));
        let after = self.chunks();
        assert!(before.iter().zip(&after).all(|(before, after)| after > before), "{before:?} {after:?}");
    }
}

impl Drop for Nulls {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
