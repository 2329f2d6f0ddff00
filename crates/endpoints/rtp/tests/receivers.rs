//! Real receivers in network namespaces: GStreamer, to the bit, and PulseAudio, which finds the session by itself. The
//! figures are printed: `cargo nextest run -p antiphon-rtp lab_ --no-capture`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod hub;
mod support;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use antiphon_domain::HubTime;
use antiphon_endpoint::{Clock, EndpointEvent, Pace};
use antiphon_rtp::{RtpKind, RtpOptions};
use hub::HubClock;
use prometheus::Registry;
use socket2::{Domain, Socket, Type};
use support::analysis::{gaps, largest_jump, longest_gap, quantile, sounding};
use support::lab::error::LabResult;
use support::lab::process::Process;
use support::lab::rack::{Offer, RATE, Rack, SAP};
use support::lab::{Lab, missing_programs};
use support::or_skip;
use support::patience::wait_for;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// How long PulseAudio plays.
const LENGTH: Duration = Duration::from_secs(60);

/// Where the packets are looked at and GStreamer listens; nothing announces it.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 69, 1, 1);

/// Noise that no two places of share, never zero: frame n of the hub's grid.
fn noise(frame: u64) -> [i16; 2] {
    let mixed = (frame + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [(mixed >> 48) as i16 | 1, (mixed >> 32) as i16 | 1]
}

/// A tone of 997 Hz at -12 dBFS.
fn tone(frame: u64) -> [i16; 2] {
    let angle = std::f64::consts::TAU * 997.0 * (frame % 44_100) as f64 / 44_100.0;
    [(angle.sin() * 8_192.0) as i16; 2]
}

fn kind() -> RtpKind {
    let mut options = RtpOptions::default();
    options.interfaces = Some(vec!["eth0".to_owned()]);
    RtpKind::new(options, &Registry::new()).unwrap()
}

/// GStreamer on `r1`, writing what it receives as big-endian samples.
fn gstreamer(lab: &Lab, encoding: &str, payload: u8) -> LabResult<Process> {
    let missing = missing_programs(&["gst-launch-1.0"]);
    if !missing.is_empty() {
        return Err(support::lab::error::LabError::Missing(missing));
    }
    let caps = format!(
        "caps=application/x-rtp,media=audio,clock-rate=44100,encoding-name={encoding},channels=2,payload={payload}"
    );
    let mut command = lab.command("r1", "gst-launch-1.0");
    command.args(["-q", "udpsrc", &format!("address={GROUP}"), "port=5004", "multicast-iface=eth0"]);
    command.args([&caps, "!", "rtpjitterbuffer", "latency=100", "!", &format!("rtp{encoding}depay"), "!"]);
    command.args([
        "filesink",
        "buffer-mode=2",
        &format!("location={}", lab.folder().join("heard.raw").display()),
    ]);
    lab.spawn("gstreamer", command)
}

/// Whether a host has joined a group, as its kernel tells it.
fn joined(lab: &Lab, host: &str, group: Ipv4Addr) -> bool {
    let text = lab.output(lab.command(host, "cat").arg("/proc/net/igmp")).unwrap_or_default();
    text.contains(&format!("{:08X}", u32::from(group).swap_bytes()))
}

/// Shows `see` each packet to the group as it comes to this host, with its moment, seconds; until `over`.
fn watch(over: &AtomicBool, group: SocketAddrV4, mut see: impl FnMut(&[u8], f64)) {
    // GStreamer listens at the same address.
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::V4(group).into()).unwrap();
    let socket = UdpSocket::from(socket);
    socket.join_multicast_v4(group.ip(), &Ipv4Addr::UNSPECIFIED).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    // When packets come is asked, not when an ordinary thread of a busy machine is let run.
    let round_robin = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    let priority = ThreadPriority::Crossplatform(10u8.try_into().unwrap());
    let _ = set_thread_priority_and_policy(thread_native_id(), priority, round_robin);
    let begin = Instant::now();
    let mut packet = [0; 1_500];
    while !over.load(Ordering::Relaxed) {
        let Ok(length) = socket.recv(&mut packet) else { continue };
        let now = begin.elapsed().as_secs_f64();
        assert!(length > 12 && packet[0] == 0x80);
        see(&packet[..length], now);
    }
}

