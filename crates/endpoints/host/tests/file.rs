//! What a virtual speaker leaves in its file.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use antiphon_audio::tone::Tone;
use antiphon_audio::{BLOCK_FRAMES, Block};
use antiphon_domain::{Frames, HubTime, SampleRate, SpeakerId};
use antiphon_endpoint::{Clock, Endpoint, EndpointEvent, Kind, Pace};
use antiphon_host::VirtualKind;
use antiphon_host::recording::Recording;

const PATIENCE: Duration = Duration::from_secs(20);

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> HubTime {
        HubTime::EPOCH + self.0.elapsed()
    }
}

fn open(
    kind: &VirtualKind,
    file: &Path,
    clock: &Arc<dyn Clock>,
) -> (Box<dyn Endpoint>, Receiver<EndpointEvent>) {
    let text = format!("virtual:{}", file.display());
    let descriptor = kind.configured(&text, &SpeakerId::new("test"), "Test").unwrap().unwrap();
    let (told, events) = channel();
    let told = std::sync::Mutex::new(told);
    let sink = Arc::new(move |event| {
        let _ = told.lock().unwrap().send(event);
    });
    let endpoint = kind.open(&descriptor, Pace::Steady, Arc::clone(clock), sink);
    assert_eq!(events.recv_timeout(PATIENCE), Ok(EndpointEvent::Ready));
    (endpoint, events)
}

/// Plays so many blocks of a tone from `first` on; says where they end.
fn play(endpoint: &mut dyn Endpoint, first: HubTime, blocks: u64) -> HubTime {
    let mut tone = Tone::new(441.0, 0.5);
    for index in 0..blocks {
        let due = first + Frames(index * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
        endpoint.play(&Block { due, samples: tone.stereo(BLOCK_FRAMES).into() });
    }
    first + Frames(blocks * BLOCK_FRAMES as u64).duration(SampleRate::HUB)
}

/// Waits until the file tells of so many frames.
fn wait_for(file: &Path, frames: usize) -> Recording {
    let before = Instant::now();
    loop {
        let recording = Recording::read(file).unwrap();
        if recording.frames() >= frames {
            return recording;
        }
        assert!(before.elapsed() < PATIENCE, "{} frames", recording.frames());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn samples_lie_where_they_were_due_over_gaps_and_sessions() {
    let dir = std::env::temp_dir().join(format!("antiphon-file-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("out.wav");
    let clock: Arc<dyn Clock> = Arc::new(TestClock(Instant::now()));
    let kind = VirtualKind::new();
    let (mut endpoint, events) = open(&kind, &file, &clock);

    let first = clock.now() + Duration::from_secs(1);
    let end = play(endpoint.as_mut(), first, 100);
    // While the session lives the file is valid and lacks at most a quarter of a second: what a kill would leave.
    let recording = wait_for(&file, 100 * 352 - 44_100 / 4);
    assert!(
        recording.due_of(0).since(first).max(first.since(recording.due_of(0))) < Duration::from_micros(23)
    );
    let loud = std::iter::from_fn(|| events.recv_timeout(PATIENCE).ok()).find_map(|event| match event {
        EndpointEvent::Meter { rms_dbfs, .. } => Some(rms_dbfs),
        _ => None,
    });
    // A sine at half scale: 6 dB for the half, 3 for the sine.
    assert!((loud.unwrap() + 9.03).abs() < 0.1, "{loud:?}");
    while clock.now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(endpoint);
    wait_for(&file, 100 * 352);

    let (mut endpoint, _events) = open(&kind, &file, &clock);
    let again = clock.now() + Duration::from_secs(1);
    let end = play(endpoint.as_mut(), again, 10);
    while clock.now() < end + Duration::from_millis(100) {
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(endpoint);
    let gap = Frames::within(again.since(first), SampleRate::HUB).0 as usize;
    let recording = wait_for(&file, gap + 3_519);
    let tone = Tone::new(441.0, 0.5).stereo(35_200);
    assert_eq!(recording.samples[..tone.len()], tone);
    let silence = &recording.samples[tone.len()..gap * 2];
    assert!(silence.iter().all(|&sample| sample == 0) && silence.len() > 44_100);
    let place = recording.between(recording.origin + gap as u64, recording.origin + gap as u64 + 3_520);
    let behind = (0..3).find(|&shift| place[shift * 2..shift * 2 + 2_000] == tone[..2_000]);
    assert!(behind.is_some(), "the second session lies where it was due");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn late_blocks_are_reported_and_not_played() {
    let clock: Arc<dyn Clock> = Arc::new(TestClock(Instant::now()));
    let dir = std::env::temp_dir().join(format!("antiphon-late-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("out.wav");
    let kind = VirtualKind::new();
    let (mut endpoint, events) = open(&kind, &file, &clock);
    while clock.now() < HubTime::EPOCH + Duration::from_millis(200) {
        std::thread::sleep(Duration::from_millis(10));
    }
    play(endpoint.as_mut(), HubTime::EPOCH, 3);
    let told = events.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(told, EndpointEvent::Underrun { .. }), "{told:?}");
    assert_eq!(Recording::read(&file).unwrap().frames(), 0);
    std::fs::remove_dir_all(&dir).unwrap();
}
