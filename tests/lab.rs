//! The lab itself: hosts see each other and nothing else, receivers are found, and the rack hears what is played.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use support::analysis::{chirp_offsets, longest_gap, quantile, sounding, tone_level};
use support::lab::Lab;
use support::lab::rack::{Offer, PULSE_PORT, RATE, Rack, SAP};
use support::lab::receiver;
use support::lab::snapcast::{self, Sink};
use support::lab::weather::Weather;
use support::or_skip;
use support::patience::wait_for;
use support::stimulus::{chirps, sine, stereo, write_wav};

#[test]
fn lab_hosts_reach_each_other_and_nothing_else() {
    let Some(lab) = or_skip(Lab::new(&["a", "b"])) else { return };
    let address = lab.address("b");
    let listener = lab.within("b", || TcpListener::bind((address, 7000)).expect("bind")).expect("within");
    assert!(lab.listening("b").contains(&7000) && !lab.listening("a").contains(&7000));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accept");
        stream.write_all(b"hello").expect("write");
    });
    let heard = lab.within("a", || {
        let mut stream = TcpStream::connect((address, 7000)).expect("connect");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("read");
        text
    });
    assert_eq!(heard.expect("within"), "hello");
    server.join().expect("the server ends");
    // Our own thread stayed outside.
    assert!(TcpStream::connect_timeout(&(address, 7000).into(), Duration::from_millis(200)).is_err());
    // There is no way out: nobody answers to the question for the hardware address.
    let refused = lab.within("a", || {
        let outside = std::net::SocketAddr::from(([198, 18, 200, 1], 9));
        TcpStream::connect_timeout(&outside, Duration::from_millis(200)).is_err()
    });
    assert!(refused.expect("within"));
    // Multicast reaches the neighbour.
    let group = std::net::Ipv4Addr::new(224, 0, 0, 251);
    let ear = lab.within("b", || {
        let socket = UdpSocket::bind(("0.0.0.0", 5353)).expect("bind");
        socket.join_multicast_v4(&group, &address).expect("join");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
        socket
    });
    let ear = ear.expect("within");
    let sent = lab.within("a", || {
        let socket = UdpSocket::bind(("0.0.0.0", 0)).expect("bind");
        socket.send_to(b"anybody?", (group, 5353)).expect("send")
    });
    assert_eq!(sent.expect("within"), 8);
    let mut buffer = [0; 32];
    let (count, from) = ear.recv_from(&mut buffer).expect("heard");
    assert_eq!((&buffer[..count], from.ip()), (&b"anybody?"[..], lab.address("a").into()));
}

#[test]
fn lab_rack_hears_what_is_played_on_each_output() {
    let Some(lab) = or_skip(Lab::new(&[])) else { return };
    let Some(rack) = or_skip(Rack::new(&lab, 2)) else { return };
    let (low, high) = (sine(RATE, 4.0, 440.0, 0.5), sine(RATE, 4.0, 660.0, 0.05));
    let begun = Instant::now();
    let mut recorder = rack.record().expect("record");
    let mut players = Vec::new();
    for (output, sound) in [(1, &low), (2, &high)] {
        let file = lab.folder().join(format!("{output}.wav"));
        write_wav(&file, RATE, &[sound, sound]).expect("write");
        let mut play = rack.client("paplay");
        play.arg("-d").arg(rack.output(output)).arg(file);
        players.push(lab.spawn(&format!("player-{output}"), play).expect("play"));
    }
    recorder.wait_for_frames(6 * RATE as usize).expect("record");
    let heard = recorder.finish().expect("record");
    assert!(heard.frame_at(begun + Duration::from_secs(3)).is_some());
    for (output, hertz, level) in [(1, 440.0, -6.02), (2, 660.0, -26.02)] {
        let sound = heard.output(output);
        let range = sounding(sound, level - 6.0).expect("it sounds");
        let sound = &sound[range];
        assert!((sound.len() as f64 / f64::from(RATE) - 4.0).abs() < 0.5, "{} frames", sound.len());
        assert!((tone_level(sound, RATE, hertz) - level).abs() < 0.2, "output {output}");
        assert!(longest_gap(sound, level - 20.0).1 < 50, "output {output}");
    }
}

