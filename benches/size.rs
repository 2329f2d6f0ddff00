//! What the hub costs: until it is ready, idle, with hundreds of linked speakers, with eight rooms playing.
//!
//! The hub is the program itself in a process of its own; the simulated service is in this one, so that its memory and
//! time are not counted. Memory is what the system calls resident (VmRSS, and RssAnon where stated); processor time
//! is that of all its threads, in ticks of 10 ms. Linked speakers are `virtual:` ones with nothing to
//! play: an actor, a device machine and a TLS connection with its downchannel each.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on says where")]

mod support;

use std::time::Duration;

use support::{Alexa, HubProcess, figure};

/// While this passes, idle hubs are watched.
const WATCH: Duration = Duration::from_secs(15);
const ROOMS: usize = 8;
const TRACK: &str = "tone-440-120s.mp3";

fn main() {
    if support::only_tried() {
        return;
    }
    start_up();
    idle();
    rooms();
}

fn speakers(count: usize) -> Vec<(String, String)> {
    (0..count).map(|number| (format!("SPEAKER{number}"), "virtual:".to_owned())).collect()
}

fn start_up() {
    let alexa = Alexa::start();
    for count in [0, ROOMS] {
        let config = alexa.config(&format!("start{count}"), &speakers(count), &[]);
        let mut taken = Vec::new();
        for _ in 0..20 {
            taken.push(HubProcess::start(alexa.folder.path(), &config).ready_after);
        }
        support::percentiles("start_to_ready", &format!("speakers=\"{count}\""), taken);
    }
    alexa.stop();
}

fn idle() {
    let mut before: Option<(usize, f64, Duration)> = None;
    for count in [0, 200, 400] {
        let alexa = Alexa::start();
        let all = speakers(count);
        let hub = HubProcess::start(alexa.folder.path(), &alexa.config(&format!("idle{count}"), &all, &[]));
        alexa.connected(all.iter().map(|(id, _)| id));
        // The bustle of connecting ebbs away.
        std::thread::sleep(Duration::from_secs(5));
        let cpu = hub.cpu_during(WATCH);
        let memory = hub.memory("VmRSS");
        let labels = format!("speakers=\"{count}\"");
        figure("hub_idle_memory", &labels, memory, "KiB");
        figure("hub_idle_cpu", &labels, 100.0 * cpu.as_secs_f64() / WATCH.as_secs_f64(), "% of a core");
        if let Some((fewer, memory_then, cpu_then)) = before {
            let more = (count - fewer) as f64;
            let labels = format!("from=\"{fewer}\",to=\"{count}\"");
            figure("one_more_idle_speaker_memory", &labels, (memory - memory_then) / more, "KiB");
            let minute = 60.0 / WATCH.as_secs_f64();
            let each = (cpu.as_secs_f64() - cpu_then.as_secs_f64()) / more;
            figure("one_more_idle_speaker_cpu", &labels, 1e3 * minute * each, "cpu-ms/minute");
        }
        before = Some((count, memory, cpu));
        drop(hub);
        alexa.stop();
    }
}

fn rooms() {
    let alexa = Alexa::start();
    let all = speakers(ROOMS);
    let hub = HubProcess::start(alexa.folder.path(), &alexa.config("rooms", &all, &[]));
    alexa.connected(all.iter().map(|(id, _)| id));
    alexa.make(TRACK);
    for (id, _) in &all {
        let mark = alexa.simulator.mark(id);
        alexa.play(id, TRACK, &format!("for {id}"));
        alexa.event(id, mark, "AudioPlayer", "PlaybackStarted");
    }
    let cpu = hub.cpu_during(WATCH);
    let labels = format!("rooms=\"{ROOMS}\",media=\"mp3\"");
    figure("hub_playing_memory", &labels, hub.memory("VmRSS"), "KiB");
    figure("hub_playing_memory_of_its_own", &labels, hub.memory("RssAnon"), "KiB");
    figure("hub_playing_cpu", &labels, 100.0 * cpu.as_secs_f64() / WATCH.as_secs_f64(), "% of a core");
    drop(hub);
    alexa.stop();
}
