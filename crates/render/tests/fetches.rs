//! Files fetched whole, and speech captured from microphones and uploads.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use antiphon_audio::tone::{Tone, strength};
use antiphon_domain::media::{MediaError, MediaErrorKind};
use antiphon_render::{
    Capture, CaptureEvent, CaptureFormat, CaptureSource, Container, Fetch, FetchLimits, RenderConfig,
    byte_pipe,
};
use support::web::{Page, Web};
use support::{Events, Hub, tone_wav};

const SECOND: usize = 44_100;

type Told = Arc<Events<Result<u64, MediaError>>>;

fn fetch(hub: &Hub, url: &str, name: &str, limits: FetchLimits) -> (Fetch, Told) {
    let told: Told = Events::new();
    let sink = told.sink();
    let fetch =
        hub.renderer.fetch(url, &hub.dir().join(name), limits, Box::new(move |fetched| sink(fetched)));
    (fetch, told)
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    let hub = Hub::new();
    let bytes: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    let web = Web::serve(vec![
        ("/whole", Page::Bytes(bytes.clone())),
        ("/moved", Page::Redirect("/whole")),
        ("/cut", Page::Cut(bytes.clone(), 100_000)),
        ("/gone", Page::Status(404, "Not Found")),
        ("/empty", Page::NoRanges(Vec::new())),
        ("/hangs", Page::Silence),
    ]);
    for (page, name) in [("/whole", "a.mp3"), ("/moved", "b.mp3")] {
        let (_fetch, told) = fetch(&hub, &web.url(page), name, FetchLimits::default());
        assert_eq!(told.wait("file", |fetched| Some(fetched.clone())), Ok(300_000), "{page}");
        assert!(std::fs::read(hub.dir().join(name)).unwrap() == bytes);
    }
    let small = FetchLimits { bytes: 200_000, ..FetchLimits::default() };
    let soon = FetchLimits { time: Duration::from_secs(2), ..FetchLimits::default() };
    let file = format!("file://{}", hub.dir().join("a.mp3").display());
    for (url, limits, kind) in [
        (web.url("/whole"), small, Some(MediaErrorKind::InvalidRequest)),
        (web.url("/gone"), FetchLimits::default(), Some(MediaErrorKind::InvalidRequest)),
        (web.url("/cut"), soon, None),
        (web.url("/empty"), FetchLimits::default(), None),
        (web.url("/hangs"), soon, None),
        (file, FetchLimits::default(), Some(MediaErrorKind::InvalidRequest)),
    ] {
        let (_fetch, told) = fetch(&hub, &url, "c.mp3", limits);
        let error = told.wait("answer", |fetched| Some(fetched.clone())).unwrap_err();
        assert!(kind.is_none_or(|kind| kind == error.kind), "{url}: {error:?}");
    }
    // One that nobody wants any more.
    let (dropped, told) = fetch(&hub, &web.url("/hangs"), "d.mp3", FetchLimits::default());
    drop(dropped);
    // Its thread sees that within a fraction of a second; the names show that nothing is left.
    let names = || -> Vec<String> {
        let names = std::fs::read_dir(hub.dir()).unwrap().map(|e| e.unwrap().file_name().into_string());
        names.map(Result::unwrap).filter(|name| name != "a.mp3" && name != "b.mp3").collect()
    };
    let patience = std::time::Instant::now();
    while !names().is_empty() && patience.elapsed() < support::PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(names(), Vec::<String>::new());
    assert!(told.all().is_empty());
}

type Heard = Arc<Events<CaptureEvent>>;

fn capture(hub: &Hub, source: CaptureSource, format: CaptureFormat) -> (Capture, Heard) {
    let heard: Heard = Events::new();
    (hub.renderer.open_capture(source, format, heard.sink()), heard)
}

/// Every chunk, once it ended.
fn chunks(heard: &Heard) -> Vec<Vec<u8>> {
    heard.wait("end", |event| match event {
        CaptureEvent::Ended => Some(()),
        CaptureEvent::Failed(why) => panic!("it failed: {why}"),
        _ => None,
    });
    let chunk = |event| match event {
        CaptureEvent::Chunk(chunk) => Some(chunk),
        _ => None,
    };
    heard.all().into_iter().filter_map(chunk).collect()
}

fn upload(bytes: &[u8], part: usize, container: Container) -> CaptureSource {
    let (writer, reader) = byte_pipe();
    for part in bytes.chunks(part) {
        writer.push(Box::new(part.to_vec()));
    }
    writer.finish(true);
    CaptureSource::Bytes { reader, container }
}

