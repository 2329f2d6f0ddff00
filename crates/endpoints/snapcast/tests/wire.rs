//! Laws of the wire: however bytes are cut the same is read, nothing is ever kept without bound, nothing panics.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

use antiphon_domain::HubTime;
use antiphon_snapcast::wire::{BASE, LONGEST, Reader, Received, Request, Stamp, WireError};
use proptest::prelude::*;

fn message(kind: u16, id: u16, body: &[u8]) -> Vec<u8> {
    let mut out = kind.to_le_bytes().to_vec();
    out.extend(id.to_le_bytes());
    out.extend([0; 2]);
    out.extend(11_i32.to_le_bytes());
    out.extend(22_i32.to_le_bytes());
    out.extend([0; 8]);
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    out
}

fn read(chunks: &[&[u8]]) -> Vec<Result<Received, WireError>> {
    let mut reader = Reader::default();
    let mut all = Vec::new();
    for chunk in chunks {
        reader.push(chunk);
        while let Some(received) = reader.next() {
            let over = received.is_err();
            all.push(received);
            if over {
                return all;
            }
        }
    }
    all
}

proptest! {
    #[test]
    fn however_it_is_cut_the_same_is_read(
        bodies in proptest::collection::vec((0_u16..10, any::<u16>(), proptest::collection::vec(any::<u8>(), 0..60)), 1..8),
        cuts in proptest::collection::vec(1_usize..50, 0..40),
    ) {
        let bytes: Vec<u8> = bodies.iter().flat_map(|(kind, id, body)| message(*kind, *id, body)).collect();
        let whole = read(&[&bytes]);
        let mut rest = bytes.as_slice();
        let mut parts = Vec::new();
        for cut in cuts {
            let (part, others) = rest.split_at(cut.min(rest.len()));
            parts.push(part);
            rest = others;
        }
        parts.push(rest);
        prop_assert_eq!(read(&parts), whole);
    }

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        read(&[&bytes]);
    }

    #[test]
    fn sizes_are_bounded(kind in any::<u16>(), size in (LONGEST as u32 + 1)..) {
        let mut bytes = message(kind, 0, &[]);
        bytes[22..26].copy_from_slice(&size.to_le_bytes());
        prop_assert_eq!(read(&[&bytes]), vec![Err(WireError::TooLong { kind, size })]);
        prop_assert_eq!(bytes.len(), BASE);
    }

    #[test]
    fn a_hello_of_any_text_is_named_or_refused(id in ".*", host in ".*", instance in any::<u32>()) {
        let json = serde_json::json!({ "ID": id, "HostName": host, "Instance": instance }).to_string();
        let mut body = (json.len() as u32).to_le_bytes().to_vec();
        body.extend(json.as_bytes());
        match read(&[&message(5, 3, &body)]).remove(0) {
            Ok(Received { id: 3, request: Request::Hello(hello), .. }) => {
                prop_assert!(!hello.id.is_empty() && !hello.name.is_empty());
                prop_assert!(!hello.id.chars().chain(hello.name.chars()).any(char::is_control));
                prop_assert_eq!(hello.id.ends_with(&format!("#{instance}")) || instance <= 1, true);
            }
            Err(WireError::Nameless) => {}
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn stamps_are_exact(nanos in -900_000_000_000_i64..4_000_000_000_000_000) {
        let stamp = Stamp::of(HubTime::from_nanos(nanos));
        prop_assert!((0..1_000_000).contains(&stamp.usec) && stamp.sec >= 0);
        prop_assert!((stamp.micros() * 1_000 - 1_000_000_000_000 - nanos).abs() <= 500);
        prop_assert_eq!(Stamp::from_micros(stamp.micros()), stamp);
        prop_assert_eq!(Stamp::checked(stamp.sec, stamp.usec), Ok(stamp));
    }
}
