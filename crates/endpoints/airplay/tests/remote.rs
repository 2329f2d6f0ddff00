//! Commands that come back from receivers, by the remote control that is announced for them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod fake;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_domain::{Level, Volume, VolumeStep};
use antiphon_endpoint::{Advert, Button, Clock, Control, EndpointEvent, Kind};
use fake::hub::{Hub, Opened};
use fake::{Fake, PATIENCE};

fn listening() -> (Hub, Advert) {
    let hub = Hub::new(|options| options.interfaces = Some(vec!["lo".to_owned()]));
    let clock = Arc::clone(&hub.clock) as Arc<dyn Clock>;
    let adverts = hub.kind.listen(Arc::clone(&clock), Arc::new(|_| {}));
    // Asked again, nothing else is announced.
    assert_eq!(hub.kind.listen(clock, Arc::new(|_| {})), adverts);
    let [advert] = <[Advert; 1]>::try_from(adverts).unwrap();
    (hub, advert)
}

fn send(advert: &Advert, text: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, advert.port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    // A server that refuses may reset at any moment.
    if stream.write_all(text.as_bytes()).and_then(|()| stream.shutdown(std::net::Shutdown::Write)).is_ok() {
        let _ = stream.read_to_string(&mut answer);
    }
    answer
}

fn command(advert: &Advert, number: &str, command: &str) -> String {
    send(
        advert,
        &format!("GET /ctrl-int/1/{command} HTTP/1.1\r\nHost: hub\r\nActive-Remote: {number}\r\n\r\n"),
    )
}

#[test]
fn buttons_and_volumes_reach_their_session() {
    let (hub, advert) = listening();
    let fakes = [Fake::new(&[]), Fake::new(&[])];
    let mut opened: Vec<Opened> = fakes.iter().map(|fake| hub.open(&hub.descriptor(fake.address))).collect();
    opened.iter().for_each(Opened::ready);
    let setup = fakes[0].request("SETUP");
    assert_eq!(advert.instance, format!("iTunes_Ctrl_{}", setup.headers["dacp-id"]));
    assert_eq!(advert.service, "_dacp._tcp.local.");
    let number = &setup.headers["active-remote"];
    assert_ne!(number, &fakes[1].request("SETUP").headers["active-remote"]);
    let volume = |v| Volume::new(v).unwrap();
    opened[0].endpoint.control(Control::Level(Level { volume: volume(40), muted: false }));
    fakes[0].request("SET_PARAMETER");
    let pressed = EndpointEvent::Pressed;
    for (text, event) in [
        ("playpause", pressed(Button::PlayPause)),
        ("play", pressed(Button::Play)),
        ("pause", pressed(Button::Pause)),
        ("stop", pressed(Button::Stop)),
        ("nextitem", pressed(Button::Next)),
        ("previtem", pressed(Button::Previous)),
        ("volumeup", pressed(Button::VolumeStep(VolumeStep::new(5).unwrap()))),
        ("setproperty?dmcp.volume=77", pressed(Button::GroupVolume(volume(77)))),
        ("setproperty?dmcp.device-volume=-15.0", EndpointEvent::VolumeTurned(volume(50))),
        ("mutetoggle", EndpointEvent::Muted(true)),
        ("setproperty?dmcp.device-volume=-144.0", EndpointEvent::Muted(true)),
    ] {
        assert!(command(&advert, number, text).starts_with("HTTP/1.1 204 "), "{text}");
        assert_eq!(opened[0].next(), event, "{text}");
    }
    // What we set ourselves comes back as an echo, and is none of the other's. News are told before the answer.
    command(&advert, number, "setproperty?dmcp.device-volume=-18.0");
    assert!(command(&advert, number, "getproperty?properties=dmcp.volume").starts_with("HTTP/1.1 400 "));
    let quiet = |one: &Opened| one.events.try_iter().all(|event| matches!(event, EndpointEvent::Sync(_)));
    assert!(opened.iter().all(quiet));
    assert_eq!(hub.metric("antiphon_airplay_remote_commands_total"), 12.0);
    assert_eq!(hub.metric("antiphon_airplay_remote_refused_total"), 0.0);
}

#[test]
fn strangers_are_refused_and_counted() {
    let (hub, advert) = listening();
    let fake = Fake::new(&[]);
    let opened = hub.open(&hub.descriptor(fake.address));
    opened.ready();
    let number = fake.request("SETUP").headers["active-remote"].clone();
    let wrong = (number.parse::<u32>().unwrap() ^ 1).to_string();
    assert!(command(&advert, &wrong, "stop").starts_with("HTTP/1.1 403 "));
    assert!(command(&advert, "", "stop").starts_with("HTTP/1.1 403 "));
    assert!(send(&advert, "SSH-2.0-OpenSSH\r\n\r\n").starts_with("HTTP/1.1 400 "));
    send(&advert, &"x".repeat(100_000));
    hub.reaches("antiphon_airplay_remote_refused_total", 4.0);
    // A hundred silent ones keep nobody out for long, and nothing of it ends the session.
    let silent: Vec<TcpStream> =
        (0..100).filter_map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, advert.port)).ok()).collect();
    drop(silent);
    let (mut answer, end) = (String::new(), Instant::now() + PATIENCE);
    while !answer.starts_with("HTTP/1.1 204 ") {
        assert!(Instant::now() < end, "the door stays shut: {answer}");
        answer = command(&advert, &number, "pause");
    }
    assert_eq!(opened.next(), EndpointEvent::Pressed(Button::Pause));
    drop(opened);
    hub.runtime.block_on(hub.kind.farewell(PATIENCE));
    assert!(command(&advert, &number, "pause").starts_with("HTTP/1.1 403 "));
}

#[test]
fn one_that_sends_a_request_by_drops_is_sent_away() {
    let (hub, advert) = listening();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, advert.port)).unwrap();
    stream.write_all(b"GET /ctrl-int/1/stop HTTP/1.1\r\nX: ").unwrap();
    let (mut kept, begun) = (stream.try_clone().unwrap(), Instant::now());
    std::thread::spawn(move || {
        // Drop by drop, for as long as that is taken.
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    kept.set_read_timeout(Some(PATIENCE)).unwrap();
    let end = kept.read(&mut [0; 100]);
    let reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
    assert!(matches!(end, Ok(0)) || end.as_ref().is_err_and(reset), "{end:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    hub.reaches("antiphon_airplay_remote_refused_total", 1.0);
}

#[test]
fn without_a_door_receivers_are_told_of_none() {
    let hub = Hub::new(|_| {});
    let clock = Arc::clone(&hub.clock) as Arc<dyn Clock>;
    assert_eq!(hub.kind.listen(clock, Arc::new(|_| {})), []);
    let fake = Fake::new(&[]);
    hub.open(&hub.descriptor(fake.address)).ready();
    assert!(!fake.request("SETUP").headers.contains_key("active-remote"));
}
