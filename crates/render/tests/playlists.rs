//! Playlists as streams: PLS, M3U, lists of lists, HLS recorded and live; one stream to the outside.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use antiphon_audio::tone::{Tone, largest_step, strength};
use antiphon_domain::Lead;
use antiphon_domain::media::MediaErrorKind;
use antiphon_render::FeedEvent;
use support::web::{Page, Web};
use support::{Hub, encode, finished, media, started, tone_wav, write_wav};

const SECOND: usize = 44_100;
const LONG: Lead = Lead(Duration::from_millis(1_500));

fn text(text: &str) -> Page {
    Page::Bytes(text.as_bytes().to_vec())
}

/// Two halves of one tone as FLAC: where they join without a seam nobody can tell.
fn halves(dir: &Path) -> (Vec<u8>, Vec<u8>, Vec<i16>) {
    let whole = Tone::new(441.0, 0.5).stereo(3 * SECOND);
    let cut = 2 * (SECOND + 123);
    let mut coded = Vec::new();
    for (name, part) in [("one", &whole[..cut]), ("two", &whole[cut..])] {
        let (wav, flac) = (dir.join(name), dir.join(format!("{name}.flac")));
        write_wav(&wav, part);
        encode(&wav, "flacenc", &flac);
        coded.push(std::fs::read(&flac).unwrap());
    }
    let two = coded.pop().unwrap();
    (coded.pop().unwrap(), two, whole)
}

#[test]
fn lists_of_every_kind_are_one_stream_without_a_seam() {
    let hub = Hub::new();
    let (one, two, whole) = halves(hub.dir());
    let pages = vec![
        ("/one.flac", Page::Bytes(one)),
        ("/sub/two.flac", Page::Bytes(two)),
        ("/a.pls", text("[playlist]\nFile2=sub/two.flac\nFile1=/one.flac\nNumberOfEntries=2\n")),
        ("/a.m3u", text("#EXTM3U\n#EXTINF:1,One\none.flac\n#EXTINF:2,Two\nsub/two.flac\n")),
        ("/nested.m3u8", text("one.flac\nsub/inner.m3u\n")),
        ("/sub/inner.m3u", text("#EXTM3U\ngone.flac\ntwo.flac\n")),
        // Names that tell nothing, as radio stations have them.
        ("/listen", text("[playlist]\nFile1=/one.flac\nFile2=/sub/two.flac\n")),
    ];
    let web = Web::serve(pages);
    for list in ["/a.pls", "/a.m3u", "/nested.m3u8", "/listen"] {
        let captured = hub.capture(list, LONG);
        let (feed, events) = hub.open(&web.url(list));
        captured.output.attach(&feed);
        feed.start(LONG);
        let end = finished(&events);
        assert_eq!(end, Duration::from_secs(3), "{list}");
        assert!(captured.whole().samples[..whole.len()] == whole, "{list}");
        let count = |pick: fn(&FeedEvent) -> bool| events.all().iter().filter(|e| pick(e)).count();
        assert_eq!(count(|event| matches!(event, FeedEvent::Started { .. })), 1, "{list}");
        assert_eq!(count(|event| matches!(event, FeedEvent::Buffered)), 1, "{list}");
    }
    // From the middle: counted over all that is named.
    let mut part = media(&web.url("/a.m3u"));
    part.offset = Duration::from_millis(500);
    part.end = Some(Duration::from_millis(2_500));
    let captured = hub.capture("part", LONG);
    let (feed, events) = hub.open_media(part);
    captured.output.attach(&feed);
    feed.start(LONG);
    assert_eq!(finished(&events), Duration::from_millis(2_500));
    let heard = captured.whole().samples;
    assert!(heard[..4 * SECOND] == whole[SECOND..5 * SECOND]);
}

#[test]
fn lists_that_lead_nowhere_fail() {
    let hub = Hub::new();
    let web = Web::serve(vec![
        ("/loop.m3u", text("#EXTM3U\nloop.m3u\nloop.m3u\n")),
        ("/file.m3u", text("#EXTM3U\nfile:///etc/passwd\n")),
        ("/empty.pls", text("[playlist]\n")),
        ("/gone.pls", text("[playlist]\nFile1=/gone.mp3\n")),
        ("/page", text("<html><body>Listen to us!</body></html>")),
    ]);
    for (list, kind) in [
        ("/loop.m3u", MediaErrorKind::InvalidRequest),
        ("/file.m3u", MediaErrorKind::InvalidRequest),
        ("/empty.pls", MediaErrorKind::InvalidRequest),
        ("/gone.pls", MediaErrorKind::InvalidRequest),
        ("/none.m3u", MediaErrorKind::InvalidRequest),
        ("/page", MediaErrorKind::InternalDeviceError),
    ] {
        let (_feed, events) = hub.open(&web.url(list));
        let told = events.wait("failure", |event| match event {
            FeedEvent::Failed { error, .. } => Some(error.kind),
            _ => None,
        });
        assert_eq!(told, kind, "{list}");
    }
}

