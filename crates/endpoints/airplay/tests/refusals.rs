//! Receivers that refuse, break the protocol or fall silent: each ends in the reason that says so, once, in time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod fake;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use antiphon_domain::SpeakerId;
use antiphon_endpoint::{Kind, LostReason, ServiceRecord};
use fake::hub::Hub;
use fake::{Fake, Trick};

fn outcome(tricks: &[(&'static str, Trick)]) -> LostReason {
    let hub = Hub::new(|options| options.answer_timeout = Duration::from_millis(500));
    let fake = Fake::new(tricks);
    hub.open(&hub.descriptor(fake.address)).lost()
}

#[test]
fn a_status_is_a_reason() {
    assert_eq!(outcome(&[("ANNOUNCE", Trick::Status(453))]), LostReason::Busy);
    assert_eq!(outcome(&[("OPTIONS", Trick::Status(401))]), LostReason::PasswordRequired);
    assert!(matches!(outcome(&[("ANNOUNCE", Trick::Status(415))]), LostReason::Format(_)));
    assert!(matches!(outcome(&[("ANNOUNCE", Trick::Status(406))]), LostReason::Format(_)));
    // One that sleeps or cannot just now, and one that takes only whom it was paired with.
    assert!(matches!(outcome(&[("ANNOUNCE", Trick::Status(503))]), LostReason::Unavailable(_)));
    assert!(matches!(outcome(&[("OPTIONS", Trick::Status(470))]), LostReason::Unpaired(_)));
    let failed = outcome(&[("RECORD", Trick::Status(500))]);
    assert_eq!(failed, LostReason::Protocol("RECORD was answered 500".to_owned()));
}

#[test]
fn garbage_is_a_broken_protocol() {
    for garbage in ["\u{1}\u{2}garbage\r\n\r\n", "SSH-2.0-dropbear\r\n\r\n", "RTSP/1.0 abc\r\n\r\n"] {
        assert!(
            matches!(outcome(&[("OPTIONS", Trick::Raw(garbage))]), LostReason::Protocol(_)),
            "{garbage:?}"
        );
    }
    let endless = Box::leak("x".repeat(100_000).into_boxed_str());
    assert!(matches!(outcome(&[("OPTIONS", Trick::Raw(endless))]), LostReason::Protocol(_)));
    let portless = "RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 1\r\n\r\n";
    let reason = outcome(&[("SETUP", Trick::Raw(portless))]);
    assert_eq!(reason, LostReason::Protocol("SETUP was answered without ports".to_owned()));
}

#[test]
fn silence_and_hanging_up_are_a_lost_connection() {
    assert!(matches!(outcome(&[("SETUP", Trick::Silence)]), LostReason::Disconnected(_)));
    assert!(matches!(outcome(&[("SETUP", Trick::Close)]), LostReason::Disconnected(_)));
}

#[test]
fn a_connection_that_breaks_while_playing_is_lost_at_once() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let opened = hub.open(&hub.descriptor(fake.address));
    opened.ready();
    fake.hang_up();
    assert!(matches!(opened.lost(), LostReason::Disconnected(_)));
    hub.reaches("antiphon_airplay_sessions", 0.0);
    hub.reaches("antiphon_airplay_sessions_lost_total", 1.0);
}

#[test]
fn a_receiver_that_falls_silent_is_noticed() {
    let hub = Hub::new(|options| {
        options.keep_alive = Duration::from_millis(200);
        options.answer_timeout = Duration::from_millis(300);
    });
    let fake = Fake::new(&[]);
    let opened = hub.open(&hub.descriptor(fake.address));
    opened.ready();
    // Alive it is asked again and again.
    fake.request("RECORD");
    fake.request("OPTIONS");
    fake.request("OPTIONS");
    fake.mute.store(true, Ordering::Relaxed);
    assert_eq!(opened.lost(), LostReason::Disconnected("no answer to OPTIONS in 0.3 s".to_owned()));
}

#[test]
fn nobody_there_is_unreachable() {
    let hub = Hub::new(|_| {});
    // A port that was free a moment ago.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    assert!(matches!(hub.open(&hub.descriptor(free)).lost(), LostReason::Unreachable { .. }));
    let nowhere = hub.open(&hub.descriptor("no-such-host.invalid:5000")).lost();
    assert!(
        matches!(nowhere, LostReason::Unreachable { address, .. } if address == "no-such-host.invalid:5000")
    );
}

/// A listener whose queue is full, which drops further attempts without a word; its address, and what keeps it so.
fn deaf() -> (SocketAddr, impl Sized) {
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue never fills");
    }
    (address, (full, waiting))
}

#[test]
fn a_host_that_never_answers_is_given_up() {
    let hub = Hub::new(|options| options.connect_timeout = Duration::from_millis(600));
    let (address, _full) = deaf();
    let begun = Instant::now();
    let reason = hub.open(&hub.descriptor(address)).lost();
    assert!(matches!(&reason, LostReason::Unreachable { cause, .. } if cause.contains("0.6 s")), "{reason}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_stream_that_nobody_takes_is_given_up() {
    let hub = Hub::new(|options| options.connect_timeout = Duration::from_millis(600));
    let (address, _full) = deaf();
    let port = address.port();
    let answer = format!(
        "RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 1\r\nTransport: RTP/AVP/TCP;server_port={port}\r\n\r\n"
    );
    let fake = Fake::new(&[("SETUP", Trick::Raw(Box::leak(answer.into_boxed_str())))]);
    let opened = hub.open(&hub.recorded(fake.address, &[("am", "X"), ("tp", "TCP")]));
    let reason = opened.lost();
    assert!(matches!(&reason, LostReason::Unreachable { cause, .. } if cause.contains("0.6 s")), "{reason}");
    // It knows at once that we have gone.
    fake.is_let_go();
}

#[test]
fn what_the_record_says_is_believed_without_connecting() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let record = |key: &str, value: &str| ServiceRecord {
        service: "_raop._tcp.local.".to_owned(),
        instance: "33FA00A66F2E@Kitchen".to_owned(),
        host: "kitchen.local.".to_owned(),
        addresses: vec![fake.address],
        txt: [(key.to_owned(), value.to_owned())].into(),
    };
    let locked = hub.kind.recognise(&record("pw", "true")).unwrap();
    assert_eq!((locked.id.clone(), locked.name.as_str()), (SpeakerId::new("33FA00A66F2E"), "Kitchen"));
    assert_eq!(hub.open(&locked).lost(), LostReason::PasswordRequired);
    let encrypted = hub.kind.recognise(&record("et", "3,4")).unwrap();
    assert!(matches!(hub.open(&encrypted).lost(), LostReason::Format(_)));
    hub.open(&hub.kind.recognise(&record("et", "0,1")).unwrap()).ready();
    // Where to go is told by addresses alone.
    let elsewhere = hub.kind.recognise(&record("host", "elsewhere.invalid:7")).unwrap();
    hub.open(&elsewhere).ready();
    assert!(!elsewhere.properties.contains_key("host"));
    let other = ServiceRecord { service: "_airplay._tcp.local.".to_owned(), ..record("et", "0") };
    assert_eq!(hub.kind.recognise(&other), None);
}
