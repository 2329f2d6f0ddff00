//! Sessions with a real PulseAudio: what they promise, and what becomes of them when the server fails. Skipped, aloud,
//! where it is not installed.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_audio::meter::SILENCE_DBFS;
use antiphon_audio::tone::{Tone, strength};
use antiphon_audio::{BLOCK_FRAMES, Block};
use antiphon_domain::{Frames, SampleRate, Volume};
use antiphon_endpoint::conformance::{Setup, suite, two_beside_each_other, what_was_lost_comes_again};
use antiphon_endpoint::{EndpointEvent, LostReason};
use antiphon_host::PulseOptions;
use support::{Hub, Player, Pulse, RATE, Recorder, wait_for};

const TONE: f64 = 441.0;

/// Plays a tone at half scale for so long, from as soon as the sink allows.
fn play(hub: &Hub, player: &Player, length: Duration) {
    let first = hub.clock.now() + player.lead() + Duration::from_millis(50);
    let mut tone = Tone::new(TONE, 0.5);
    let block = move |index: u64| {
        let due = first + Frames(index * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
        Block { due, samples: tone.stereo(BLOCK_FRAMES).into() }
    };
    let blocks = Frames::within(length, SampleRate::HUB).0 / BLOCK_FRAMES as u64;
    player.play_on(&hub.clock, (0..blocks).map(block));
}

/// How strong the tone is in the newest tenth of a second of an output.
fn now_heard(recorder: &Recorder, output: usize) -> f64 {
    let from = recorder.frames().saturating_sub(RATE as usize / 10);
    let sound: Vec<i16> =
        recorder.output(output, from).iter().flat_map(|sample| [(sample * 32_767.0) as i16; 2]).collect();
    // The helper counts at the hub's rate.
    strength(&sound, TONE * f64::from(SampleRate::HUB.hertz()) / f64::from(RATE))
}

fn lost(event: &EndpointEvent) -> Option<LostReason> {
    match event {
        EndpointEvent::Lost(why) => Some(why.clone()),
        _ => None,
    }
}

#[test]
fn a_sink_conforms() {
    let Some(server) = Pulse::start(2) else { return };
    let hub = Hub::new(PulseOptions::default());
    let descriptor = hub.describe(&server.text(1));
    let refusing = Some(hub.describe("pulse://127.0.0.1:1/out1"));
    let setup = Setup { kind: hub.kind.clone(), descriptor, refusing, clock: Arc::clone(&hub.clock) };
    suite(&setup);
    two_beside_each_other(&setup, &hub.describe(&server.text(2)));
    what_was_lost_comes_again(&setup, || server.freeze(), || server.thaw());
}

#[test]
fn volumes_are_heard_at_once_and_a_person_s_come_back() {
    let Some(server) = Pulse::start(1) else { return };
    let hub = Hub::new(PulseOptions::default());
    let recorder = server.record();
    let player = hub.open(&server.text(1), 100);
    play(&hub, &player, Duration::from_secs(4));
    wait_for("the tone", || (now_heard(&recorder, 1) > 0.48).then_some(()));
    let quiet = f64::from(Volume::new(50).unwrap().gain().factor());
    let asked = Instant::now();
    player.turn(50, false);
    wait_for("the volume", || ((now_heard(&recorder, 1) / 0.5 - quiet).abs() < 0.02).then_some(()));
    // A tenth of a second of it is looked at.
    println!("pulse: Level -> heard whole in a window of 100 ms {} ms", asked.elapsed().as_millis());
    player.turn(50, true);
    wait_for("silence", || (now_heard(&recorder, 1) < 0.001).then_some(()));
    player.turn(100, false);
    wait_for("the tone", || (now_heard(&recorder, 1) > 0.48).then_some(()));

    server.control(&["set-sink-input-volume", &server.input(), "60%"]);
    let turned = player.wait("the knob", |event| match event {
        EndpointEvent::VolumeTurned(volume) => Some(*volume),
        _ => None,
    });
    // 60 % of a cube.
    let wished = 0.6_f32.powi(3);
    assert!((turned.gain().factor() / wished).log10().abs() < 0.05, "{turned:?}");
    server.control(&["set-sink-input-mute", &server.input(), "1"]);
    player.wait("the switch", |event| matches!(event, EndpointEvent::Muted(true)).then_some(()));
    // Nothing of what we did ourselves came back as a person's.
    player.turn(30, false);
    let until = Instant::now() + Duration::from_millis(500);
    while let Ok(event) = player.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
        assert!(!matches!(event, EndpointEvent::VolumeTurned(_) | EndpointEvent::Muted(_)), "{event:?}");
    }
}

