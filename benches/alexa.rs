//! What a speaker of a hundred costs the hub: linked and idle; playing an AudioPlayer stream of its own; with an alarm set
//! besides; with all alarms ringing at once over the streams.
//!
//! The hub is the program itself in a process of its own; the simulated service, which also serves the media, is in this
//! one, so that neither its memory nor its time is counted. Speakers are `virtual:` ones. Each step watches the same hub
//! for [`WATCH`], and its figures are the whole hub's divided by its speakers; `more` is the difference to the step
//! before. Before a step is watched, its bustle may ebb away; what was to happen is asked of the service, and that
//! nothing faltered of the hub's own metrics. All of it takes 90 s.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on says where")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use antiphon_avs::iso8601;
use antiphon_domain::WallTime;
use serde_json::json;
use support::{Alexa, HubProcess, figure};

/// `cargo bench --bench alexa -- 8` is of so many instead.
const SPEAKERS: usize = 100;
/// While this passes, a step is watched.
const WATCH: Duration = Duration::from_secs(12);
/// Before that: the bustle of connecting, of the first seconds of a stream, of setting, of beginning to ring.
const EBB: Duration = Duration::from_secs(4);
/// From the first SetAlert to the ring: time to set them all, to ebb, to watch, and what alarms prepare beforehand.
const AHEAD: Duration = Duration::from_secs(28);
/// Outlives the run.
const TRACK: &str = "tone-440-240s.mp3";
/// An alarm's file, again and again.
const ASSET: &str = "tone-880-5s.mp3";

fn main() {
    if support::only_tried() {
        return;
    }
    let alexa = Alexa::start();
    alexa.make(TRACK);
    alexa.make(ASSET);
    let asked = std::env::args().find_map(|argument| argument.parse().ok());
    let speakers = asked.unwrap_or(SPEAKERS);
    let all: Vec<_> =
        (0..speakers).map(|number| (format!("SPEAKER{number}"), "virtual:".to_owned())).collect();
    let config = alexa.config("alexa", &all, &[]);
    let ids: Vec<&str> = all.iter().map(|(id, _)| id.as_str()).collect();
    let hub = HubProcess::start(alexa.folder.path(), &config);
    let mut steps = Steps { hub, http: http(&config), speakers, before: None };
    alexa.connected(&ids);
    std::thread::sleep(EBB);
    steps.watch("idle");

    let marks: Vec<u64> = ids.iter().map(|id| alexa.simulator.mark(id)).collect();
    for id in &ids {
        // Music: it plays on, softer, while an alarm rings.
        let stream = json!({
            "url": alexa.simulator.track(TRACK), "token": format!("for {id}"), "offsetInMilliseconds": 0,
            "interruptedBehavior": "ATTENUATE",
        });
        let item = json!({ "audioItemId": id, "stream": stream });
        alexa.send(id, "AudioPlayer", "Play", json!({ "playBehavior": "REPLACE_ALL", "audioItem": item }));
    }
    for (id, mark) in ids.iter().zip(&marks) {
        alexa.event(id, *mark, "AudioPlayer", "PlaybackStarted");
    }
    std::thread::sleep(EBB);
    steps.watch("playing");

    let due = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + AHEAD.as_secs();
    let rings =
        Instant::now() + (UNIX_EPOCH + Duration::from_secs(due)).duration_since(SystemTime::now()).unwrap();
    let time = iso8601::format(WallTime::from_seconds(i64::try_from(due).unwrap()));
    let url = alexa.simulator.track(ASSET);
    for id in &ids {
        let alarm = json!({
            "token": format!("alarm of {id}"), "type": "ALARM", "scheduledTime": time,
            "assets": [{ "assetId": "a", "url": url }], "assetPlayOrder": ["a"],
        });
        alexa.send(id, "Alerts", "SetAlert", alarm);
    }
    for (id, mark) in ids.iter().zip(&marks) {
        alexa.event(id, *mark, "Alerts", "SetAlertSucceeded");
    }
    std::thread::sleep(EBB);
    steps.watch("playing, alarm set");

    // Alarms prepare five seconds ahead.
    assert!(
        rings.saturating_duration_since(Instant::now()) > Duration::from_secs(6),
        "setting took too long"
    );
    std::thread::sleep(rings.saturating_duration_since(Instant::now()));
    for (id, mark) in ids.iter().zip(&marks) {
        alexa.event(id, *mark, "Alerts", "AlertStarted");
    }
    std::thread::sleep(EBB);
    steps.watch("playing, ringing");
    let worst = steps.count("antiphon_actors_alert_start_error_seconds_sum");
    figure("alexa_alarm_start_error_mean", "", 1e3 * worst / speakers as f64, "ms");
    drop(steps);
    alexa.stop();
}

/// Where the hub listens, by its configuration.
fn http(config: &str) -> String {
    let line = config.lines().find_map(|line| line.strip_prefix("listen = "));
    line.unwrap().trim_matches('"').to_owned()
}

/// A hub whose steps are watched.
struct Steps {
    hub: HubProcess,
    http: String,
    speakers: usize,
    /// The step before: its name, CPU-seconds a minute and KiB of a speaker.
    before: Option<(&'static str, f64, f64)>,
}

impl Steps {
    fn watch(&mut self, step: &'static str) {
        let each = self.speakers as f64;
        let began = Instant::now();
        let spent = self.hub.cpu_during(WATCH).as_secs_f64();
        let cpu = spent * 60.0 / began.elapsed().as_secs_f64() / each;
        let memory = self.hub.memory("VmRSS") / each;
        let labels = format!("speakers=\"{}\",step=\"{step}\"", self.speakers);
        figure("alexa_speaker_cpu", &labels, cpu, "cpu-s/minute");
        figure("alexa_speaker_memory", &labels, memory, "KiB");
        figure("alexa_hub_threads", &labels, self.hub.threads(), "threads");
        for (name, metric) in [
            ("alexa_streams", "antiphon_render_feeds_open"),
            ("alexa_sounds", "antiphon_render_sounds_open"),
            ("alexa_late_blocks", "antiphon_render_late_blocks_total"),
            ("alexa_skipped_blocks", "antiphon_render_skipped_blocks_total"),
            ("alexa_stalls", "antiphon_render_stalls_total"),
            ("alexa_late_sounds", "antiphon_render_sounds_late_total"),
        ] {
            figure(name, &labels, self.count(metric), "of all");
        }
        if let Some((from, cpu_then, memory_then)) = self.before {
            let labels = format!("from=\"{from}\",to=\"{step}\"");
            figure("alexa_more_cpu", &labels, cpu - cpu_then, "cpu-s/minute");
            figure("alexa_more_memory", &labels, memory - memory_then, "KiB");
        }
        self.before = Some((step, cpu, memory));
    }

    /// The sum of a metric over its labels.
    fn count(&self, metric: &str) -> f64 {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.http).unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let named = |line: &&str| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' ']));
        page.lines().filter(named).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}
