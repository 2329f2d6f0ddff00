//! Clients that come, go, refuse, break off and misbehave.
#![allow(clippy::unwrap_used)] // a test that cannot set the stage has failed

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use antiphon_audio::{BLOCK_FRAMES, Block, CHANNELS};
use antiphon_domain::{Frames, Level, SampleRate, SpeakerId, Volume};
use antiphon_endpoint::{Answer, AnswerError, Arrival, Control, EndpointEvent, Kind, LostReason, Wants};
use antiphon_sendspin::wire::noise::Suite;
use antiphon_sendspin::wire::peer::{Got, Peer};
use antiphon_sendspin::{SendspinOptions, Unpaired};
use serde_json::json;
use support::{Client, Do, House, Manner, PATIENCE, dialled, lost, ready};
use tokio_tungstenite::tungstenite::Message;

const FAULTS: &str = "antiphon_sendspin_faults_total";

#[test]
fn who_plays_for_another_server_is_not_taken() {
    let house = House::new(Unpaired::Allow);
    let goodbye = ("client/goodbye", json!({"reason": "concurrent_attempt"}));
    let (descriptor, clients) = dialled(Manner { says: goodbye, ..Manner::default() });
    let (_endpoint, events) = house.open(&descriptor);
    let client = clients.recv_timeout(PATIENCE).unwrap();
    let activated = client.hears("server/activate");
    assert_eq!(activated["activities"], json!([]), "it would have been displaced");
    assert_eq!(lost(&events), LostReason::Busy);
}

#[test]
fn who_is_taken_over_by_wish_is_told_at_once_that_it_shall_play() {
    let options =
        SendspinOptions { unpaired: Unpaired::Allow, take_over: true, ..SendspinOptions::default() };
    let house = House::with(options);
    let (descriptor, clients) = dialled(Manner::default());
    let (_endpoint, events) = house.open(&descriptor);
    let client = clients.recv_timeout(PATIENCE).unwrap();
    assert_eq!(client.hears("server/activate")["activities"], json!(["playback"]));
    ready(&events);
}

#[test]
fn each_goodbye_has_its_reason() {
    let house = House::new(Unpaired::Allow);
    for (reason, expected) in [
        ("another_server", "busy"),
        ("shutdown", "not available"),
        ("restart", "lost"),
        ("user_request", "not available"),
        ("unauthorized", "waits for a person"),
        ("pairing_required", "waits for a person"),
        ("unpaired", "waits for a person"),
        ("something new", "lost"),
    ] {
        let (descriptor, clients) = dialled(Manner::default());
        let (_endpoint, events) = house.open(&descriptor);
        let client = clients.recv_timeout(PATIENCE).unwrap();
        ready(&events);
        client.tell(Do::Say("client/goodbye", json!({"reason": reason})));
        let why = lost(&events).to_string();
        assert!(why.contains(expected), "{reason}: {why}");
    }
}

#[test]
fn of_two_connections_of_one_client_the_newer_counts() {
    let house = House::new(Unpaired::Allow);
    let first = Client::dials(house.at(), Manner::default());
    let here = house.here();
    let (_endpoint, events) = house.open(&here);
    ready(&events);
    let second = Client::dials(house.at(), Manner { suite: Suite::AesGcm, ..Manner::default() });
    assert_eq!(house.here().id, here.id);
    assert!(matches!(lost(&events), LostReason::Disconnected(_)));
    first.hung_up();
    let (_endpoint, events) = house.open(&here);
    ready(&events);
    drop(second);
    assert!(matches!(lost(&events), LostReason::Disconnected(_)));
    house.until("it is gone", |house| house.arrivals.try_recv() == Ok(Arrival::Gone(here.id.clone())));
    let (_endpoint, events) = house.open(&here);
    assert!(matches!(lost(&events), LostReason::Unreachable { .. }));
}

#[test]
fn a_client_found_and_calling_is_one_speaker() {
    let house = House::new(Unpaired::Allow);
    let (descriptor, _clients) = dialled(Manner::default());
    let _calling = Client::dials(house.at(), Manner::default());
    assert_eq!(house.here().id, descriptor.id);
    let (_endpoint, events) = house.open(&descriptor);
    ready(&events);
    assert_eq!(house.kind.asks().len(), 1);
}