#[test]
fn a_server_that_dies_or_freezes_is_lost_and_comes_again() {
    let Some(mut server) = Pulse::start(1) else { return };
    let hub = Hub::new(PulseOptions::default());
    let player = hub.open(&server.text(1), 100);
    server.kill();
    let why = player.wait("the loss", lost);
    assert!(matches!(why, LostReason::Disconnected(_)), "{why:?}");
    let player = hub.try_open(&server.text(1), 100);
    let why = player.wait("the refusal", lost);
    assert!(matches!(why, LostReason::Unreachable { .. }), "{why:?}");
    let server = server.restart();
    let player = hub.open(&server.text(1), 100);

    server.freeze();
    let frozen = Instant::now();
    let why = player.wait("the loss", lost);
    assert!(matches!(why, LostReason::Disconnected(_)), "{why:?}");
    assert!(frozen.elapsed() < Duration::from_secs(4), "{:?}", frozen.elapsed());
    // It still takes connections, and says nothing.
    let player = hub.try_open(&server.text(1), 100);
    let why = player.wait("the refusal", lost);
    assert!(matches!(why, LostReason::Unreachable { .. }), "{why:?}");
    server.thaw();
    hub.open(&server.text(1), 100);
}

#[test]
fn one_that_freezes_costs_another_nothing() {
    let Some(steady) = Pulse::start(1) else { return };
    let Some(frozen) = Pulse::start(1) else { return };
    let hub = Hub::new(PulseOptions::default());
    let recorder = steady.record();
    let heard = hub.open(&steady.text(1), 100);
    let other = hub.open(&frozen.text(1), 100);
    play(&hub, &heard, Duration::from_secs(7));
    play(&hub, &other, Duration::from_secs(7));
    wait_for("the tone", || (now_heard(&recorder, 1) > 0.48).then_some(()));
    let from = recorder.frames();
    frozen.freeze();
    other.wait("the loss", lost);
    wait_for("four seconds", || (recorder.frames() > from + 4 * RATE as usize).then_some(()));
    let sound = recorder.output(1, from);
    // The sine moves by at most 0.029 from frame to frame, and reaches its top in every 109.
    let jump = sound.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    assert!(jump < 0.031, "a jump of {jump}");
    for period in sound.chunks_exact(110) {
        assert!(period.iter().any(|sample| *sample > 0.49), "a hole");
    }
    frozen.thaw();
}

