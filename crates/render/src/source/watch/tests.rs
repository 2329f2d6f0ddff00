//! A pipeline that breaks before its first sound: with servers it is a matter of luck when the error comes.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use super::super::{Piece, line};
use super::*;
use crate::clock::HubClock;

const FRAMES: usize = 44_100;

fn silent_wav(path: &Path) {
    let bytes = FRAMES as u32 * 4;
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    wav.extend(44_100u32.to_le_bytes());
    wav.extend(176_400u32.to_le_bytes());
    wav.extend(b"\x04\0\x10\0data");
    wav.extend(bytes.to_le_bytes());
    wav.resize(wav.len() + bytes as usize, 0);
    std::fs::write(path, wav).unwrap();
}

#[test]
fn what_is_on_its_way_when_a_server_breaks_off_comes_out() {
    gst::init().unwrap();
    let path = std::env::temp_dir().join(format!("antiphon-broken-{}.wav", std::process::id()));
    silent_wav(&path);
    let mut media = Media {
        url: format!("file://{}", path.display()),
        offset: Duration::ZERO,
        end: None,
        headers: vec![],
    };
    let settings = SourceSettings { timeout: Duration::from_secs(10), user_agent: String::new() };
    let (bus, clock) = (gst::Bus::new(), Arc::new(HubClock::new()) as Arc<dyn Clock>);
    let (mut source, end) = line(FRAMES);
    let work = Work {
        entrance: &Entrance::Url,
        settings: &settings,
        clock: &clock,
        bus: &bus,
        end: &end,
        track: Track::new(false),
    };
    let decoder = pipeline::build(&media, work.entrance, &settings, &bus, &end, &work.track, true).unwrap();
    // The source breaks off while the decoder is still being put together.
    decoder.pipeline.connect("deep-element-added", false, |values| {
        let of: gst::Element = values[1].get().unwrap();
        let added: gst::Element = values[2].get().unwrap();
        if added.factory().is_some_and(|factory| factory.name() == "wavparse") {
            let around = of.parent().unwrap();
            let source = around.property::<gst::Element>("source");
            let broken = gst::message::Error::builder(gst::ResourceError::Read, "broken off").src(&source);
            source.post_message(broken.build()).unwrap();
        }
        None
    });
    // Only what comes from the network is expected to break off.
    media.url = "http://somewhere/a.wav".into();
    let followed = Watch::new(&work, &media, &decoder, Manner::default()).follow(&clock, &bus);
    decoder.pipeline.set_state(gst::State::Null).unwrap();
    let Err(Trouble::Failed(failure)) = followed else { panic!("it did not break off") };
    work.track.finish(&end, Some(failure));
    std::fs::remove_file(&path).unwrap();

    let mut frames = 0;
    let failure = loop {
        match source.take().unwrap() {
            Piece::Samples(samples) => frames += samples.len() / 2,
            Piece::End(failure) => break failure.unwrap(),
        }
    };
    assert_eq!(frames, FRAMES);
    assert_eq!((failure.kind, failure.message.as_str()), (MediaErrorKind::ServiceUnavailable, "broken off"));
}