#[test]
fn nobody_plays_before_a_person_approved_and_nobody_after_it_was_taken_back() {
    let house = House::new(Unpaired::Ask);
    let client = Client::dials(house.at(), Manner::default());
    let here = house.here();
    assert_eq!(client.hears("server/activate")["active_roles"], json!([]));
    let (_endpoint, events) = house.open(&here);
    assert!(matches!(lost(&events), LostReason::Unpaired(_)));
    assert_eq!(house.kind.asks()[0].wants, Wants::Approval);
    house.kind.answer(&here.id, &Answer::Approve).unwrap();
    assert_eq!(client.hears("server/activate")["active_roles"], json!(["player@v1"]));
    assert_eq!(house.kind.asks()[0].wants, Wants::Nothing);
    let (_endpoint, events) = house.open(&here);
    ready(&events);
    house.kind.answer(&here.id, &Answer::Unpair).unwrap();
    assert!(matches!(lost(&events), LostReason::Unpaired(_)));
    house.until("it asks again", |house| house.kind.asks()[0].wants == Wants::Approval);
    house.kind.answer(&here.id, &Answer::Refuse).unwrap();
    assert_eq!(house.kind.asks()[0].wants, Wants::Refused);
    // Whoever refused it by mistake can take that back.
    house.kind.answer(&here.id, &Answer::Approve).unwrap();
    assert_eq!(house.kind.asks()[0].wants, Wants::Nothing);
    let nobody = SpeakerId::new("nobody");
    assert!(matches!(house.kind.answer(&nobody, &Answer::Approve), Err(AnswerError::Unknown(_))));
}

#[test]
fn what_is_given_before_it_answers_is_told_it_once_it_does() {
    let house = House::new(Unpaired::Allow);
    let (descriptor, clients) = dialled(Manner::default());
    let (mut endpoint, events) = house.open(&descriptor);
    let level = Level { volume: Volume::new(15).unwrap(), muted: false };
    endpoint.control(Control::Level(level));
    let first = house.clock.now() + PATIENCE;
    for index in 0..90 {
        let due = first + Frames(index * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
        endpoint.play(&Block { due, samples: vec![0; BLOCK_FRAMES * CHANNELS].into() });
    }
    let client = clients.recv_timeout(PATIENCE).unwrap();
    ready(&events);
    // Its own volume is 40, which nobody is to hear.
    assert_eq!(client.hears("server/command")["player"]["volume"], 15);
    let timestamp = loop {
        if let Got::Binary(4, body) = client.got.recv_timeout(PATIENCE).unwrap() {
            break i64::from_be_bytes(body[..8].try_into().unwrap());
        }
    };
    assert!((timestamp - first.nanos() / 1_000).abs() <= 1, "{timestamp}");
}

#[test]
fn who_was_refused_is_free_once_nothing_stands_in_the_way() {
    let house = House::new(Unpaired::Ask);
    let free = |id: &SpeakerId| {
        assert_eq!(house.arrivals.recv_timeout(PATIENCE).unwrap(), Arrival::Free(id.clone()));
    };
    let calling = Client::dials(house.at(), Manner::default());
    let here = house.here();
    let (descriptor, clients) = dialled(Manner { secret: [3; 32], ..Manner::default() });
    let (_refused, events) = house.open(&here);
    assert!(matches!(lost(&events), LostReason::Unpaired(_)));
    let (_refused, events) = house.open(&descriptor);
    let called = clients.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(lost(&events), LostReason::Unpaired(_)));
    for (client, of) in [(&calling, &here), (&called, &descriptor)] {
        house.kind.answer(&of.id, &Answer::Approve).unwrap();
        free(&of.id);
        let (_endpoint, events) = house.open(of);
        ready(&events);
        client.tell(Do::Say("client/state", Peer::state(false, 40, false)));
        assert!(matches!(lost(&events), LostReason::Unavailable(_)));
        client.tell(Do::Say("client/state", Peer::state(true, 40, false)));
        free(&of.id);
        let (_endpoint, events) = house.open(of);
        ready(&events);
    }
    let token = json!({"pairing_psk": {}, "static_pairing_code": {}});
    let mut hello = Peer::player();
    (hello["supported_pair_methods"], hello["unpaired_access"]) = (token, json!({"enabled": false}));
    let _client = Client::dials(house.at(), Manner { secret: [4; 32], hello, ..Manner::default() });
    let here = house.here();
    house.kind.answer(&here.id, &Answer::Code(antiphon_domain::Secret::new("12345678"))).unwrap();
    free(&here.id);
    assert_eq!(house.kind.answer(&here.id, &Answer::Refuse), Err(AnswerError::NotAsked));
    // It pairs by its printed code alone: six digits are none of its.
    let shown = Answer::Code(antiphon_domain::Secret::new("123456"));
    assert!(matches!(house.kind.answer(&here.id, &shown), Err(AnswerError::Wrong(_))));
}

