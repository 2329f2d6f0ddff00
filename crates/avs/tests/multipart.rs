//! The multipart reader: whatever the chunks, the same parts; whatever the bytes, no panic and bounded memory.
#![allow(missing_docs)]

use antiphon_avs::multipart::{Fault, Limits, Parser, Part};
use bytes::Bytes;
use proptest::prelude::*;

const TERM: &str = "------abcde123";

/// Parts with the pieces of each attachment joined.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whole {
    Json(Vec<u8>),
    Attachment { id: String, data: Vec<u8>, ended: bool },
    Fault(Fault),
}

fn joined(parts: Vec<Part>) -> Vec<Whole> {
    let mut whole = Vec::new();
    for part in parts {
        match part {
            Part::Json(json) => whole.push(Whole::Json(json)),
            Part::AttachmentStart(id) => whole.push(Whole::Attachment { id, data: Vec::new(), ended: false }),
            Part::AttachmentData(bytes) => match whole.last_mut() {
                Some(Whole::Attachment { data, ended: false, .. }) => data.extend_from_slice(&bytes),
                other => panic!("data behind {other:?}"),
            },
            Part::AttachmentEnd => match whole.last_mut() {
                Some(Whole::Attachment { ended, .. }) if !*ended => *ended = true,
                other => panic!("end behind {other:?}"),
            },
            Part::Fault(fault) => whole.push(Whole::Fault(fault)),
        }
    }
    whole
}

/// Reads `body` cut at the given places.
fn read(body: &[u8], cuts: &[usize], limits: Limits, finish: bool) -> Vec<Whole> {
    let mut parser = Parser::new(TERM, limits);
    let mut parts = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([body.len()]) {
        let cut = cut.min(body.len()).max(from);
        parser.push(Bytes::copy_from_slice(&body[from..cut]), &mut parts);
        assert!(parser.held() <= limits.json + limits.headers + TERM.len() + 8, "{}", parser.held());
        from = cut;
    }
    if finish {
        parser.finish(&mut parts);
    }
    joined(parts)
}

fn json(text: &str) -> Whole {
    Whole::Json(text.as_bytes().to_vec())
}

fn attachment(id: &str, data: &[u8]) -> Whole {
    Whole::Attachment { id: id.into(), data: data.to_vec(), ended: true }
}

const PLAIN: Limits = Limits { headers: 512, json: 4096 };

#[test]
fn every_cut_gives_the_same_parts() {
    let body = b"--------abcde123\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{\"a\":1}\r\n\
        --------abcde123\r\ncontent-id: <sound.1:x>\r\nCONTENT-TYPE: application/octet-stream\r\n\r\n\
        \x00\r\n--\r\n-------abcde12\r\r\n\n\r\n--------abcde123\r\n\
        Content-Type: application/json\r\n\r\n{\"b\":2}\r\n--------abcde123--\r\n";
    let expected = vec![
        json("{\"a\":1}"),
        attachment("sound.1:x", b"\x00\r\n--\r\n-------abcde12\r\r\n\n"),
        json("{\"b\":2}"),
    ];
    for first in 0..body.len() {
        for second in [first, first + 1, first + 2, first + 17] {
            assert_eq!(read(body, &[first, second], PLAIN, true), expected, "cut at {first} and {second}");
        }
    }
    let single: Vec<usize> = (1..body.len()).collect();
    assert_eq!(read(body, &single, PLAIN, true), expected);
}

#[test]
fn a_json_part_is_out_with_the_last_byte_of_the_next_boundary() {
    let body = b"--------abcde123\r\nContent-Type: application/json\r\n\r\n{}\r\n--------abcde123";
    assert_eq!(read(body, &[], PLAIN, false), [json("{}")]);
    assert_eq!(read(&body[..body.len() - 1], &[], PLAIN, false), []);
}

#[test]
fn oddities_are_forgiven() {
    let start = "--------abcde123";
    let part = "Content-Type: application/json\r\n\r\n{}";
    for (what, body) in [
        ("preamble", format!("hello\r\nworld\r\n{start}\r\n{part}\r\n{start}\r\n")),
        ("leading line break", format!("\r\n{start}\r\n{part}\r\n{start}\r\n")),
        (
            "keep-alive delimiters",
            format!("{start}\r\n{start}\r\n\r\n{start}\r\n{part}\r\n{start}\r\n{start}\r\n"),
        ),
        ("padding behind the boundary", format!("{start}  \t\r\n{part}\r\n{start}\r\n")),
        ("extra blank lines before headers", format!("{start}\r\n\r\n\r\n{part}\r\n{start}\r\n")),
        ("bare line feeds", format!("{start}\n{}\n{start}\n", part.replace("\r\n", "\n"))),
        ("no final delimiter", format!("{start}\r\n{part}")),
        ("a torn final delimiter", format!("{start}\r\n{part}\r\n--------ab")),
        ("a part behind the close", format!("{start}--\r\n\r\n{start}\r\n{part}\r\n{start}--\r\n")),
    ] {
        assert_eq!(read(body.as_bytes(), &[], PLAIN, true), [json("{}")], "{what}");
    }
    let bare = format!("{start}\r\nContent-ID: plain\r\n\r\n{start}--");
    assert_eq!(read(bare.as_bytes(), &[], PLAIN, true), [attachment("plain", b"")]);
}

