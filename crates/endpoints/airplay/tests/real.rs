//! A real receiver (shairport-sync) that is encrypted to, locked, shown what plays, and that commands us.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod fake;
mod support;

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_audio::Block;
use antiphon_domain::{Frames, HubTime, Level, SampleRate, Secret, SpeakerId, Volume};
use antiphon_endpoint::{
    Artwork, Button, Clock, Control, EndpointEvent, Kind, LostReason, NowPlaying, PlayState,
};
use base64::Engine as _;
use fake::PATIENCE;
use fake::hub::{Hub, Opened};
use support::analysis::{quantile, tone_levels};
use support::lab::Lab;
use support::lab::rack::{RATE, Rack};
use support::lab::receiver::{PORT, Receiver};
use support::or_skip;
use support::patience::wait_for;
use support::stimulus::sine;

/// What shairport-sync 3.3.8 says of itself.
const RECORD: [(&str, &str); 5] =
    [("am", "ShairportSync"), ("cn", "0,1"), ("et", "0,1"), ("md", "0,1,2"), ("tp", "TCP,UDP")];

/// A lab with one receiver, set so.
fn room(settings: impl FnOnce(&Lab) -> (String, String)) -> Option<(Lab, Rack, Receiver, SocketAddr)> {
    let lab = or_skip(Lab::new(&["hub", "r1"]))?;
    let rack = or_skip(Rack::new(&lab, 1))?;
    let (general, more) = settings(&lab);
    let receiver = or_skip(lab.receiver_set("r1", "Kitchen", &rack, 1, (&general, &more)))?;
    let address = SocketAddr::from((lab.address("r1"), PORT));
    Some((lab, rack, receiver, address))
}

fn loudest() -> Control {
    Control::Level(Level { volume: Volume::MAX, muted: false })
}

/// Plays a tone for so long, its first sample due at the moment that is answered.
fn play(hub: &Hub, opened: &mut Opened, seconds: f64) -> HubTime {
    let sound = sine(44_100, seconds, 997.0, 0.5);
    let anchor = hub.clock.now() + Duration::from_millis(1500);
    for (nth, chunk) in sound.chunks_exact(352).enumerate() {
        let due = anchor + Frames(nth as u64 * 352).duration(SampleRate::HUB);
        hub.clock.until(due - Duration::from_millis(1030));
        let samples: Vec<i16> = chunk.iter().flat_map(|s| [(s * 32_767.0) as i16; 2]).collect();
        opened.endpoint.play(&Block { due, samples: samples.into() });
    }
    anchor
}

/// Plays 8 s of a tone and judges what comes out from the fourth second on.
fn judged(lab: &Lab, rack: &Rack, hub: impl FnOnce() -> Hub + Send, address: SocketAddr) {
    let recorder = rack.record().expect("record");
    let (hub, anchor) = lab
        .within("hub", || {
            let hub = hub();
            let mut opened = hub.open(&hub.recorded(address, &RECORD));
            opened.endpoint.control(loudest());
            opened.ready();
            let anchor = play(&hub, &mut opened, 8.0);
            hub.clock.until(anchor + Duration::from_secs(8));
            drop(opened);
            hub.runtime.block_on(hub.kind.farewell(PATIENCE));
            (hub, anchor)
        })
        .expect("within");
    let heard = recorder.finish().expect("record");
    let from = heard.frame_at(hub.clock.instant(anchor + Duration::from_secs(3))).expect("recorded");
    let sound = &heard.output(1)[from..from + 4 * RATE as usize];
    let level = quantile(tone_levels(sound, RATE, 997.0, 0.1).into_iter().map(|(_, level)| level), 0.5);
    println!("the tone is heard at -{level:.1} dBFS");
    assert!((level - 6.02).abs() < 0.5, "-{level} dBFS");
}

#[test]
fn lab_encrypted_sound_is_heard() {
    let Some((lab, rack, mut receiver, address)) = room(|_| Default::default()) else { return };
    judged(&lab, &rack, || Hub::new(|options| options.encrypt_always = true), address);
    println!("{}", receiver.process().log_tail());
}

#[test]
fn lab_a_password_opens_a_locked_receiver_and_a_wrong_one_does_not() {
    let locked = |_: &Lab| ("password = \"Open Sesame\";".to_owned(), String::new());
    let Some((lab, rack, _receiver, address)) = room(locked) else { return };
    let with = |password: &str| {
        let secret = Secret::new(password);
        Hub::new(|options| {
            options.passwords.insert(SpeakerId::new("33FA00A66F2E"), secret);
        })
    };
    for password in [None, Some("open sesame")] {
        let reason = lab
            .within("hub", || {
                let hub = password.map_or_else(|| Hub::new(|_| {}), with);
                hub.open(&hub.recorded(address, &RECORD)).lost()
            })
            .expect("within");
        assert_eq!(reason, LostReason::PasswordRequired);
    }
    judged(&lab, &rack, || with("Open Sesame"), address);
}