#[test]
fn lab_rack_shares_one_clock_between_outputs() {
    let Some(lab) = or_skip(Lab::new(&[])) else { return };
    let Some(rack) = or_skip(Rack::new(&lab, 2)) else { return };
    // Played on the rack as a whole, the second output 100 samples late.
    let sound = chirps(RATE, 4.0);
    let mut late = vec![0.0; 100];
    late.extend_from_slice(&sound[..sound.len() - 100]);
    let file = lab.folder().join("rack.wav");
    write_wav(&file, RATE, &[&sound, &sound, &late, &late]).expect("write");
    let mut play = rack.client("paplay");
    play.args(["-d", "rack", "--channel-map=aux0,aux1,aux2,aux3", "--no-remix"]).arg(file);
    let mut recorder = rack.record().expect("record");
    let _player = lab.spawn("player", play).expect("play");
    recorder.wait_for_frames(6 * RATE as usize).expect("record");
    let heard = recorder.finish().expect("record");
    let offsets = chirp_offsets(heard.output(1), heard.output(2), RATE);
    assert!(offsets.len() >= 3, "{offsets:?}");
    for found in offsets {
        assert!((found.seconds - 100.0 / f64::from(RATE)).abs() < 1e-6, "{found:?}");
    }
}

#[test]
fn lab_receivers_are_announced_and_come_back_with_the_same_identity() {
    let Some(lab) = or_skip(Lab::new(&["hub", "r1"])) else { return };
    let Some(rack) = or_skip(Rack::new(&lab, 1)) else { return };
    let Some(mut kitchen) = or_skip(lab.receiver("r1", "Kitchen", &rack, 1)) else { return };
    let patience = Duration::from_secs(15);
    let seen = || {
        let lines = lab.browse("hub", "_raop._tcp").ok()?;
        lines
            .into_iter()
            .find(|line| line.contains("Kitchen") && line.contains(&lab.address("r1").to_string()))
    };
    let first = wait_for(patience, seen).expect("announced");
    assert!(first.contains(";5000;"), "{first}");
    kitchen.kill9();
    assert!(kitchen.process().ended().is_some());
    kitchen.start_again(&lab).expect("start again");
    assert_eq!(wait_for(patience, seen), Some(first));
    // A goodbye takes the announcement away at once.
    kitchen.process().stop(Duration::from_secs(5));
    assert!(wait_for(patience, || seen().is_none().then_some(())).is_some());
}

#[test]
fn lab_weather_on_a_cable_is_what_was_asked_for() {
    let Some(lab) = or_skip(Lab::new(&["a", "b"])) else { return };
    let Some(line) = or_skip(lab.line("b", 1)) else { return };
    let address = lab.address("b");
    // TCP gets across unharmed, whatever is lost.
    let listener = lab.within("b", || TcpListener::bind((address, 7000)).expect("bind")).expect("within");
    let take = || {
        let sent: Vec<u8> = (0..500_000_u32).map(|i| (i % 251) as u8).collect();
        let heard = std::thread::scope(|scope| {
            scope.spawn(|| {
                lab.within("a", || TcpStream::connect((address, 7000)).expect("connect").write_all(&sent))
            });
            let mut heard = Vec::new();
            listener.accept().expect("accept").0.read_to_end(&mut heard).expect("read");
            heard
        });
        assert!(heard == sent, "{} of {} bytes, or others", heard.len(), sent.len());
    };
    let timed = || {
        let begun = Instant::now();
        take();
        begun.elapsed()
    };
    let fair = timed();
    line.set(Weather { loss: 0.02, ..Weather::default() });
    take();
    assert!(line.counts().1 > 0, "nothing was lost");
    line.set(Weather { bytes_per_second: Some(250_000), ..Weather::default() });
    let slow = timed();
    assert!(slow > Duration::from_secs(2) && slow > 4 * fair, "{slow:?}, in fair weather {fair:?}");
    // Datagrams: late, and none while it stalls.
    let ear = lab.within("b", || UdpSocket::bind((address, 7001)).expect("bind")).expect("within");
    let mouth = lab.within("a", || UdpSocket::bind(("0.0.0.0", 0)).expect("bind")).expect("within");
    let mut buffer = [0; 16];
    let mut sent_and_heard = |patience: Duration| {
        ear.set_read_timeout(Some(patience)).expect("timeout");
        let begun = Instant::now();
        mouth.send_to(b"hello", (address, 7001)).expect("send");
        ear.recv(&mut buffer).is_ok().then(|| begun.elapsed())
    };
    line.set(Weather { delay: Duration::from_millis(80), ..Weather::default() });
    let took = sent_and_heard(Duration::from_secs(5)).expect("heard");
    assert!(took >= Duration::from_millis(80), "{took:?}");
    line.set(Weather { stalled: true, ..Weather::default() });
    assert_eq!(sent_and_heard(Duration::from_millis(300)), None);
    // What waited comes when it ends; and the mended cable works without us.
    line.set(Weather::default());
    assert!(sent_and_heard(Duration::from_secs(5)).is_some());
    drop(line);
    assert!(sent_and_heard(Duration::from_secs(5)).is_some());
    take();
}

