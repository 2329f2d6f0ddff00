//! Receivers that take us only with a password, encrypted, or by a stream.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod fake;

use std::time::Duration;

use antiphon_domain::{Secret, SpeakerId};
use antiphon_endpoint::{Clock, Kind, LostReason, Pace};
use fake::hub::{Hub, block, soon};
use fake::{Fake, Trick};

const METHODS: [&str; 4] = ["ANNOUNCE", "SETUP", "RECORD", "TEARDOWN"];

fn locked() -> Fake {
    Fake::new(&METHODS.map(|method| (method, Trick::Password("Open Sesame"))))
}

fn with_password(password: &str) -> Hub {
    Hub::new(|options| {
        options.passwords.insert(SpeakerId::new("33FA00A66F2E"), Secret::new(password));
    })
}

#[test]
fn a_password_is_told_when_it_is_asked_for() {
    let hub = with_password("Open Sesame");
    let fake = locked();
    let opened = hub.open(&hub.recorded(fake.address, &[("am", "X"), ("pw", "true")]));
    opened.ready();
    // Asked once, then told unasked.
    assert!(!fake.request("ANNOUNCE").headers.contains_key("authorization"));
    let again = fake.request("ANNOUNCE");
    assert!(again.headers["authorization"].starts_with("Digest username=\"iTunes\", realm=\"raop\""));
    assert!(fake.request("SETUP").headers.contains_key("authorization"));
    drop(opened);
    assert!(fake.request("TEARDOWN").headers.contains_key("authorization"));
    hub.reaches("antiphon_airplay_sessions", 0.0);
}

#[test]
fn without_the_right_password_it_is_asked_for() {
    let fake = locked();
    for hub in [Hub::new(|_| {}), with_password("open sesame")] {
        // Nothing in the record says it: the receiver does.
        let opened = hub.open(&hub.recorded(fake.address, &[("am", "X")]));
        assert_eq!(opened.lost(), LostReason::PasswordRequired);
    }
}

#[test]
fn sound_is_encrypted_where_that_is_asked_for_or_set() {
    let records: [&[(&str, &str)]; 2] = [&[("am", "X"), ("et", "1")], &[("am", "X"), ("et", "0,1")]];
    for (record, always) in records.into_iter().zip([false, true]) {
        let hub = Hub::new(|options| options.encrypt_always = always);
        let fake = Fake::new(&[]);
        let mut opened = hub.open(&hub.recorded(fake.address, record));
        opened.ready();
        let described = fake.request("ANNOUNCE").body;
        assert!(described.contains("a=rsaaeskey:") && described.contains("a=aesiv:"), "{described}");
        let anchor = soon(&hub.clock);
        opened.endpoint.play(&block(anchor, 0));
        let mut alac = false;
        for _ in 0..20 {
            // A frame in the clear begins with 001 (two channels) and zeros.
            alac |= fake.audio()[12..14] == [0x20, 0];
        }
        assert!(!alac);
    }
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let opened = hub.open(&hub.recorded(fake.address, records[1]));
    opened.ready();
    assert!(!fake.request("ANNOUNCE").body.contains("rsaaeskey"));
}

#[test]
fn a_receiver_without_udp_gets_a_stream_at_its_latency() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let mut opened = hub.open(&hub.recorded(fake.address, &[("am", "X"), ("tp", "TCP")]));
    opened.ready();
    assert_eq!(fake.request("SETUP").headers["transport"], "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record");
    let anchor = soon(&hub.clock);
    for nth in 0..40 {
        opened.endpoint.play(&block(anchor, nth));
    }
    let mut begin = None;
    for _ in 0..40 {
        let packet = fake.audio();
        let stamp = u32::from_be_bytes(packet[4..8].try_into().unwrap());
        // The fake says that it plays what it gets 0.5 s later; so each comes no earlier, and by a tick or two later.
        let frames = stamp.wrapping_sub(*begin.get_or_insert(stamp));
        let due = anchor + Duration::from_secs_f64(f64::from(frames) / 44_100.0);
        let ahead = due.since(hub.clock.now());
        assert!(ahead <= Duration::from_millis(500) && ahead > Duration::from_millis(250), "{ahead:?}");
    }
    hub.reaches("antiphon_airplay_syncs_total", 0.0);
}

#[test]
fn a_quick_pace_is_the_least_that_the_model_can() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let lead = |am: &str, pace| hub.kind.caps(&hub.recorded(fake.address, &[("am", am)]), pace).lead.0;
    assert_eq!(lead("ShairportSync", Pace::Steady), Duration::from_secs(1));
    assert_eq!(lead("ShairportSync", Pace::Quick), Duration::from_millis(350));
    assert_eq!(lead("X", Pace::Quick), Duration::from_millis(500));
}