#[test]
fn lab_a_session_follows_another_at_once() {
    let Some((lab, _rack, _receiver, address)) = room(|_| Default::default()) else { return };
    let lost = lab
        .within("hub", || {
            let hub = Hub::new(|_| {});
            // As when the pace of a group changes: the farewell and the next greeting leave together.
            for _ in 0..4 {
                let mut opened = hub.open(&hub.recorded(address, &RECORD));
                opened.endpoint.control(loudest());
                opened.ready();
                let anchor = play(&hub, &mut opened, 2.0);
                hub.clock.until(anchor + Duration::from_secs(1));
            }
            hub.metric("antiphon_airplay_sessions_lost_total")
        })
        .expect("within");
    assert_eq!(lost, 0.0);
}

#[test]
fn lab_who_was_cut_off_plays_again_soon_after() {
    let Some((lab, _rack, mut receiver, address)) = room(|_| Default::default()) else { return };
    let soon = lab
        .within("hub", || {
            let hub = Hub::new(|options| {
                options.keep_alive = Duration::from_millis(500);
                options.answer_timeout = Duration::from_secs(1);
            });
            let mut opened = hub.open(&hub.recorded(address, &RECORD));
            opened.ready();
            play(&hub, &mut opened, 1.0);
            lab.set_cable("r1", false).expect("a cable");
            opened.lost();
            lab.set_cable("r1", true).expect("a cable");
            let back = hub.clock.now();
            // As speakers do: it must not take itself for ours until its own timeout.
            let ready = wait_for(PATIENCE, || {
                let opened = hub.open(&hub.recorded(address, &RECORD));
                let event = opened.next();
                println!("{:?}: {event:?}", hub.clock.now().since(back));
                (event == EndpointEvent::Ready).then_some(())
            });
            ready.map(|()| hub.clock.now().since(back))
        })
        .expect("within");
    println!("{}", receiver.process().log_tail());
    assert!(soon.is_some_and(|soon| soon < Duration::from_secs(8)), "{soon:?}");
}

/// What came through a metadata pipe: four letters and the bytes.
fn items(text: &str) -> Vec<(String, Vec<u8>)> {
    let between = |text: &str, a: &str, b: &str| -> Option<String> {
        let from = text.find(a)? + a.len();
        Some(text[from..from + text[from..].find(b)?].to_owned())
    };
    let read = |item: &str| {
        let code = u32::from_str_radix(&between(item, "<code>", "</code>")?, 16).ok()?;
        let code = String::from_utf8(code.to_be_bytes().to_vec()).ok()?;
        let data = between(item, "<data encoding=\"base64\">", "</data>").unwrap_or_default();
        let data: String = data.split_whitespace().collect();
        Some((code, base64::engine::general_purpose::STANDARD.decode(data).ok()?))
    };
    text.split("<item>").skip(1).filter_map(read).collect()
}