#[test]
fn lab_snapserver_and_its_clients_are_heard_in_time() {
    let Some(lab) = or_skip(Lab::new(&["rival", "c1", "c2"])) else { return };
    let Some(rack) = or_skip(Rack::new(&lab, 2)) else { return };
    let Some(mut server) = or_skip(lab.snapserver("rival", RATE, "flac")) else { return };
    let mut clients = Vec::new();
    for output in 1..=2 {
        let (host, address) = (format!("c{output}"), (lab.address("rival"), snapcast::PORT));
        let Some(client) = or_skip(lab.snapclient(&host, &host, address, Sink::Output(&rack, output))) else {
            return;
        };
        clients.push(client);
    }
    let mut recorder = rack.record().expect("record");
    server.play(stereo(&chirps(RATE, 20.0))).expect("play");
    recorder.wait_for_frames(15 * RATE as usize).expect("record");
    let heard = recorder.finish().expect("record");
    let found = chirp_offsets(heard.output(1), heard.output(2), RATE);
    assert!(found.len() >= 5, "{found:?}\n{}", clients[0].process().log_tail());
    assert!(quantile(found.iter().map(|o| o.seconds), 0.5) < 0.005, "{found:?}");
}

#[test]
fn lab_pulseaudio_sends_to_receivers_and_is_one() {
    let Some(lab) = or_skip(Lab::new(&["rival", "rack", "r1", "r2"])) else { return };
    let offer = Offer { host: "rack", rtp: &[3], sap: SAP, announced: true };
    let Some(rack) = or_skip(Rack::on_network(&lab, 4, offer)) else { return };
    let mut receivers = Vec::new();
    for (output, name) in [(1, "Kitchen"), (2, "Bath")] {
        let Some(receiver) = or_skip(lab.receiver(&format!("r{output}"), name, &rack, output)) else {
            return;
        };
        receivers.push(receiver);
    }
    // Each output is announced, and plays what comes over the network.
    let seen =
        || lab.browse("rival", "_pulse-sink._tcp").ok().filter(|all| all.iter().any(|l| l.contains("out4")));
    let seen = wait_for(Duration::from_secs(30), seen).expect("announced");
    assert!(seen.iter().any(|line| line.contains(";4713;")), "{seen:?}");
    let sound = sine(RATE, 10.0, 440.0, 0.5);
    let file = lab.folder().join("direct.wav");
    write_wav(&file, RATE, &[&sound, &sound]).expect("write");
    let mut recorder = rack.record().expect("record");
    let mut play = lab.command("rival", "paplay");
    play.env("PULSE_SERVER", format!("tcp:{}:{PULSE_PORT}", lab.address("rack"))).env("HOME", lab.folder());
    play.args(["-d", "out4"]).arg(file);
    let _direct = lab.spawn("direct", play).expect("play");

    let addresses = ["r1", "r2"].map(|host| (lab.address(host), receiver::PORT));
    let Some(mut sender) = or_skip(lab.raop_sender("rival", &addresses)) else { return };
    let sound = chirps(44_100, 20.0);
    let file = lab.folder().join("chirps.wav");
    write_wav(&file, 44_100, &[&sound, &sound]).expect("write");
    sender.play(&lab, &file).expect("play");
    let begun = recorder.frames();
    recorder.wait_for_frames(begun + 15 * RATE as usize).expect("record");
    let heard = recorder.finish().expect("record");
    let found = chirp_offsets(heard.output(1), heard.output(2), RATE);
    assert!(found.len() >= 5, "{found:?}\n{}", receivers[0].process().log_tail());
    assert!(sounding(heard.output(4), -20.0).is_some());
}
