//! Plays a test signal to real receivers, in time, for measurements by hand:
//!
//! `cargo run --release -p antiphon-airplay --example raop_play -- HOST:PORT [HOST:PORT...] [key=value...]`
//!
//! Keys: `seconds=10`, `lead=1.0` (s), `volume=100`, `tone=997` (Hz, 0 none), `chirp=1` (one 40 ms chirp a second),
//! `apart=1` (each receiver gets samples of its own, so nothing is encoded once for all), `steps=1` (volume 100 and
//! 60 in turn each 2 s, the moment printed in Unix time), `pause=1` (flush after 5 s, go on 2 s later), `encrypt=1`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use antiphon_airplay::{AirplayKind, AirplayOptions};
use antiphon_audio::Block;
use antiphon_audio::block::BLOCK_FRAMES;
use antiphon_domain::{Frames, HubTime, Lead, Level, SampleRate, SpeakerId, Volume};
use antiphon_endpoint::{Clock, Control, Endpoint, EventSink, Kind, Pace};
use prometheus::{Encoder, Registry, TextEncoder};

struct MonotonicClock(Instant);

impl Clock for MonotonicClock {
    fn now(&self) -> HubTime {
        HubTime::EPOCH + self.0.elapsed()
    }
}

struct Wish {
    receivers: Vec<SocketAddr>,
    seconds: f64,
    lead: f64,
    volume: i64,
    tone: f64,
    chirp: bool,
    apart: bool,
    steps: bool,
    pause: bool,
    encrypt: bool,
}

fn wish() -> Result<Wish, Box<dyn std::error::Error>> {
    let mut wish = Wish {
        receivers: Vec::new(),
        seconds: 10.0,
        lead: 1.0,
        volume: 100,
        tone: 997.0,
        chirp: false,
        apart: false,
        steps: false,
        pause: false,
        encrypt: false,
    };
    for argument in std::env::args().skip(1) {
        match argument.split_once('=') {
            None => wish.receivers.push(argument.parse()?),
            Some(("seconds", v)) => wish.seconds = v.parse()?,
            Some(("lead", v)) => wish.lead = v.parse()?,
            Some(("volume", v)) => wish.volume = v.parse()?,
            Some(("tone", v)) => wish.tone = v.parse()?,
            Some(("chirp", v)) => wish.chirp = v == "1",
            Some(("apart", v)) => wish.apart = v == "1",
            Some(("steps", v)) => wish.steps = v == "1",
            Some(("pause", v)) => wish.pause = v == "1",
            Some(("encrypt", v)) => wish.encrypt = v == "1",
            Some((key, _)) => return Err(format!("unknown key {key}").into()),
        }
    }
    if wish.receivers.is_empty() { Err("give HOST:PORT of at least one receiver".into()) } else { Ok(wish) }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wish = wish()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let registry = Registry::new();
    let mut options = AirplayOptions::default().with_lead(Lead(Duration::from_secs_f64(wish.lead)));
    options.encrypt_always = wish.encrypt;
    let kind = AirplayKind::new(runtime.handle().clone(), options, &registry)?;
    let clock: Arc<dyn Clock> = Arc::new(MonotonicClock(Instant::now()));

    let mut endpoints: Vec<Box<dyn Endpoint>> = Vec::new();
    for receiver in &wish.receivers {
        let id = SpeakerId::new(receiver.to_string());
        let Some(Ok(descriptor)) = kind.configured(&format!("airplay://{receiver}"), &id, id.as_str()) else {
            return Err(format!("{receiver} is no receiver").into());
        };
        let (from, shown) = (Arc::clone(&clock), receiver.to_string());
        let events: EventSink = Arc::new(move |event| eprintln!("{:?} {shown}: {event:?}", from.now()));
        let mut endpoint = kind.open(&descriptor, Pace::Steady, Arc::clone(&clock), events);
        let volume = Volume::new(wish.volume)?;
        endpoint.control(Control::Level(Level { volume, muted: false }));
        endpoints.push(endpoint);
    }

    let before = cpu_seconds();
    play(&wish, clock.as_ref(), &mut endpoints)?;
    let used = cpu_seconds() - before;
    drop(endpoints);
    runtime.block_on(kind.farewell(Duration::from_secs(2)));
    let minutes = wish.seconds / 60.0;
    eprintln!("cpu {used:.3} s in {minutes:.2} min: {:.3} CPU-s a minute", used / minutes);
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    for line in String::from_utf8_lossy(&text).lines().filter(|line| !line.starts_with('#')) {
        eprintln!("{line}");
    }
    Ok(())
}

