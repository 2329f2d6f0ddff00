//! Plays a WAV file (44.1 kHz, 16 bits, stereo; again and again) to every Snapcast client that calls, all of them the
//! same blocks: for trying real clients and for measuring.
//!
//! `snap_serve FILE.wav [--port 1704] [--codec pcm|flac|opus] [--seconds 60] [--quick] [--flush-every 10]`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a tool for developers")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use antiphon_audio::encode::Codec;
use antiphon_audio::{BLOCK_FRAMES, Block};
use antiphon_domain::{Frames, HubTime, Level, SampleRate, SpeakerId, Volume};
use antiphon_endpoint::{Arrival, Clock, Control, Endpoint, Kind, Pace};
use antiphon_snapcast::{SnapcastKind, SnapcastOptions};

struct Monotonic(Instant);

impl Clock for Monotonic {
    fn now(&self) -> HubTime {
        HubTime::EPOCH + self.0.elapsed()
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let file = args.next().expect("a WAV file");
    let mut options = SnapcastOptions::default();
    let (mut seconds, mut pace, mut flush_every) = (60, Pace::Steady, None);
    while let Some(arg) = args.next() {
        let mut value = || args.next().expect("a value");
        match arg.as_str() {
            "--port" => options.port = value().parse().unwrap(),
            "--seconds" => seconds = value().parse().unwrap(),
            "--quick" => pace = Pace::Quick,
            "--flush-every" => flush_every = Some(value().parse::<u64>().unwrap()),
            "--codec" => {
                options.codec = match value().as_str() {
                    "flac" => Codec::Flac,
                    "opus" => Codec::Opus,
                    _ => Codec::Pcm,
                }
            }
            other => panic!("{other}?"),
        }
    }
    let samples = wav(&std::fs::read(file).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let registry = prometheus::Registry::new();
    let clock: Arc<dyn Clock> = Arc::new(Monotonic(Instant::now()));
    let lead = {
        let kind = Arc::new(SnapcastKind::new(runtime.handle().clone(), options, &registry).unwrap());
        serve(kind, &clock, &samples, Duration::from_secs(seconds), pace, flush_every)
    };
    println!("lead {lead:?}, CPU {:.3} s", cpu());
    for family in registry.gather() {
        for metric in family.get_metric() {
            let (label, value) = (metric.get_label(), metric.get_counter().get_value());
            if value > 0.0 {
                println!("{} {:?} {value}", family.name(), label.first().map(|l| l.value().to_owned()));
            }
        }
    }
}

fn serve(
    kind: Arc<SnapcastKind>,
    clock: &Arc<dyn Clock>,
    samples: &[i16],
    length: Duration,
    pace: Pace,
    flush_every: Option<u64>,
) -> Duration {
    type Sessions = Arc<Mutex<BTreeMap<SpeakerId, Box<dyn Endpoint>>>>;
    let sessions: Sessions = Arc::default();
    let (opener, list, its_clock) = (Arc::clone(&kind), Arc::clone(&sessions), Arc::clone(clock));
    let adverts = kind.listen(
        Arc::clone(clock),
        Arc::new(move |arrival| match arrival {
            Arrival::Here(descriptor) => {
                println!("{descriptor:?}");
                let name = descriptor.id.clone();
                let events = Arc::new(move |event| println!("{name}: {event:?}"));
                let mut session = opener.open(&descriptor, pace, Arc::clone(&its_clock), events);
                session.control(Control::Level(Level { volume: Volume::MAX, muted: false }));
                list.lock().unwrap().insert(descriptor.id, session);
            }
            Arrival::Gone(id) => {
                println!("{id} has gone");
                list.lock().unwrap().remove(&id);
            }
            // Snapcast clients ask nothing of a person.
            Arrival::Free(_) => {}
        }),
    );
    println!("{adverts:?}");
    let blocks: Vec<Arc<[i16]>> = samples.chunks_exact(BLOCK_FRAMES * 2).map(Arc::from).collect();
    let lead = Duration::from_millis(20)
        + if pace == Pace::Quick { Duration::from_millis(250) } else { Duration::from_secs(1) };
    let begin = clock.now();
    let per_second = 44_100 / BLOCK_FRAMES as u64;
    let mut next = 0;
    let mut skip_to = 0;
    while clock.now().since(begin) < length {
        loop {
            let due = begin + Frames(next * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
            if due > clock.now() + lead {
                break;
            }
            let samples = Arc::clone(&blocks[next as usize % blocks.len()]);
            let mut sessions = sessions.lock().unwrap();
            if flush_every.is_some_and(|every| next > 0 && next % (every * per_second) == 0) {
                println!("{:.3} flush", clock.now().since(begin).as_secs_f64());
                for session in sessions.values_mut() {
                    session.flush(clock.now());
                }
                // A pause of two seconds.
                skip_to = next + 2 * per_second;
            }
            if next >= skip_to {
                for session in sessions.values_mut() {
                    session.play(&Block { due, samples: Arc::clone(&samples) });
                }
            }
            next += 1;
        }
        std::thread::sleep(Duration::from_millis(4));
    }
    sessions.lock().unwrap().clear();
    lead
}

fn wav(bytes: &[u8]) -> Vec<i16> {
    let data = bytes.windows(4).position(|w| w == b"data").expect("a WAV file") + 8;
    bytes[data..].chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
}

/// Seconds of processor time this process has used (ticks of 1/100 s, `proc(5)`).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
