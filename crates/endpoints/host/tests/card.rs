//! The sound card, played by a PulseAudio of the test's own with a null sink in the card's place. Skipped, aloud, where
//! PulseAudio is not installed.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use antiphon_audio::tone::{Tone, strength};
use antiphon_audio::{BLOCK_FRAMES, Block};
use antiphon_domain::{Frames, HubTime, SampleRate, SpeakerId};
use antiphon_endpoint::conformance::{Setup, suite};
use antiphon_endpoint::{Clock, EndpointEvent, Kind, Pace};
use antiphon_host::LocalKind;
use antiphon_host::metrics::Metrics;

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> HubTime {
        HubTime::EPOCH + self.0.elapsed()
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(program: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    let socket = format!("unix:{}", dir.join("pulse.sock").display());
    command.env("HOME", dir).env("XDG_RUNTIME_DIR", dir).env("PULSE_SERVER", socket);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// What the player is to play on.
const TEXT: &str = "ANTIPHON_TEST_ENDPOINT";

#[test]
fn the_sound_server_plays_what_it_is_given() {
    plays("local:");
}

/// By ALSA, whose plugin "pulse" leads to the same sound server.
#[test]
fn the_card_plays_what_it_is_given() {
    let plugins = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|machine| format!("/usr/lib/{machine}/alsa-lib/libasound_module_pcm_pulse.so"));
    if plugins.iter().any(|plugin| Path::new(plugin).exists()) {
        plays("local:pulse");
    } else {
        println!("SKIPPED: libasound2-plugins is not installed");
    }
}

fn plays(text: &str) {
    let name = text.replace(':', "-");
    let dir = std::env::temp_dir().join(format!("antiphon-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let server = command("pulseaudio", &dir)
        .env_remove("PULSE_SERVER")
        .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"])
        .arg("--load=module-null-sink sink_name=out rate=44100")
        .arg(format!(
            "--load=module-native-protocol-unix socket={} auth-anonymous=1",
            dir.join("pulse.sock").display()
        ))
        .stdout(Stdio::null())
        .spawn();
    let Ok(server) = server else {
        println!("SKIPPED: pulseaudio is not installed");
        return;
    };
    let _server = Killed(server);
    let before = Instant::now();
    while !dir.join("pulse.sock").exists() {
        assert!(before.elapsed() < Duration::from_secs(20), "pulseaudio does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    // The player reads PULSE_SERVER from its environment, which a test must not change in its own process.
    let me = std::env::current_exe().unwrap();
    let done = command(me.to_str().unwrap(), &dir)
        .args(["--ignored", "--exact", "inner", "--nocapture"])
        .env(TEXT, text)
        .stderr(Stdio::inherit())
        .stdout(Stdio::inherit())
        .status()
        .unwrap();
    assert!(done.success());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
#[ignore = "run by the test above, with a sound server"]
fn inner() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let kind = Arc::new(LocalKind::new(runtime.handle().clone(), metrics));
    let text = std::env::var(TEXT).unwrap();
    let descriptor = kind.configured(&text, &SpeakerId::new("card"), "Card").unwrap().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(TestClock(Instant::now()));

    let mut recorder = Killed(
        Command::new("parec")
            .args(["--device=out.monitor", "--format=s16le", "--rate=44100", "--channels=2", "--raw"])
            .args(["--latency-msec=20"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut out = recorder.0.stdout.take().unwrap();
    let recording = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = out.read_to_end(&mut bytes);
        bytes
    });

    let (told, events) = channel();
    let told = std::sync::Mutex::new(told);
    let sink = Arc::new(move |event| {
        let _ = told.lock().unwrap().send(event);
    });
    let mut endpoint = kind.open(&descriptor, Pace::Steady, Arc::clone(&clock), sink);
    assert_eq!(events.recv_timeout(Duration::from_secs(20)).unwrap(), EndpointEvent::Ready);
    // The recorder too needs a while to begin.
    let first = clock.now() + Duration::from_millis(2_500);
    let mut tone = Tone::new(441.0, 0.5);
    for index in 0..250u64 {
        let due = first + Frames(index * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
        endpoint.play(&Block { due, samples: tone.stereo(BLOCK_FRAMES).into() });
    }
    std::thread::sleep(Duration::from_secs(5));
    drop(endpoint);
    recorder.0.kill().unwrap();
    let samples: Vec<i16> =
        recording.join().unwrap().chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
    let begin = samples.iter().position(|sample| sample.unsigned_abs() > 1_000).expect("sound") / 2 * 2;
    let end = samples.iter().rposition(|sample| sample.unsigned_abs() > 1_000).unwrap();
    let frames = (end - begin) / 2;
    assert!((83_000..93_000).contains(&frames), "two seconds were heard: {frames} frames");
    // A tenth of a second from the middle: the sink may correct the clock a little on the way.
    let middle = begin + 88_200;
    let heard = strength(&samples[middle..middle + 8_820], 441.0);
    assert!((heard - 0.5).abs() < 0.05, "the tone is there: {heard}");

    suite(&Setup { kind, descriptor, refusing: None, clock });
}