/// Each packet's arrival on `r1` against its timestamp at 44.1 kHz, microseconds above the quickest; and how often one did
/// not follow the last.
fn arrivals(over: &AtomicBool, group: SocketAddrV4) -> (Vec<f64>, usize) {
    let mut late = Vec::new();
    let mut first = None;
    let (mut next, mut breaks) = (None, 0);
    watch(over, group, |packet, now| {
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        breaks += usize::from(next.is_some_and(|next| next != number));
        next = Some(number.wrapping_add(1));
        let timestamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        let since = timestamp.wrapping_sub(*first.get_or_insert(timestamp));
        late.push((now - f64::from(since) / 44_100.0) * 1e6);
    });
    let quickest = late.iter().copied().fold(f64::INFINITY, f64::min);
    (late.iter().map(|late| late - quickest).collect(), breaks)
}

fn bit_exact(format: &str, payload: u8, width: usize, length: Duration) {
    let Some(lab) = or_skip(Lab::new(&["hub", "r1"])) else { return };
    let Some(mut receiver) = or_skip(gstreamer(&lab, format, payload)) else { return };
    receiver.ready(Duration::from_secs(20), || joined(&lab, "r1", GROUP).then_some(())).expect("it listens");
    let over = AtomicBool::new(false);
    let mut late = Vec::new();
    let first = std::thread::scope(|scope| {
        let watcher = scope
            .spawn(|| lab.within("r1", || arrivals(&over, SocketAddrV4::new(GROUP, 5004))).expect("within"));
        let first = lab.within("hub", || {
            let (kind, clock) = (kind(), Arc::new(HubClock::new()));
            let place = hub::descriptor(&kind, &format!("rtp://{GROUP}:5004?format={format}&delay=60"));
            let (mut endpoint, events) = hub::open(&kind, &place, Pace::Steady, clock.clone());
            let first = hub::play(endpoint.as_mut(), &clock, length, noise);
            std::thread::sleep(Duration::from_secs(1));
            drop(endpoint);
            kind.farewell(Duration::from_secs(5));
            let news: Vec<_> = events.try_iter().collect();
            assert!(news.is_empty(), "{news:?}");
            first
        });
        over.store(true, Ordering::Relaxed);
        (late, _) = watcher.join().expect("the watcher");
        first.expect("within")
    });
    receiver.stop(Duration::from_secs(5));
    let heard = std::fs::read(lab.folder().join("heard.raw")).expect("heard");
    let samples: Vec<i16> = heard.chunks_exact(width).map(|b| i16::from_be_bytes([b[0], b[1]])).collect();
    assert!(width == 2 || heard.chunks_exact(3).all(|b| b[2] == 0));
    let begin = samples.iter().position(|s| *s != 0).expect("something is heard");
    let end = samples.iter().rposition(|s| *s != 0).expect("something is heard");
    let frames = length.as_secs() * 44_100 / 352 * 352;
    assert_eq!((end + 1 - begin) as u64, frames * 2, "as many samples as were played");
    for (index, frame) in samples[begin..=end].chunks_exact(2).enumerate() {
        assert_eq!(frame, noise(first + index as u64), "frame {index}");
    }
    println!(
        "rtp_arrival_jitter{{format=\"{format}\",ptime=\"5\"}} p50 {:.0} us, p99 {:.0} us, max {:.0} us of {} packets",
        quantile(late.iter().copied(), 0.5),
        quantile(late.iter().copied(), 0.99),
        quantile(late.iter().copied(), 1.0),
        late.len()
    );
}

/// A PTP master on `r1`, with the machine's wall clock.
fn master(lab: &Lab) -> LabResult<Process> {
    let missing = missing_programs(&["ptp4l"]);
    if !missing.is_empty() {
        return Err(support::lab::error::LabError::Missing(missing));
    }
    let mut command = lab.command("r1", "ptp4l");
    command.args(["-S", "-4", "-m", "-i", "eth0", "--free_running=1"]);
    lab.spawn("ptp4l", command)
}