#[test]
fn a_knob_turned_at_the_client_is_told() {
    let house = House::new(Unpaired::Allow);
    let client = Client::dials(house.at(), Manner::default());
    let (_endpoint, events) = house.open(&house.here());
    ready(&events);
    client.tell(Do::Say("client/state", Peer::state(true, 73, false)));
    let turned = EndpointEvent::VolumeTurned(Volume::new(73).unwrap());
    loop {
        if events.recv_timeout(PATIENCE).unwrap() == turned {
            return;
        }
    }
}

#[test]
fn a_client_that_stops_reading_is_dropped() {
    let house = House::new(Unpaired::Allow);
    let client = Client::dials(house.at(), Manner::default());
    let (mut endpoint, events) = house.open(&house.here());
    ready(&events);
    client.tell(Do::Freeze);
    let first = house.clock.now() + endpoint.caps().lead.0 + Duration::from_millis(100);
    for index in 0..125 {
        let due = first + Frames(index * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
        endpoint.play(&Block { due, samples: vec![0; BLOCK_FRAMES * CHANNELS].into() });
    }
    assert!(matches!(lost(&events), LostReason::Disconnected(_)));
    house.until("it was let go", |house| house.count("antiphon_sendspin_connections") == 0.0);
}

#[test]
fn garbage_ends_its_connection_and_nothing_else() {
    let house = House::new(Unpaired::Allow);
    let good = Client::dials(house.at(), Manner::default());
    let (_endpoint, events) = house.open(&house.here());
    ready(&events);
    let manners = |n: u8| Manner { secret: [n; 32], ..Manner::default() };
    // Not even a WebSocket.
    let mut raw = TcpStream::connect(house.at()).unwrap();
    raw.write_all(&[0xff; 4096]).unwrap();
    raw.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = Vec::new();
    // It is answered or closed; either is the end of it.
    let _ = raw.read_to_end(&mut rest);
    // Half a request and gone.
    TcpStream::connect(house.at()).unwrap().write_all(b"GET /sendspin HT").unwrap();
    for (n, message) in [
        Message::text("{}"),
        Message::text("x".repeat(60_000)),
        Message::Binary(vec![0; 60_000].into()),
        Message::Binary(vec![7; 200_000].into()),
    ]
    .into_iter()
    .enumerate()
    {
        let client = Client::dials(house.at(), manners(20 + n as u8));
        client.hears("server/activate");
        client.tell(Do::Raw(message));
        client.hung_up();
    }
    let client = Client::dials(house.at(), manners(30));
    client.hears("server/activate");
    client.tell(Do::Say("client/time", json!({"client_transmitted": "now"})));
    client.hung_up();
    house.until("all were counted", |house| house.count(FAULTS) >= 6.0);
    house.until("all have gone", |house| house.count("antiphon_sendspin_connections") == 1.0);
    good.tell(Do::Say("client/time", json!({"client_transmitted": 5})));
    assert_eq!(good.hears("server/time")["client_transmitted"], 5);
    assert!(!events.try_iter().any(|event| matches!(event, EndpointEvent::Lost(_))));
}

#[test]
fn one_that_dials_and_says_nothing_is_let_go() {
    let house = House::new(Unpaired::Allow);
    let stream = TcpStream::connect(house.at()).unwrap();
    let url = format!("ws://{}/sendspin", house.at());
    let (socket, _) = tokio_tungstenite::tungstenite::client(url, stream).unwrap();
    house.until("it is there", |house| house.count("antiphon_sendspin_connections") == 1.0);
    house.until("it was let go", |house| house.count("antiphon_sendspin_connections") == 0.0);
    assert_eq!(house.count(FAULTS), 1.0);
    drop(socket);
}

#[test]
fn records_and_texts_are_recognised() {
    let house = House::new(Unpaired::Ask);
    let id = Peer::new([5; 32], Suite::AesGcm, serde_json::Value::Null).id().to_string();
    let record = antiphon_endpoint::ServiceRecord {
        service: "_sendspin._tcp.local.".into(),
        instance: id.clone(),
        host: "box.local.".into(),
        addresses: vec!["192.0.2.1:8928".parse().unwrap()],
        txt: [("path".to_owned(), "/here".to_owned()), ("name".to_owned(), "Kitchen".to_owned())].into(),
    };
    let found = house.kind.recognise(&record).unwrap();
    assert_eq!((found.id.as_str(), found.name.as_str()), (id.as_str(), "Kitchen"));
    // One that nobody has spoken to yet can be approved of all the same.
    assert_eq!(house.kind.asks()[0].wants, Wants::Approval);
    house.kind.answer(&found.id, &Answer::Approve).unwrap();
    assert_eq!(house.kind.asks()[0].wants, Wants::Nothing);
    let other = antiphon_endpoint::ServiceRecord { service: "_raop._tcp.local.".into(), ..record.clone() };
    assert_eq!(house.kind.recognise(&other), None);
    let odd = [("path".to_owned(), "no path".to_owned())].into();
    assert_eq!(house.kind.recognise(&antiphon_endpoint::ServiceRecord { txt: odd, ..record }), None);

    let speaker = SpeakerId::new("bath");
    let configured = |text: &str| house.kind.configured(text, &speaker, "Bath");
    for good in ["sendspin://192.0.2.1:8928", "sendspin://[::1]:1/x", "sendspin://box.local:8928/sendspin"] {
        assert!(configured(good).unwrap().is_ok(), "{good}");
    }
    for bad in ["sendspin://", "sendspin://box", "sendspin://box:0", "sendspin://a b:1", "sendspin://::1:1"] {
        assert!(configured(bad).unwrap().is_err(), "{bad}");
    }
    assert!(configured("airplay://box:1").is_none());
}

#[test]
fn a_client_that_needs_sound_earlier_is_promised_it_next_time() {
    let house = House::new(Unpaired::Allow);
    let mut state = Peer::state(true, 40, false);
    state["player"]["min_buffer_ms"] = 2_000.into();
    let (descriptor, _clients) = dialled(Manner { says: ("client/state", state), ..Manner::default() });
    let (endpoint, events) = house.open(&descriptor);
    assert!(endpoint.caps().lead.0 < Duration::from_secs(2));
    assert!(matches!(lost(&events), LostReason::Disconnected(_)));
    // Whoever leads its group is to know it, too.
    assert_eq!(house.arrivals.recv_timeout(PATIENCE).unwrap(), Arrival::Free(descriptor.id.clone()));
    let (endpoint, events) = house.open(&descriptor);
    assert!(endpoint.caps().lead.0 >= Duration::from_secs(2));
    ready(&events);
}

#[test]
fn one_that_forgot_its_pairing_must_be_paired_anew() {
    let house = House::new(Unpaired::Allow);
    let printed = json!({"pairing_psk": {}, "static_pairing_code": {}});
    let mut hello = Peer::player();
    hello["supported_pair_methods"] = printed;
    let manner = Manner { hello, ..Manner::default() };
    let client = Client::dials(house.at(), manner.clone());
    let here = house.here();
    let code = Answer::Code(antiphon_domain::Secret::new("12345678"));
    house.kind.answer(&here.id, &code).unwrap();
    // It is paired and plays.
    house.until("it is paired", |house| house.count("antiphon_sendspin_pairings_total") == 1.0);
    let (_endpoint, events) = house.open(&here);
    ready(&events);
    drop(client);
    assert!(matches!(lost(&events), LostReason::Disconnected(_)));
    // This one knows only the sentinel; it is the same client with its memory lost.
    let _client = Client::dials(house.at(), manner);
    let here = house.here();
    let (_endpoint, events) = house.open(&here);
    assert!(matches!(lost(&events), LostReason::Unpaired(why) if why.contains("forgotten")));
    assert_eq!(house.kind.asks()[0].wants, Wants::Code);
    assert_eq!(house.kind.answer(&here.id, &Answer::Approve), Err(AnswerError::NotAsked));
    house.kind.answer(&here.id, &code).unwrap();
    house.until("it is paired again", |house| house.kind.asks()[0].wants == Wants::Nothing);
    let (_endpoint, events) = house.open(&here);
    ready(&events);
}

#[test]
fn what_answers_there_may_be_anything() {
    let house = House::new(Unpaired::Allow);
    for (says, expected) in [("HTTP/1.1 404 Not Found\r\n\r\n", "protocol"), ("", "cannot be reached")] {
        let door = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (descriptor, _) = dialled(Manner::default());
        let descriptor =
            antiphon_endpoint::Descriptor { addresses: vec![door.local_addr().unwrap()], ..descriptor };
        let (_endpoint, events) = house.open(&descriptor);
        let (mut called, _) = door.accept().unwrap();
        called.write_all(says.as_bytes()).unwrap();
        let why = lost(&events).to_string();
        assert!(why.contains(expected), "{why}");
    }
    let (descriptor, _) = dialled(Manner::default());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_endpoint, events) =
        house.open(&antiphon_endpoint::Descriptor { addresses: vec![nobody], ..descriptor });
    assert!(matches!(lost(&events), LostReason::Unreachable { .. }));
}