#[test]
fn what_is_too_long_is_skipped_and_the_road_goes_on() {
    let start = "--------abcde123";
    let good = "Content-Type: application/json\r\n\r\n{}";
    let long_json = format!("Content-Type: application/json\r\n\r\n{{\"x\":\"{}\"}}", "y".repeat(5000));
    let long_header = format!("X: {}\r\nContent-Type: application/json\r\n\r\n{{}}", "y".repeat(600));
    let many_headers = format!("{}\r\n{{}}", "X: y\r\n".repeat(200));
    let unknown = "Content-Type: text/plain\r\n\r\nhello";
    for (bad, fault) in [
        (long_json.as_str(), Fault::JsonTooLong),
        (long_header.as_str(), Fault::HeadersTooLong),
        (many_headers.as_str(), Fault::HeadersTooLong),
        (unknown, Fault::UnknownPart),
    ] {
        let body = format!("{start}\r\n{good}\r\n{start}\r\n{bad}\r\n{start}\r\n{good}\r\n{start}\r\n");
        let expected = [json("{}"), Whole::Fault(fault), json("{}")];
        let each: Vec<usize> = (1..body.len()).collect();
        assert_eq!(read(body.as_bytes(), &[], PLAIN, true), expected);
        assert_eq!(read(body.as_bytes(), &each, PLAIN, true), expected);
    }
}

/// A part as it should come out, and as it is written.
fn some_part() -> impl Strategy<Value = (Whole, Vec<u8>)> {
    let json_part = "[a-z ]{0,40}".prop_map(|text| {
        let text = format!("{{\"t\":\"{text}\"}}");
        let written = format!("content-TYPE:application/json; charset=UTF-8\r\n\r\n{text}");
        (json(&text), written.into_bytes())
    });
    // Data full of what looks like delimiters.
    let piece = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"--".to_vec()),
        Just(b"\r\n--------abcde12".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    let data = proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat());
    let attached =
        ("[a-zA-Z0-9:._-]{1,30}", data, any::<bool>()).prop_filter_map("no boundary", |(id, data, angle)| {
            // A delimiter needs the start of a line: the blank line before the data gives one.
            let looks = [b"\r\n".as_slice(), &data].concat();
            if looks.windows(TERM.len() + 2).any(|w| w.starts_with(b"--") && w.ends_with(TERM.as_bytes())) {
                return None;
            }
            let header = if angle { format!("Content-ID: <{id}>") } else { format!("content-id:{id}") };
            let mut written =
                format!("{header}\r\nContent-Type: application/octet-stream\r\n\r\n").into_bytes();
            written.extend_from_slice(&data);
            Some((attachment(&id, &data), written))
        });
    prop_oneof![json_part, attached]
}

proptest! {
    #[test]
    fn any_chunking_gives_the_parts_written(
        parts in proptest::collection::vec((some_part(), 0usize..3), 0..6),
        mut cuts in proptest::collection::vec(0usize..2000, 0..40),
        close in any::<bool>(),
    ) {
        let mut body = format!("--{TERM}\r\n").into_bytes();
        let mut expected = Vec::new();
        for ((whole, written), keep_alives) in parts {
            expected.push(whole);
            body.extend_from_slice(&written);
            for _ in 0..=keep_alives {
                body.extend_from_slice(format!("\r\n--{TERM}\r\n").as_bytes());
            }
        }
        if close {
            body.extend_from_slice(format!("--{TERM}--\r\n").as_bytes());
        }
        cuts.sort_unstable();
        prop_assert_eq!(read(&body, &cuts, PLAIN, true), expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_chunks_never_matter(
        pieces in proptest::collection::vec(prop_oneof![
            Just(b"--------abcde123".to_vec()),
            Just(b"\r\n--------abcde123".to_vec()),
            Just(b"\r\n--------abcde123\r\n".to_vec()),
            Just(b"Content-Type: application/json\r\n".to_vec()),
            Just(b"Content-ID: <x>\r\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"-".to_vec()),
            Just(vec![b'x'; 70]),
            proptest::collection::vec(any::<u8>(), 0..30),
        ], 0..30),
        mut cuts in proptest::collection::vec(0usize..1000, 0..60),
    ) {
        let body = pieces.concat();
        let limits = Limits { headers: 64, json: 100 };
        cuts.sort_unstable();
        let each: Vec<usize> = (1..body.len()).collect();
        let whole = read(&body, &[], limits, true);
        prop_assert_eq!(&read(&body, &cuts, limits, true), &whole);
        prop_assert_eq!(&read(&body, &each, limits, true), &whole);
    }
}