#[test]
fn lab_packets_leave_by_the_clock_of_a_ptp_master() {
    let Some(lab) = or_skip(Lab::new(&["hub", "r1"])) else { return };
    let Some(mut master) = or_skip(master(&lab)) else { return };
    master
        .ready(Duration::from_secs(30), || {
            master_log(&lab).contains("assuming the grand master role").then_some(())
        })
        .expect("a master");
    let over = AtomicBool::new(false);
    let mut apart: Vec<(f64, u16)> = Vec::new();
    let mut reports = Vec::new();
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| lab.within("r1", || against_wall_clock(&over)).expect("within"));
        lab.within("hub", || {
            let (kind, clock) = (kind(), Arc::new(HubClock::new()));
            let text = format!("rtp://{GROUP}:5004?format=L24&rate=48000&delay=20&clock=ptp");
            let place = hub::descriptor(&kind, &text);
            let (mut endpoint, events) = hub::open(&kind, &place, Pace::Steady, clock.clone());
            hub::play(endpoint.as_mut(), &clock, Duration::from_secs(15), tone);
            std::thread::sleep(Duration::from_millis(500));
            drop(endpoint);
            kind.farewell(Duration::from_secs(5));
            reports.extend(events.try_iter());
        })
        .expect("within");
        over.store(true, Ordering::Relaxed);
        apart = watcher.join().expect("the watcher");
    });
    let mut lost = 0;
    for pair in apart.windows(2) {
        lost += u32::from(pair[1].1.wrapping_sub(pair[0].1) != 1);
    }
    let errors: Vec<f64> = apart.iter().map(|(micros, _)| *micros).collect();
    let (p50, p99) = (quantile(errors.iter().copied(), 0.5), quantile(errors.iter().copied(), 0.99));
    println!("rtp_ptp_departure p50 {p50:.0} us, p99 {p99:.0} us of {} packets, {lost} breaks", errors.len());
    println!("rtp_ptp_last_report {:?}", reports.last());
    assert!(errors.len() > 14_000 && lost == 0, "{} packets, {lost} breaks", errors.len());
    assert!(p50 < 500.0, "half of the packets are {p50} us from their moment");
    assert!(
        reports.iter().any(|event| matches!(event, EndpointEvent::Sync(report) if report.clock.is_some()))
    );
}

fn master_log(lab: &Lab) -> String {
    std::fs::read_to_string(lab.folder().join("ptp4l.log")).unwrap_or_default()
}

/// How far each packet of 48 kHz comes from the moment its timestamp names on the wall clock, microseconds, and its number.
fn against_wall_clock(over: &AtomicBool) -> Vec<(f64, u16)> {
    let mut apart = Vec::new();
    watch(over, SocketAddrV4::new(GROUP, 5004), |packet, _| {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let timestamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        let now = (wall * 48_000 / 1_000_000_000) as u32;
        let frames = now.wrapping_sub(timestamp) as i32;
        apart.push((f64::from(frames) * 1e6 / 48_000.0, u16::from_be_bytes([packet[2], packet[3]])));
    });
    apart
}

#[test]
fn lab_gstreamer_hears_every_sample_of_l24() {
    bit_exact("L24", 96, 3, Duration::from_secs(60));
}

#[test]
fn lab_gstreamer_hears_every_sample_of_l16() {
    bit_exact("L16", 10, 2, Duration::from_secs(10));
}

/// A PulseAudio on `r1` that plays every session that is announced.
fn pulseaudio(lab: &Lab) -> Option<Rack> {
    let offer = Offer { host: "r1", rtp: &[1], sap: SAP, announced: false };
    // PulseAudio 16.1 opens a session's socket, then looks for GStreamer's plugins, which the first time takes seconds, and
    // aborts when more than 64 KiB have come meanwhile (rtp-gstreamer.c:659). So let them be found beforehand.
    let home = lab.folder().join("rack/home");
    std::fs::create_dir_all(&home).expect("a home");
    or_skip(lab.output(lab.command("r1", "gst-inspect-1.0").arg("udpsrc").env("HOME", &home)));
    or_skip(Rack::on_network(lab, 1, offer))
}

/// Places where the tone does not go on as a sine does; a lost or doubled frame makes one or two.
fn ticks(tone: &[f32]) -> usize {
    let turn = 2.0 * (std::f64::consts::TAU * 997.0 / f64::from(RATE)).cos();
    let off = |w: &[f32]| (f64::from(w[2]) - turn * f64::from(w[1]) + f64::from(w[0])).abs() > 0.02;
    let (mut ticks, mut last) = (0, None);
    for (at, _) in tone.windows(3).enumerate().filter(|(_, w)| off(w)) {
        ticks += usize::from(last.is_none_or(|last| at > last + 300));
        last = Some(at);
    }
    ticks
}