#[test]
fn what_people_do_to_our_stream_is_understood() {
    let Some(server) = Pulse::start(2) else { return };
    let hub = Hub::new(PulseOptions::default());
    let recorder = server.record();
    let player = hub.open(&server.text(1), 100);
    play(&hub, &player, Duration::from_secs(6));
    wait_for("the tone", || (now_heard(&recorder, 1) > 0.48).then_some(()));
    server.control(&["move-sink-input", &server.input(), "out2"]);
    wait_for("the other sink", || (now_heard(&recorder, 2) > 0.48).then_some(()));
    assert!(now_heard(&recorder, 1) < 0.01);

    server.order(&format!("kill-sink-input {}", server.input()));
    let why = player.wait("the end", lost);
    assert!(matches!(&why, LostReason::Unavailable(why) if why.contains("ended")), "{why:?}");
    let player = hub.open(&server.text(2), 100);
    server.control(&["suspend-sink", "out2", "1"]);
    let why = player.wait("the loss", lost);
    assert!(matches!(&why, LostReason::Unavailable(why) if why.contains("suspended")), "{why:?}");
    let player = hub.try_open(&server.text(2), 100);
    let why = player.wait("the refusal", lost);
    assert!(matches!(why, LostReason::Unavailable(_)), "{why:?}");
    server.control(&["suspend-sink", "out2", "0"]);
    let player = hub.open(&server.text(2), 100);
    let modules = server.control(&["list", "short", "modules"]);
    for module in modules.lines().filter(|line| line.contains("module-remap-sink")) {
        server.control(&["unload-module", module.split_whitespace().next().unwrap()]);
    }
    let modules = server.control(&["list", "short", "modules"]);
    for module in modules.lines().filter(|line| line.contains("module-null-sink")) {
        server.control(&["unload-module", module.split_whitespace().next().unwrap()]);
    }
    let why = player.wait("the loss", lost);
    assert!(matches!(why, LostReason::Unavailable(_)), "{why:?}");
    let player = hub.try_open(&server.text(2), 100);
    let why = player.wait("the refusal", lost);
    assert!(matches!(why, LostReason::Unavailable(_)), "{why:?}");
}

#[test]
fn what_our_stream_is_set_to_is_nobody_else_s() {
    let Some(server) = Pulse::start(1) else { return };
    server.control(&["load-module", "module-stream-restore"]);
    let hub = Hub::new(PulseOptions::default());
    let player = hub.open(&server.text(1), 100);
    player.turn(7, true);
    let ours = || server.told_of("application.name = \"Antiphon\"");
    wait_for("the level", || ours().filter(|told| told.contains("Mute: yes") && !told.contains("100%")));
    drop(player);
    wait_for("the end", || ours().is_none().then_some(()));
    // The music that somebody plays there afterwards is as loud as it was.
    let mut other =
        server.command("pacat").args(["--property=media.role=music", "/dev/zero"]).spawn().unwrap();
    let told = wait_for("the other's stream", || server.told_of("media.role = \"music\""));
    let _ = other.kill();
    let _ = other.wait();
    assert!(told.contains("Mute: no") && told.contains("100%"), "{told}");
}

#[test]
fn a_server_that_wants_its_cookie_gets_it_or_says_so() {
    let Some(server) = Pulse::start_as(1, free_port(), false) else { return };
    let hub = Hub::new(PulseOptions { cookie: Some("/nowhere/at/all".into()) });
    let why = hub.try_open(&server.text(1), 100).wait("the refusal", lost);
    assert_eq!(why, LostReason::PasswordRequired);
    let cookie = server.folder.join(".config/pulse/cookie");
    let cookie = if cookie.exists() { cookie } else { server.folder.join("pulse/cookie") };
    assert!(cookie.exists(), "{}", cookie.display());
    let hub = Hub::new(PulseOptions { cookie: Some(cookie) });
    hub.open(&server.text(1), 100);
}

#[test]
fn the_level_of_what_is_played_is_told() {
    let Some(server) = Pulse::start(1) else { return };
    let hub = Hub::new(PulseOptions::default());
    let player = hub.open(&server.text(1), 100);
    play(&hub, &player, Duration::from_secs(1));
    let meter = |event: &EndpointEvent| match event {
        EndpointEvent::Meter { rms_dbfs, .. } => Some(*rms_dbfs),
        _ => None,
    };
    let loud = wait_for("the meter", || Some(player.wait("a reading", meter)).filter(|rms| *rms > -9.5));
    // A sine at half scale: 6 dB for the half, 3 for the sine.
    assert!((loud + 9.03).abs() < 0.3, "{loud}");
    wait_for("silence", || Some(player.wait("a reading", meter)).filter(|rms| *rms <= SILENCE_DBFS));
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
