//! What holding receivers in time brings: two that we know for what they are beside two that we take for others, in the
//! same minutes on the same bench. The figures are printed: `ANTIPHON_SECONDS=180 cargo nextest run -p antiphon-airplay
//! lab_held --no-capture`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod fake;
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use antiphon_audio::Block;
use antiphon_domain::{Frames, Level, SampleRate, Volume};
use antiphon_endpoint::{Clock, Control};
use fake::hub::Hub;
use support::analysis::{chirp_offsets_within, quantile};
use support::lab::Lab;
use support::lab::rack::{RATE, Rack};
use support::lab::receiver::PORT;
use support::or_skip;
use support::stimulus::chirps;

const HOSTS: [&str; 5] = ["hub", "r1", "r2", "r3", "r4"];
const SETTLED: f64 = 22.0;

#[test]
fn lab_held_receivers_keep_close() {
    let seconds: f64 =
        std::env::var("ANTIPHON_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(25.0);
    let Some(lab) = or_skip(Lab::new(&HOSTS)) else { return };
    let Some(rack) = or_skip(Rack::new(&lab, 4)) else { return };
    let mut receivers = Vec::new();
    for (output, host) in HOSTS.iter().enumerate().skip(1) {
        let Some(receiver) = or_skip(lab.receiver(host, host, &rack, output)) else { return };
        receivers.push(receiver);
    }
    let sound = chirps(44_100, SETTLED + seconds);
    let recorder = rack.record().expect("record");
    let (hub, anchor) = lab
        .within("hub", || {
            let hub = Hub::new(|_| {});
            let open = |host: &&str| {
                let model = if ["r1", "r2"].contains(host) { "ShairportSync" } else { "Other" };
                let record = [("am", model), ("cn", "0,1"), ("et", "0,1"), ("tp", "TCP,UDP")];
                let mut opened =
                    hub.open(&hub.recorded(SocketAddr::from((lab.address(host), PORT)), &record));
                opened.endpoint.control(Control::Level(Level { volume: Volume::MAX, muted: false }));
                opened
            };
            let mut endpoints: Vec<_> = HOSTS[1..].iter().map(open).collect();
            endpoints.iter().for_each(|one| one.ready());
            let anchor = hub.clock.now() + Duration::from_millis(1500);
            for (nth, chunk) in sound.chunks_exact(352).enumerate() {
                let due = anchor + Frames(nth as u64 * 352).duration(SampleRate::HUB);
                hub.clock.until(due - Duration::from_millis(1030));
                let samples: Vec<i16> = chunk.iter().flat_map(|s| [(s * 32_767.0) as i16; 2]).collect();
                let block = Block { due, samples: samples.into() };
                for one in &mut endpoints {
                    one.endpoint.play(&block);
                }
            }
            hub.clock.until(anchor + Frames(sound.len() as u64).duration(SampleRate::HUB));
            drop(endpoints);
            hub.runtime.block_on(hub.kind.farewell(fake::PATIENCE));
            (hub, anchor)
        })
        .expect("within");
    let heard = recorder.finish().expect("record");
    let begun = heard.frame_at(hub.clock.instant(anchor)).expect("recorded");
    let second = |at: f64| begun + (at * f64::from(RATE)) as usize;
    let window = second(SETTLED - 0.5)..second(SETTLED + seconds - 0.1);
    let mut held = 0.0;
    for (what, a, b) in [("held", 1, 2), ("let be", 3, 4)] {
        let (a, b) = (&heard.output(a)[window.clone()], &heard.output(b)[window.clone()]);
        let apart: Vec<f64> =
            chirp_offsets_within(a, b, RATE, 0.006).into_iter().map(|offset| offset.seconds * 1e6).collect();
        let at = |part| quantile(apart.iter().copied(), part);
        println!(
            "receivers_apart{{{what}}} p50 {:.0} p95 {:.0} p99 {:.0} max {:.0} us of {}",
            at(0.5),
            at(0.95),
            at(0.99),
            at(1.0),
            apart.len()
        );
        let series: Vec<String> = apart.iter().map(|offset| format!("{offset:.0}")).collect();
        println!("second by second: {}", series.join(" "));
        assert!(apart.len() as f64 > 0.9 * (seconds - 2.0), "{} chirps were found", apart.len());
        if what == "held" {
            held = at(0.95);
        }
    }
    for receiver in &mut receivers {
        let log = receiver.process().log();
        let off: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("player.c:2744"))
            .filter_map(|line| line.split_whitespace().nth(2))
            .collect();
        println!("by its own word it was off by these ms, 8 s each: {}", off.join(" "));
    }
    // Measured: 180 to 230 us; let be, they are up to 4 ms apart, or as close where both happen to lie at one end of
    // their band, which is why the two pairs are not compared. A busy machine blurs it.
    assert!(held < 700.0, "held: p95 {held} us");
}