#[test]
fn lab_pulseaudio_is_in_time_after_a_pause() {
    let Some(lab) = or_skip(Lab::new(&["hub", "r1"])) else { return };
    let Some(rack) = pulseaudio(&lab) else { return };
    let recorder = rack.record().expect("record");
    let (length, pause) = (Duration::from_secs(5), Duration::from_secs(14));
    let apart = lab.within("hub", || {
        let (kind, clock) = (kind(), Arc::new(HubClock::new()));
        // As its own sender numbers 48 kHz.
        let place = hub::descriptor(&kind, "rtp://239.69.1.2:5006?delay=200&rate=48000&ptime=5");
        let (mut endpoint, _events) = hub::open(&kind, &place, Pace::Steady, clock.clone());
        hub::play(endpoint.as_mut(), &clock, Duration::from_secs(3), |_| [0; 2]);
        let first = hub::play(endpoint.as_mut(), &clock, length, tone);
        std::thread::sleep(pause);
        let second = hub::play(endpoint.as_mut(), &clock, length, tone);
        std::thread::sleep(Duration::from_secs(1));
        drop(endpoint);
        kind.farewell(Duration::from_secs(5));
        (second - first) as f64 / 44_100.0
    });
    let recording = recorder.finish().expect("record");
    let left = recording.output(1);
    let heard = sounding(left, -30.0).expect("something is heard");
    let silences = gaps(&left[heard], -40.0, 5 * RATE as usize);
    let heard_apart = silences.first().map(|(at, length)| (at + length) as f64 / f64::from(RATE));
    println!("rtp_pulseaudio_pause played {apart:?} s apart, heard {heard_apart:?} s apart");
    let late = heard_apart.expect("two tones") - apart.expect("within");
    assert!(late.abs() < 0.1, "after a pause of {pause:?} it is {late} s late");
}

#[test]
fn lab_pulseaudio_finds_the_session_and_plays_it_without_a_gap() {
    let Some(lab) = or_skip(Lab::new(&["hub", "r1"])) else { return };
    let Some(rack) = pulseaudio(&lab) else { return };
    let inputs = || rack.client("pactl").args(["list", "short", "sink-inputs"]).output().unwrap().stdout;
    let before = inputs().len();
    let recorder = rack.record().expect("record");
    let over = AtomicBool::new(false);
    let group = SocketAddrV4::new(Ipv4Addr::new(239, 69, 1, 2), 5006);
    let (begin, due, late_packets, breaks) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| lab.within("r1", || arrivals(&over, group)).expect("within"));
        let (begin, due) = lab
            .within("hub", || {
                let (kind, clock) = (kind(), Arc::new(HubClock::new()));
                let place = hub::descriptor(&kind, "rtp://239.69.1.2:5006?delay=200");
                let (mut endpoint, _events) = hub::open(&kind, &place, Pace::Steady, clock.clone());
                // Silence opens the stream, as a hub does that wakes a speaker; it is announced at once.
                let (begin, at) = (Instant::now(), clock.now());
                hub::play(endpoint.as_mut(), &clock, Duration::from_secs(3), |_| [0; 2]);
                let first = hub::play(endpoint.as_mut(), &clock, LENGTH, tone);
                std::thread::sleep(Duration::from_secs(1));
                drop(endpoint);
                kind.farewell(Duration::from_secs(5));
                let due = HubTime::from_nanos((first as i128 * 1_000_000_000 / 44_100) as i64);
                (begin, due.since(at))
            })
            .expect("within");
        over.store(true, Ordering::Relaxed);
        let (late, breaks) = watcher.join().expect("the watcher");
        (begin, due, quantile(late.iter().copied(), 1.0), breaks)
    });
    let gone = wait_for(Duration::from_secs(5), || (inputs().len() <= before).then_some(()));
    assert!(
        gone.is_some(),
        "PulseAudio keeps a session that was deleted: {}",
        String::from_utf8_lossy(&inputs())
    );
    let recording = recorder.finish().expect("record");
    let left = recording.output(1);
    let heard = sounding(left, -30.0).expect("something is heard");
    let seconds = heard.len() as f64 / f64::from(RATE);
    let played = recording.frame_at(begin + due).expect("within the recording");
    let late = (heard.start as f64 - played as f64) / f64::from(RATE);
    let (at, gap) = longest_gap(&left[heard.clone()], -40.0);
    println!(
        "rtp_pulseaudio heard {seconds:.2} s, {:.1} ms after it was due, longest gap {gap} frames at {at}",
        late * 1e3
    );
    // It takes its first seconds to find the rate, and until then has some milliseconds in hand at times (as its log tells).
    let settled = &left[heard.start + 10 * RATE as usize..heard.end - RATE as usize];
    let (at, settled_gap) = longest_gap(settled, -40.0);
    // Told, not judged: at 44.1 kHz it places some packets a frame too early, at 48 kHz none.
    let ticks = ticks(settled);
    println!("rtp_pulseaudio settled: longest gap {settled_gap} frames at {at}, {ticks} ticks");
    let (at, jump) = largest_jump(settled, RATE, 997.0);
    println!("rtp_pulseaudio largest jump {:.1} us at {at}", jump * 1e6);
    assert!((seconds - LENGTH.as_secs_f64()).abs() < 0.3, "{seconds} s");
    assert!(
        settled_gap < 20,
        "a gap of {settled_gap} frames at {at}, while no packet came later than {late_packets:.0} us after the quickest and \
         {breaks} did not follow the one before"
    );
    assert!(late.abs() < 0.25, "{late} s");
}
