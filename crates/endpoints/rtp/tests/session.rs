//! A session as its packets show it, on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod hub;

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_audio::Block;
use antiphon_domain::HubTime;
use antiphon_endpoint::{Clock, EndpointEvent, Pace};
use antiphon_rtp::{RtpKind, RtpOptions};
use hub::HubClock;
use prometheus::Registry;

/// A socket for media and the one above it for reports.
fn pair() -> (UdpSocket, UdpSocket) {
    loop {
        let media = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = media.local_addr().unwrap().port();
        if let Some(Ok(reports)) = port.checked_add(1).map(|port| UdpSocket::bind(("127.0.0.1", port))) {
            return (media, reports);
        }
    }
}

/// Everything that waits in a socket.
fn drain(socket: &UdpSocket) -> Vec<Vec<u8>> {
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (mut packets, mut buffer) = (Vec::new(), [0; 2_000]);
    while let Ok(length) = socket.recv(&mut buffer) {
        packets.push(buffer[..length].to_vec());
    }
    packets
}

fn kind() -> RtpKind {
    let mut options = RtpOptions::default();
    options.interfaces = Some(Vec::new());
    options.announce_at = vec![Ipv4Addr::LOCALHOST.into()];
    RtpKind::new(options, &Registry::new()).unwrap()
}

fn number(packet: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
}

#[test]
fn packets_count_on_and_the_end_is_told() {
    let (media, reports) = pair();
    let announced = UdpSocket::bind("127.0.0.1:9875").expect("nobody else takes announcements here");
    let (kind, clock) = (kind(), Arc::new(HubClock::new()));
    let text = format!("rtp://{}?rate=48000&format=L24&delay=10&announce=yes", media.local_addr().unwrap());
    let place = hub::descriptor(&kind, &text);
    let (mut endpoint, _events) = hub::open(&kind, &place, Pace::Quick, clock.clone());
    hub::play(endpoint.as_mut(), &clock, Duration::from_millis(150), |frame| [(frame % 999) as i16 + 1; 2]);
    drop(endpoint);
    kind.farewell(Duration::from_secs(5));

    let packets = drain(&media);
    assert!(packets.len() > 60, "{} packets", packets.len());
    for pair in packets.windows(2) {
        let sequence = |packet: &[u8]| u16::from_be_bytes([packet[2], packet[3]]);
        assert_eq!(sequence(&pair[1]), sequence(&pair[0]).wrapping_add(1));
        assert_eq!(number(&pair[1], 4), number(&pair[0], 4).wrapping_add(48));
        assert_eq!(number(&pair[1], 8), number(&pair[0], 8));
        assert_eq!((pair[1].len(), pair[1][0], pair[1][1]), (12 + 48 * 6, 0x80, 96));
    }
    assert_eq!(packets[0][1], 0x80 | 96, "the first says that it is");

    let reports = drain(&reports);
    let (first, last) = (reports.first().unwrap(), reports.last().unwrap());
    assert_eq!((first[1], number(first, 4)), (200, number(&packets[0], 8)));
    assert_eq!(number(first, 16), number(&packets[0], 4));
    assert_eq!(last[last.len() - 8..last.len() - 4], [0x81, 203, 0, 1]);

    let announced = drain(&announced);
    let (here, gone) = (announced.first().unwrap(), announced.last().unwrap());
    assert_eq!((here[0], gone[0], announced.len()), (0x20, 0x24, 2));
    let description = std::str::from_utf8(&here[24..]).unwrap();
    let line = format!("m=audio {} RTP/AVP 96\r\n", media.local_addr().unwrap().port());
    assert!(description.contains(&line) && description.contains("s=Kitchen\r\n"), "{description}");
    assert_eq!(here[1..], gone[1..]);
}

#[test]
fn blocks_that_missed_their_packets_are_told() {
    let (media, _reports) = pair();
    let (kind, clock) = (kind(), Arc::new(HubClock::new()));
    let place = hub::descriptor(&kind, &format!("rtp://{}?delay=50", media.local_addr().unwrap()));
    let (mut endpoint, events) = hub::open(&kind, &place, Pace::Steady, clock.clone());
    let due = clock.now() + Duration::from_millis(20);
    endpoint.play(&Block { due, samples: vec![1; 704].into() });
    // What follows on it is in time.
    endpoint.play(&Block { due: clock.now() + Duration::from_millis(300), samples: vec![2; 704].into() });
    let news = events.recv_timeout(Duration::from_secs(5));
    assert_eq!(news, Ok(EndpointEvent::Underrun { blocks: 1 }));
    let mut packets = Vec::new();
    media.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    while !packets.last().is_some_and(|packet: &Vec<u8>| packet[12..].contains(&2)) {
        let mut packet = vec![0; 2_000];
        let length = media.recv(&mut packet).expect("what was in time comes");
        packet.truncate(length);
        packets.push(packet);
    }
    drop(endpoint);
    kind.farewell(Duration::from_secs(5));
    packets.extend(drain(&media));
    assert!(!packets.iter().any(|packet| packet[12..].contains(&1)));
    assert_eq!(events.try_iter().count(), 0);
}

/// A hub whose seconds are short.
struct Fast(Instant);

impl Clock for Fast {
    fn now(&self) -> HubTime {
        HubTime::EPOCH + self.0.elapsed() * 20
    }
}

#[test]
fn packets_go_on_through_a_pause() {
    let (media, _reports) = pair();
    let (kind, clock) = (kind(), Arc::new(Fast(Instant::now())));
    let place = hub::descriptor(&kind, &format!("rtp://{}?delay=500", media.local_addr().unwrap()));
    let (mut endpoint, _events) = hub::open(&kind, &place, Pace::Steady, clock.clone());
    endpoint.play(&Block { due: clock.now() + Duration::from_secs(2), samples: vec![1; 704].into() });
    media.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut first, mut packet) = (None, [0; 2_000]);
    // 18 s of silence: the hub lets a session go after 20.
    loop {
        media.recv(&mut packet).expect("a packet");
        let now = number(&packet, 4);
        if now.wrapping_sub(*first.get_or_insert(now)) > 18 * 44_100 {
            return;
        }
    }
}