fn play(
    wish: &Wish,
    clock: &dyn Clock,
    endpoints: &mut [Box<dyn Endpoint>],
) -> Result<(), Box<dyn std::error::Error>> {
    let ahead = Duration::from_secs_f64(wish.lead) + Duration::from_millis(50);
    let signal = second(wish);
    let mut anchor = clock.now() + ahead + Duration::from_millis(200);
    let start = anchor;
    let end = anchor + Duration::from_secs_f64(wish.seconds);
    eprintln!("first block due at unix {:.6}", unix(clock, anchor)?);
    let (mut block, mut position, mut step, mut paused) = (0u64, 0u64, 0u64, !wish.pause);
    loop {
        let now = clock.now();
        if now >= end {
            return Ok(());
        }
        if !paused && now >= start + Duration::from_secs(5) {
            paused = true;
            for endpoint in endpoints.iter_mut() {
                endpoint.flush(now);
            }
            anchor = now + Duration::from_secs(2);
            block = 0;
            eprintln!("flushed at unix {:.6}, again due at {:.6}", unix(clock, now)?, unix(clock, anchor)?);
        }
        if wish.steps && now >= start + Duration::from_secs(2 * (step + 1)) {
            step += 1;
            let volume = Volume::new(if step % 2 == 0 { 100 } else { 60 })?;
            for endpoint in endpoints.iter_mut() {
                endpoint.control(Control::Level(Level { volume, muted: false }));
            }
            eprintln!("volume {volume} at unix {:.6}", unix(clock, clock.now())?);
        }
        loop {
            let due = anchor + Frames(block * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
            if due > now + ahead || due >= end {
                break;
            }
            let mut next = Block { due, samples: samples(&signal, position).into() };
            for endpoint in endpoints.iter_mut() {
                endpoint.play(&next);
                if wish.apart {
                    next.samples = next.samples.to_vec().into();
                }
            }
            block += 1;
            position += 1;
        }
        std::thread::sleep(Duration::from_millis(8));
    }
}

/// One second of the signal, which repeats: a tone at -12 dB (whole hertz), and at its begin a chirp 1 to 8 kHz at
/// -9 dB.
fn second(wish: &Wish) -> Vec<i16> {
    let mut out = Vec::with_capacity(44_100);
    for frame in 0..44_100 {
        let t = f64::from(frame) / 44_100.0;
        let mut value = 0.25 * (std::f64::consts::TAU * wish.tone * t).sin();
        if wish.chirp && t < 0.04 {
            let phase = std::f64::consts::TAU * (1000.0 * t + 0.5 * 7000.0 / 0.04 * t * t);
            let window = 0.5 - 0.5 * (std::f64::consts::TAU * t / 0.04).cos();
            value += 0.35 * window * phase.sin();
        }
        out.push((value * 32_767.0) as i16);
    }
    out
}

/// Block number `block` of the signal.
fn samples(second: &[i16], block: u64) -> Vec<i16> {
    let first = block as usize * BLOCK_FRAMES;
    (first..first + BLOCK_FRAMES).flat_map(|frame| [second[frame % second.len()]; 2]).collect()
}

fn unix(clock: &dyn Clock, at: HubTime) -> Result<f64, Box<dyn std::error::Error>> {
    let (now, wall) = (clock.now(), SystemTime::now().duration_since(UNIX_EPOCH)?);
    Ok(wall.as_secs_f64() + (at.nanos() - now.nanos()) as f64 * 1e-9)
}

/// User and system time of this process so far, from `/proc/self/stat` (in hundredths of a second).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |nth: usize| fields.get(nth).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
