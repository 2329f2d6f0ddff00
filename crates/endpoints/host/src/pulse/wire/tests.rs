//! What a server may send, and what becomes of everything else.

use proptest::prelude::*;

use super::frame::{BadFrame, Inbox, put_message, put_sound};
use super::message::{self, Message};
use super::tags::{BadTags, Tags, Writer};

/// A request for 3,840 bytes on channel 0, as PulseAudio 16.1 sent it.
const REQUEST: &[u8] = b"L\0\0\0\x3dL\xff\xff\xff\xffL\0\0\0\0L\0\0\x0f\0";

#[test]
fn a_server_s_request_is_read() {
    let Message::Request { channel: 0, bytes: 3_840 } = message::read(REQUEST).unwrap() else {
        panic!("another message");
    };
    assert!(matches!(message::read(&REQUEST[..REQUEST.len() - 1]), Err(BadTags::Short)));
    assert!(matches!(message::read(b"t"), Err(BadTags::Type { wanted: 'L', found: 't' })));
}

#[test]
fn messages_come_in_any_pieces() {
    let mut wire = Vec::new();
    put_message(&mut wire, REQUEST);
    put_message(&mut wire, &Writer::default().u32(2).u32(9).into_bytes());
    for size in 1..wire.len() {
        let mut frames = Inbox::default();
        let mut found = Vec::new();
        for piece in wire.chunks(size) {
            frames.add(piece);
            while let Some(message) = frames.message().unwrap() {
                found.push(message.to_vec());
            }
        }
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], REQUEST);
    }
}

#[test]
fn what_is_no_message_is_refused_at_its_head() {
    let mut wire = Vec::new();
    put_sound(&mut wire, 3, &[1, 2]);
    let mut frames = Inbox::default();
    frames.add(&wire[..20]);
    assert_eq!(frames.message(), Err(BadFrame::NoMessage));
    let mut frames = Inbox::default();
    frames.add(&[0x7f, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(frames.message(), Err(BadFrame::Long(0x7f00_0000)));
}

#[test]
fn what_is_written_is_read() {
    let bytes = Writer::default().u32(7).text(Some("a\0b")).text(None).flag(true).volume(9).into_bytes();
    let mut tags = Tags::new(&bytes);
    assert_eq!(tags.u32(), Ok(7));
    assert_eq!(tags.text(), Ok(Some("a")));
    assert_eq!(tags.text(), Ok(None));
    assert_eq!(tags.flag(), Ok(true));
    assert_eq!(tags.volume(), Ok(9));
    assert_eq!(tags.u32(), Err(BadTags::Short));
}

proptest! {
    #[test]
    fn anything_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut frames = Inbox::default();
        frames.add(&bytes);
        while let Ok(Some(_)) = frames.message() {}
        let _ = message::read(&bytes);
        let tags = Tags::new(&bytes);
        let _ = (message::version(tags), message::sink_rate(tags), message::made(tags));
        let _ = (message::latency(tags), message::input_level(tags));
    }
}
