//! What one more virtual speaker costs, and how early blocks are handed out.
//!
//! Prints `name{labels} value unit`, one figure a line. Plays for real, so it takes about a minute.
#![allow(clippy::unwrap_used, reason = "a bench")]

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use antiphon_audio::ramp::VOLUME_RAMP;
use antiphon_audio::tone::Tone;
use antiphon_domain::media::Media;
use antiphon_domain::mix::InputGains;
use antiphon_domain::sound::{BuiltIn, Voice};
use antiphon_domain::{Gain, Lead, SpeakerId};
use antiphon_endpoint::{Clock, Kind, Pace};
use antiphon_host::VirtualKind;
use antiphon_render::{FeedEvent, HubClock, Output, RenderConfig, Renderer, Sound, Start};

const PLAY: Duration = Duration::from_secs(10);
const LEAD: Lead = Lead(Duration::from_millis(80));

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let path = std::env::temp_dir().join(format!("antiphon-bench-{}.wav", std::process::id()));
    write_tone(&path, 3 * PLAY.as_secs() as usize * 44_100);
    let url = format!("file://{}", path.display());
    start_latency(&url);
    for (case, gain) in [("unity", Gain::UNITY), ("gain", Gain::Db(-12.0))] {
        let alone = cost(&url, 1, gain, 0);
        for speakers in [64, 256, 1_000] {
            let all = cost(&url, speakers, gain, 0);
            let more = (speakers - 1) as f64;
            let labels = format!("{{speakers=\"{speakers}\",mix=\"{case}\"}}");
            println!(
                "render_one_more_speaker_cpu{labels} {:.5} cpu-s/stream-minute",
                (all.0 - alone.0) / more
            );
            println!("render_one_more_speaker_memory{labels} {:.1} KiB", (all.1 - alone.1) / more);
            println!("render_late_blocks{labels} {:.0} blocks", all.2);
        }
    }
    voices(&url);
    std::fs::remove_file(path).unwrap();
}

/// What an alarm over the content costs each speaker, against content at a gain alone.
fn voices(url: &str) {
    const SPEAKERS: usize = 100;
    let without = cost(url, SPEAKERS, Gain::Db(-12.0), 0);
    let with = cost(url, SPEAKERS, Gain::Db(-12.0), 8);
    let speakers = SPEAKERS as f64;
    println!(
        "render_one_voice_cpu{{speakers=\"100\"}} {:.5} cpu-s/stream-minute",
        (with.0 - without.0) / speakers
    );
    println!("render_voice_to_content_cpu{{speakers=\"100\"}} {:.2} ratio", with.0 / without.0);
    println!("render_one_voice_memory{{speakers=\"100\"}} {:.1} KiB", (with.1 - without.1) / speakers);
    println!("render_late_blocks{{speakers=\"100\",mix=\"voice\"}} {:.0} blocks", with.2);
}

fn start_latency(url: &str) {
    let hub = Hub::new();
    let mut millis: Vec<f64> = (0..30)
        .map(|_| {
            let before = hub.clock.now();
            let (told, events) = channel();
            let told = std::sync::Mutex::new(told);
            let sink = Arc::new(move |event| {
                let _ = told.lock().unwrap().send(event);
            });
            let output = hub.output(0);
            let feed = hub.renderer.open_feed(media(url), sink);
            output.attach(&feed);
            feed.start(LEAD);
            loop {
                if let FeedEvent::Scheduled { at } = events.recv().unwrap() {
                    return at.since(before).as_secs_f64() * 1e3;
                }
            }
        })
        .collect();
    millis.sort_by(f64::total_cmp);
    println!("render_open_to_first_due{{source=\"file\",quantile=\"0.5\"}} {:.1} ms", millis[15]);
    println!("render_open_to_first_due{{source=\"file\",quantile=\"0.99\"}} {:.1} ms", millis[29]);
}

/// CPU seconds a minute, resident KiB, late blocks; `alarms`: passes of the alarm on each, one after the other.
fn cost(url: &str, speakers: usize, gain: Gain, alarms: usize) -> (f64, f64, f64) {
    let hub = Hub::new();
    let outputs: Vec<Output> = (0..speakers).map(|number| hub.output(number)).collect();
    let (told, events) = channel();
    let told = std::sync::Mutex::new(told);
    let feed = hub.renderer.open_feed(
        media(url),
        Arc::new(move |event| {
            let _ = told.lock().unwrap().send(event);
        }),
    );
    for output in &outputs {
        output.set_gains(InputGains::all(gain), VOLUME_RAMP, None);
        output.attach(&feed);
    }
    feed.start(LEAD);
    while !matches!(events.recv().unwrap(), FeedEvent::Started { .. }) {}
    let mut sounds: Vec<Sound> = Vec::new();
    for output in &outputs {
        let mut start = Start::Now;
        for _ in 0..alarms {
            let sound = hub.renderer.open_sound(BuiltIn::Alarm, Arc::new(|_| {}));
            output.play_sound(&sound, Voice::Alert, start);
            start = Start::After { sound: sound.id(), pause: Duration::ZERO };
            sounds.push(sound);
        }
    }
    std::thread::sleep(Duration::from_secs(1));
    let (cpu, began) = (cpu_seconds(), Instant::now());
    std::thread::sleep(PLAY);
    let spent = (cpu_seconds() - cpu) / began.elapsed().as_secs_f64() * 60.0;
    let memory = resident_kib();
    let late: f64 = hub
        .registry
        .gather()
        .iter()
        .filter(|family| family.name() == "antiphon_render_late_blocks_total")
        .flat_map(|family| family.get_metric().to_vec())
        .map(|metric| metric.get_counter().get_value())
        .sum();
    feed.stop();
    (spent, memory, late)
}

struct Hub {
    clock: Arc<HubClock>,
    renderer: Renderer,
    kind: VirtualKind,
    registry: prometheus::Registry,
}

impl Hub {
    fn new() -> Self {
        let clock = Arc::new(HubClock::new());
        let registry = prometheus::Registry::new();
        let renderer =
            Renderer::start(RenderConfig::default(), Arc::clone(&clock) as Arc<dyn Clock>, &registry)
                .unwrap();
        Self { clock, renderer, kind: VirtualKind::new(), registry }
    }

    fn output(&self, number: usize) -> Output {
        let id = SpeakerId::new(format!("speaker-{number}"));
        let descriptor = self.kind.configured("virtual:", &id, "bench").unwrap().unwrap();
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let endpoint = self.kind.open(&descriptor, Pace::Steady, clock, Arc::new(|_| {}));
        self.renderer.open_output(id, endpoint, Arc::new(|_| {}))
    }
}

fn media(url: &str) -> Media {
    Media { url: url.to_owned(), offset: Duration::ZERO, end: None, headers: Vec::new() }
}

fn write_tone(path: &std::path::Path, frames: usize) {
    let samples = Tone::new(441.0, 0.5).stereo(frames);
    let length = samples.len() as u32 * 2;
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + length).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    wav.extend(44_100u32.to_le_bytes());
    wav.extend(176_400u32.to_le_bytes());
    wav.extend(b"\x04\0\x10\0data");
    wav.extend(length.to_le_bytes());
    wav.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    std::fs::write(path, wav).unwrap();
}

/// User and system time of this process, by /proc/self/stat in ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn resident_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