#[test]
fn lab_what_plays_is_shown() {
    let pipe = |lab: &Lab| lab.folder().join("metadata");
    let shown = |lab: &Lab| {
        let more = format!(
            "metadata = {{ enabled = \"yes\"; include_cover_art = \"yes\"; pipe_name = \"{}\"; }};\n",
            pipe(lab).display()
        );
        (String::new(), more)
    };
    let Some((lab, _rack, _receiver, address)) = room(shown) else { return };
    let path = pipe(&lab);
    wait_for(PATIENCE, || path.exists().then_some(())).expect("a pipe");
    let text = Arc::new(Mutex::new(String::new()));
    let (into, from) = (Arc::clone(&text), path.clone());
    std::thread::spawn(move || {
        // Open to write as well, so that it does not end when the receiver closes it for a while.
        let mut pipe = std::fs::File::options().read(true).write(true).open(from).unwrap();
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut chunk) {
            into.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..length]));
        }
    });
    // Random bytes behind the beginning of a JPEG: shairport-sync looks at that alone.
    let picture: Vec<u8> = [0xff, 0xd8, 0xff, 0xe0]
        .into_iter()
        .chain((0..150_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8))
        .collect();
    let told = picture.clone();
    let progress = lab
        .within("hub", || {
            let hub = Hub::new(|_| {});
            let mut opened = hub.open(&hub.recorded(address, &RECORD));
            opened.ready();
            opened.endpoint.control(Control::Now(Arc::new(NowPlaying {
                state: PlayState::Playing,
                title: Some("Für Elise".into()),
                artist: Some("Beethoven".into()),
                album: Some("Bagatellen".into()),
                artwork: Some(Artwork { media_type: "image/jpeg".into(), bytes: told.into() }),
                position: Some((hub.clock.now(), Duration::from_secs(30))),
                length: Some(Duration::from_secs(180)),
                group: None,
            })));
            play(&hub, &mut opened, 4.0);
            let of = |code: &str| {
                let items = items(&text.lock().unwrap());
                items
                    .into_iter()
                    .rev()
                    .find(|(have, data)| have == code && !data.is_empty())
                    .map(|(_, data)| data)
            };
            for (code, expected) in [("minm", "Für Elise"), ("asar", "Beethoven"), ("asal", "Bagatellen")] {
                let found = wait_for(PATIENCE, || of(code)).unwrap_or_else(|| {
                    let came: Vec<_> =
                        items(&text.lock().unwrap()).into_iter().map(|(code, _)| code).collect();
                    panic!("no {code} but {came:?}; told {}", hub.metric("antiphon_airplay_shown_total"))
                });
                assert_eq!(String::from_utf8_lossy(&found), expected);
            }
            assert!(wait_for(PATIENCE, || of("PICT")).expect("a picture") == picture, "another picture");
            String::from_utf8(wait_for(PATIENCE, || of("prgr")).expect("progress")).unwrap()
        })
        .expect("within");
    let numbers: Vec<u32> = progress.split('/').map(|n| n.trim().parse().unwrap()).collect();
    assert_eq!(numbers[2].wrapping_sub(numbers[0]), 180 * 44_100, "{progress}");
    let at = f64::from(numbers[1].wrapping_sub(numbers[0])) / 44_100.0;
    assert!((29.0..36.0).contains(&at), "{progress}");
}

#[test]
fn lab_a_receivers_buttons_come_back() {
    let Some((lab, _rack, mut receiver, address)) = room(|_| Default::default()) else { return };
    lab.name_service("hub").expect("names");
    let events = lab
        .within("hub", || {
            let hub = Hub::new(|options| options.interfaces = Some(vec!["eth0".to_owned()]));
            let clock = Arc::clone(&hub.clock) as Arc<dyn Clock>;
            let advert = hub.kind.listen(clock, Arc::new(|_| {})).remove(0);
            // Discovery announces it in the hub; here the host's name service does.
            let mut announce = lab.command("hub", "avahi-publish");
            announce.args(["-s", &advert.instance, "_dacp._tcp", &advert.port.to_string()]);
            let _announced = lab.spawn("announce", announce).expect("avahi-publish");
            let mut opened = hub.open(&hub.recorded(address, &RECORD));
            opened.ready();
            play(&hub, &mut opened, 1.0);
            let mut events = Vec::new();
            for (method, arguments) in [
                ("RemoteControl.Next", &[][..]),
                ("RemoteControl.PlayPause", &[]),
                ("RemoteControl.VolumeUp", &[]),
                ("RemoteControl.SetAirplayVolume", &["-15.0"]),
            ] {
                let press = || {
                    let mut press = lab.command("r1", "gdbus");
                    press.args(["call", "--system", "--dest", "org.gnome.ShairportSync"]);
                    press.args(["--object-path", "/org/gnome/ShairportSync", "--method"]);
                    press.arg(format!("org.gnome.ShairportSync.{method}")).arg("--").args(arguments);
                    let answer = lab.output(&mut press);
                    let ours = |event: &EndpointEvent| {
                        matches!(event, EndpointEvent::Pressed(_) | EndpointEvent::VolumeTurned(_))
                    };
                    let until = std::time::Instant::now() + Duration::from_secs(1);
                    let mut event = None;
                    while event.is_none() && std::time::Instant::now() < until {
                        event = opened.events.recv_timeout(Duration::from_millis(50)).ok().filter(ours);
                    }
                    if event.is_none() {
                        println!("{method}: {answer:?}");
                    }
                    event
                };
                // It looks for our remote control by mDNS first.
                events.push(wait_for(PATIENCE, press));
            }
            events
        })
        .expect("within");
    println!("{events:?}\n{}", receiver.process().log_tail());
    let step = antiphon_domain::VolumeStep::new(5).unwrap();
    assert_eq!(
        events,
        [
            Some(EndpointEvent::Pressed(Button::Next)),
            Some(EndpointEvent::Pressed(Button::PlayPause)),
            Some(EndpointEvent::Pressed(Button::VolumeStep(step))),
            Some(EndpointEvent::VolumeTurned(Volume::new(50).unwrap())),
        ]
    );
}