/// The strength of a tone in 16 kHz mono.
fn strength_16k(chunks: &[Vec<u8>], hertz: f64) -> f64 {
    let stereo: Vec<i16> = chunks
        .concat()
        .chunks_exact(2)
        .flat_map(|sample| [i16::from_le_bytes([sample[0], sample[1]]); 2])
        .collect();
    // The measure believes in 44,100 Hz.
    strength(&stereo, hertz * 44_100.0 / 16_000.0)
}

#[test]
fn uploads_become_speech() {
    let hub = Hub::new();
    let wav = hub.dir().join("in.wav");
    tone_wav(&wav, 441.0, 2 * SECOND);
    let bytes = std::fs::read(&wav).unwrap();
    let (_capture, heard) = capture(&hub, upload(&bytes, 1_000, Container::Wav), CaptureFormat::Pcm);
    let pcm = chunks(&heard);
    assert!((199..=202).contains(&pcm.len()), "{} chunks", pcm.len());
    assert!(pcm.iter().all(|chunk| chunk.len() == 320));
    assert!((strength_16k(&pcm[10..190], 441.0) - 0.5).abs() < 0.02);

    let samples: Vec<u8> =
        Tone::new(441.0, 0.5).stereo(16_000).chunks(2).flat_map(|frame| frame[0].to_le_bytes()).collect();
    let (_capture, heard) = capture(&hub, upload(&samples, 777, Container::Pcm16k), CaptureFormat::Pcm);
    assert!(chunks(&heard).concat() == samples, "passed through");
    let (_capture, heard) = capture(&hub, upload(&samples, 777, Container::Pcm16k), CaptureFormat::Opus);
    let opus = chunks(&heard);
    assert!((50..=52).contains(&opus.len()), "{} frames", opus.len());
    assert!(opus.iter().all(|frame| frame.len() == 80), "hard constant rate");
    let (_capture, heard) = capture(&hub, upload(&opus.concat(), 777, Container::Opus), CaptureFormat::Opus);
    assert_eq!(chunks(&heard), opus);
}

#[test]
fn a_microphone_is_heard_until_it_ends_or_is_closed() {
    let hub = Hub::new();
    let device = "audiotestsrc is-live=true num-buffers=50 samplesperbuffer=480 freq=441 volume=0.5 \
                  ! audio/x-raw,rate=48000,channels=2";
    let (_capture, heard) = capture(&hub, CaptureSource::Device(device.into()), CaptureFormat::Pcm);
    let pcm = chunks(&heard);
    assert!((49..=51).contains(&pcm.len()), "{} chunks", pcm.len());
    assert!(strength_16k(&pcm[5..45], 441.0) > 0.4);
    let endless = "audiotestsrc is-live=true";
    let (microphone, heard) = capture(&hub, CaptureSource::Device(endless.into()), CaptureFormat::Opus);
    heard.wait("sound", |event| matches!(event, CaptureEvent::Chunk(_)).then_some(()));
    drop(microphone);
    assert!(!heard.all().contains(&CaptureEvent::Ended));
}

#[test]
fn what_cannot_be_heard_says_so() {
    let hub = Hub::with(RenderConfig { source_timeout: Duration::from_secs(2), ..RenderConfig::default() });
    let (silent, reader) = byte_pipe();
    let (broken, cut) = byte_pipe();
    broken.push(Box::new(vec![0u8; 3_200]));
    drop(broken);
    let device = |text: &str| CaptureSource::Device(text.into());
    let cases = [
        ("no such element", device("nosuchsrc"), CaptureFormat::Pcm),
        ("it vanishes", device("audiotestsrc is-live=true ! identity error-after=20"), CaptureFormat::Pcm),
        ("no sound in it", upload(b"this is no sound", 5, Container::Wav), CaptureFormat::Pcm),
        ("never begins", CaptureSource::Bytes { reader, container: Container::Wav }, CaptureFormat::Opus),
        (
            "breaks off",
            CaptureSource::Bytes { reader: cut, container: Container::Pcm16k },
            CaptureFormat::Pcm,
        ),
        ("not passed on", upload(&[0; 80], 80, Container::Opus), CaptureFormat::Pcm),
    ];
    for (what, source, format) in cases {
        let (_capture, heard) = capture(&hub, source, format);
        heard.wait(what, |event| match event {
            CaptureEvent::Failed(_) => Some(()),
            CaptureEvent::Ended => panic!("{what}: it ended"),
            _ => None,
        });
    }
    drop(silent);
}
