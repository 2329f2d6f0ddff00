//! Real receivers that join a playing group: how soon each is in time with the one that plays already. The figures are
//! printed: `cargo nextest run -p antiphon-airplay lab_joiners --no-capture`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod fake;
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use antiphon_audio::Block;
use antiphon_domain::{Frames, HubTime, Level, SampleRate, Volume};
use antiphon_endpoint::{Clock, Control};
use fake::hub::{Hub, Opened};
use support::analysis::{chirp_offsets_within, quantile};
use support::lab::Lab;
use support::lab::rack::{RATE, Rack};
use support::lab::receiver::PORT;
use support::or_skip;
use support::stimulus::chirps;

const HOSTS: [&str; 5] = ["hub", "r0", "r1", "r2", "r3"];
const SETTLED: f64 = 20.0;
const ROUNDS: usize = 3;
const ROUND: f64 = 14.0;
/// How long after the wish to join a joiner must be in time.
const SOON: f64 = 2.0;

fn open(hub: &Hub, at: SocketAddr) -> Opened {
    let record = [("am", "ShairportSync"), ("cn", "0,1"), ("et", "0,1"), ("tp", "TCP,UDP")];
    let mut opened = hub.open(&hub.recorded(at, &record));
    opened.endpoint.control(Control::Level(Level { volume: Volume::MAX, muted: false }));
    opened
}

#[test]
fn lab_joiners_are_in_time_soon() {
    let Some(lab) = or_skip(Lab::new(&HOSTS)) else { return };
    let Some(rack) = or_skip(Rack::new(&lab, 4)) else { return };
    let mut receivers = Vec::new();
    for (output, host) in HOSTS.iter().enumerate().skip(1) {
        let Some(receiver) = or_skip(lab.receiver(host, host, &rack, output)) else { return };
        receivers.push(receiver);
    }
    let addresses: Vec<SocketAddr> =
        HOSTS[1..].iter().map(|host| SocketAddr::from((lab.address(host), PORT))).collect();
    let length = SETTLED + ROUNDS as f64 * ROUND + 1.0;
    let sound = chirps(44_100, length);
    let recorder = rack.record().expect("record");
    let (hub, anchor, joins) = lab
        .within("hub", || {
            let hub = Hub::new(|_| {});
            let first = open(&hub, addresses[0]);
            first.ready();
            let mut endpoints = vec![first];
            let anchor = hub.clock.now() + Duration::from_millis(1500);
            let mut joins: Vec<HubTime> = Vec::new();
            for (nth, chunk) in sound.chunks_exact(352).enumerate() {
                let due = anchor + Frames(nth as u64 * 352).duration(SampleRate::HUB);
                hub.clock.until(due - Duration::from_millis(1030));
                let at = SETTLED + joins.len() as f64 * ROUND;
                if joins.len() < ROUNDS && hub.clock.now() >= anchor + Duration::from_secs_f64(at + 0.3) {
                    endpoints.truncate(1);
                    // Those of the round before have said farewell.
                    hub.reaches("antiphon_airplay_sessions", 1.0);
                    joins.push(hub.clock.now());
                    endpoints.extend(addresses[1..].iter().map(|at| open(&hub, *at)));
                }
                let samples: Vec<i16> = chunk.iter().flat_map(|s| [(s * 32_767.0) as i16; 2]).collect();
                let block = Block { due, samples: samples.into() };
                for one in &mut endpoints {
                    one.endpoint.play(&block);
                }
            }
            hub.clock.until(anchor + Frames(sound.len() as u64).duration(SampleRate::HUB));
            drop(endpoints);
            hub.runtime.block_on(hub.kind.farewell(fake::PATIENCE));
            (hub, anchor, joins)
        })
        .expect("within");
    let heard = recorder.finish().expect("record");
    let begun = heard.frame_at(hub.clock.instant(anchor)).expect("recorded");
    let second = |at: f64| begun + (at * f64::from(RATE)) as usize;
    let mut soon = Vec::new();
    for join in joins {
        let at = (join.nanos() - anchor.nanos()) as f64 * 1e-9;
        for output in 2..=4 {
            let mut line = String::new();
            // Chirps begin at whole seconds.
            for nth in (at.ceil() as usize)..((at + ROUND - 1.0) as usize) {
                let window = second(nth as f64 - 0.3)..second(nth as f64 + 0.5);
                let (a, b) = (&heard.output(1)[window.clone()], &heard.output(output)[window]);
                let offset =
                    chirp_offsets_within(a, b, RATE, 0.01).into_iter().find(|offset| offset.likeness > 0.5);
                let after = nth as f64 - at;
                match offset {
                    Some(offset) => {
                        line += &format!(" {after:.1}s {:.0}us", offset.seconds * 1e6);
                        if (SOON..SOON + 3.0).contains(&after) {
                            soon.push(offset.seconds.abs() * 1e6);
                        }
                    }
                    None => line += &format!(" {after:.1}s -"),
                }
            }
            println!("joiner {output}:{line}");
        }
    }
    let (p50, most) = (quantile(soon.iter().copied(), 0.5), quantile(soon.iter().copied(), 1.0));
    println!("joiner_apart{{after=\"2 to 5 s\"}} p50 {p50:.0} max {most:.0} us of {}", soon.len());
    // A busy machine blurs it; at their worst receivers used to lie 2 to 5 ms off for half a minute.
    assert!(soon.len() > 20 && p50 < 1_500.0, "{soon:?}");
}
