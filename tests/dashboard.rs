//! The dashboard tells the truth: every metric it names is registered, and a real Prometheus that reads a running hub
//! has an answer to every expression.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use support::house::House;
use support::lab::rack::Rack;
use support::lab::receiver::PORT;
use support::lab::{Lab, error::LabError, missing_programs};
use support::or_skip;
use support::patience::wait_for;

const PROMETHEUS: &str = "http://127.0.0.1:9090";

/// (panel, expression) of everything that the dashboards ask, with Grafana's variables filled in.
fn expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("grafana/dashboards").expect("grafana/dashboards") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("readable");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        for panel in dashboard["panels"].as_array().expect("panels") {
            let title = panel["title"].as_str().expect("a title");
            for target in panel["targets"].as_array().unwrap_or(&Vec::new()) {
                let expression = target["expr"].as_str().expect("an expression");
                let filled = expression.replace("$__rate_interval", "30s").replace("$speaker", ".*");
                assert!(!filled.contains('$'), "{title}: unknown variable in {expression}");
                found.push((title.to_owned(), filled));
            }
        }
    }
    assert!(found.len() > 20, "the dashboards ask only {} things", found.len());
    found
}

/// The metrics of ours that an expression names, without what Prometheus adds to histograms.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for word in expression.split(|c: char| !is_part(c)) {
        if word.starts_with("antiphon_") {
            let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            names.insert(name.unwrap_or(word).to_owned());
        }
    }
    names
}

/// The text of every `metrics.rs` of ours.
fn registrations(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            registrations(&path, text);
        } else if path.file_name().is_some_and(|name| name == "metrics.rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("readable"));
        }
    }
}

#[test]
fn every_metric_of_the_dashboard_is_registered() {
    let mut text = String::new();
    for folder in ["src", "actors/src", "crates"] {
        registrations(Path::new(folder), &mut text);
    }
    for (panel, expression) in expressions() {
        for name in metrics_in(&expression) {
            let whole = text.contains(&format!("\"{name}\""));
            // AirPlay's are put together from their ends.
            let end = name
                .strip_prefix("antiphon_airplay_")
                .is_some_and(|end| text.contains(&format!("\"{end}\"")));
            assert!(whole || end, "{panel}: nobody registers {name}");
        }
    }
}

#[test]
fn lab_every_expression_of_the_dashboard_has_an_answer() {
    let missing = missing_programs(&["prometheus", "curl"]);
    let prometheus = if missing.is_empty() { Ok(()) } else { Err(LabError::Missing(missing)) };
    let Some(()) = or_skip(prometheus) else { return };
    let Some(lab) = or_skip(Lab::new(&["hub", "r1"])) else { return };
    let Some(rack) = or_skip(Rack::new(&lab, 1)) else { return };
    let Some(_kitchen) = or_skip(lab.receiver("r1", "Kitchen", &rack, 1)) else { return };
    let more = format!(
        "[discovery]\ninterfaces = [\"eth0\"]\n\
         [[speakers]]\nid = \"kitchen\"\nendpoint = \"airplay://{}:{PORT}\"\nrefresh_token = \"Atzr|kitchen\"\n\
         serial_number = \"kitchen\"\n\
         [[speakers]]\nid = \"sofa\"\nendpoint = \"virtual:\"\nrefresh_token = \"Atzr|sofa\"\n\
         serial_number = \"sofa\"\n\
         [[groups]]\nid = \"downstairs\"\nspeakers = [\"kitchen\", \"sofa\"]\n",
        lab.address("r1")
    );
    let house = House::start(&lab, "hub", &more).expect("a house");

    // As people run it, only more often.
    let text = std::fs::read_to_string("deploy/prometheus.yml").expect("deploy/prometheus.yml");
    let often =
        text.replace("scrape_interval: 15s", "scrape_interval: 1s").replace("timeout: 5s", "timeout: 1s");
    assert_ne!(text, often);
    let config = lab.folder().join("prometheus.yml");
    std::fs::write(&config, often).expect("write");
    let mut command = lab.command("hub", "prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", lab.folder().join("tsdb").display()));
    command.arg("--web.listen-address=127.0.0.1:9090");
    let mut prometheus = lab.spawn("prometheus", command).expect("prometheus");
    prometheus
        .ready(Duration::from_secs(30), || {
            lab.get("hub", &format!("{PROMETHEUS}/-/ready"))
                .is_ok_and(|(status, _)| status == 200)
                .then_some(())
        })
        .expect("prometheus answers");

    for dsn in ["kitchen", "sofa"] {
        house.wait(house.simulator().wait_connected(dsn, Duration::from_secs(20))).expect("linked");
    }
    let url = house.simulator().track("demo");
    house.antiphon(&lab, &["play", "downstairs", &url]).expect("play");
    let mut open = expressions();
    let mut turn = 0;
    let all = wait_for(Duration::from_secs(90), || {
        // Somebody keeps talking to the house, so that rates have something to show.
        turn += 1;
        let sentence = format!("set volume to {}", 3 + turn % 4);
        house.wait(house.simulator().say("kitchen", &sentence)).expect("said");
        open.retain(|(panel, expression)| {
            answers(&lab, panel, expression) == 0 && !may_be_absent(expression)
        });
        open.is_empty().then_some(())
    });
    assert!(
        all.is_some(),
        "no answer to {open:#?}\n{}",
        lab.get("hub", "http://127.0.0.1:8780/metrics").expect("metrics").1
    );
}

/// Whether it shows what only some protocols tell: there is nothing where none of the speakers' does.
fn may_be_absent(expression: &str) -> bool {
    let told = ["error", "offset", "uncertainty", "clock_uncertainty", "drift", "corrections"];
    told.iter().any(|what| expression.contains(&format!("antiphon_sync_{what}_")))
}

/// How many samples Prometheus answers to an expression; one that it refuses is a failure at once.
fn answers(lab: &Lab, panel: &str, expression: &str) -> usize {
    let query = format!("query={expression}");
    let url = format!("{PROMETHEUS}/api/v1/query");
    let (status, body) = lab.curl("hub", &["--data-urlencode", &query, &url]).expect("prometheus answers");
    assert_eq!(status, 200, "{panel}: {expression}: {body}");
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(answer["status"], "success", "{panel}: {expression}: {body}");
    answer["data"]["result"].as_array().map_or(0, Vec::len)
}