/// Segments of a tone, packed by `muxer`.
fn segments(hub: &Hub, count: usize, coder: &str, muxer: &str) -> Vec<Vec<u8>> {
    let whole = Tone::new(441.0, 0.5).stereo(count * 2 * SECOND);
    let mut packed = Vec::new();
    for (number, part) in whole.chunks(4 * SECOND).enumerate() {
        let (wav, out) = (hub.dir().join("s.wav"), hub.dir().join(format!("s{number}")));
        write_wav(&wav, part);
        encode(&wav, &format!("{coder} ! {muxer}"), &out);
        packed.push(std::fs::read(&out).unwrap());
    }
    packed
}

#[test]
fn recorded_hls_is_heard() {
    let hub = Hub::new();
    for (case, coder, muxer, ending) in [
        ("ts", "avenc_aac ! aacparse", "mpegtsmux", "ts"),
        ("adts", "avenc_aac ! aacparse", "audio/mpeg,stream-format=adts", "aac"),
        ("mp3", "lamemp3enc", "mpegaudioparse", "mp3"),
    ] {
        let mut pages = Vec::new();
        let mut list = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n".to_owned();
        for (number, bytes) in segments(&hub, 3, coder, muxer).into_iter().enumerate() {
            list.push_str(&format!("#EXTINF:2.0,\n{number}.{ending}\n"));
            pages.push((&*Box::leak(format!("/v/{number}.{ending}").into_boxed_str()), Page::Bytes(bytes)));
        }
        list.push_str("#EXT-X-ENDLIST\n");
        pages.push(("/v/list.m3u8", text(&list)));
        pages.push(("/top.m3u8", text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=128000\nv/list.m3u8\n")));
        let web = Web::serve(pages);
        let captured = hub.capture(case, LONG);
        let (feed, events) = hub.open(&web.url("/top.m3u8"));
        captured.output.attach(&feed);
        feed.start(LONG);
        started(&events);
        finished(&events);
        let heard = captured.whole().samples;
        let seconds = heard.len() as f64 / 2.0 / SECOND as f64;
        assert!((5.5..6.8).contains(&seconds), "{case}: {seconds} s");
        let middle = &heard[SECOND..3 * SECOND];
        assert!((strength(middle, 441.0) - 0.5).abs() < 0.03, "{case}: {}", strength(middle, 441.0));
        assert!(largest_step(middle) < 1_300, "{case}");
    }
}

#[test]
fn a_redirect_leads_to_the_list_and_relative_to_it() {
    let hub = Hub::new();
    let wav = hub.dir().join("in.wav");
    tone_wav(&wav, 441.0, SECOND);
    let web = Web::serve(vec![
        ("/sub/a.wav", Page::Bytes(std::fs::read(&wav).unwrap())),
        ("/sub/list.m3u", text("a.wav\n")),
        ("/old.m3u", Page::Redirect("/sub/list.m3u")),
    ]);
    let (feed, events) = hub.open(&web.url("/old.m3u"));
    feed.start(LONG);
    assert_eq!(finished(&events), Duration::from_secs(1));
}

#[test]
fn live_hls_is_followed_to_its_end() {
    let hub = Hub::new();
    let mut pages = Vec::new();
    for (number, bytes) in segments(&hub, 6, "avenc_aac ! aacparse", "mpegtsmux").into_iter().enumerate() {
        pages.push((&*Box::leak(format!("/{number}.ts").into_boxed_str()), Page::Bytes(bytes)));
    }
    pages.push(("/live.m3u8", Page::Live(6, Instant::now())));
    let web = Web::serve(pages);
    let captured = hub.capture("kitchen", LONG);
    let (feed, events) = hub.open(&web.url("/live.m3u8"));
    captured.output.attach(&feed);
    feed.start(LONG);
    finished(&events);
    let lists = web.requests().iter().filter(|head| head.contains("live.m3u8")).count();
    assert!(lists > 2, "the list was read again: {lists}");
    let heard: usize = captured.stretches().iter().map(|stretch| stretch.samples.len() / 2).sum();
    assert!(heard > 6 * SECOND, "{heard} frames");
}

#[test]
fn a_radio_station_tells_its_titles() {
    let hub = Hub::new();
    let (wav, mp3) = (hub.dir().join("in.wav"), hub.dir().join("in.mp3"));
    tone_wav(&wav, 441.0, 6 * SECOND);
    encode(&wav, "lamemp3enc", &mp3);
    let web = Web::serve(vec![
        ("/stream", Page::Radio(std::fs::read(&mp3).unwrap(), "A Song")),
        ("/radio.pls", text("[playlist]\nFile1=/stream\n")),
    ]);
    let captured = hub.capture("kitchen", LONG);
    let (feed, events) = hub.open(&web.url("/radio.pls"));
    captured.output.attach(&feed);
    feed.start(LONG);
    events.wait("title", |event| match event {
        FeedEvent::Tags(tags) => tags.title.as_deref().map(|title| assert_eq!(title, "A Song")),
        FeedEvent::Failed { error, .. } => panic!("{error:?}"),
        _ => None,
    });
    finished(&events);
    let heard = captured.whole().samples;
    assert!((strength(&heard[SECOND..9 * SECOND], 441.0) - 0.5).abs() < 0.02);
    assert!(largest_step(&heard[SECOND..9 * SECOND]) < 1_200, "no title in the sound");
}
