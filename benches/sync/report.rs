//! The report: a line for each team, ratios to the rival, and everything as JSON.

use std::path::Path;

use serde_json::{Value, json};

use crate::judge::{PairFigures, TeamFigures};
use crate::phase::{Case, SETTLE};
use crate::support::teams::Sender;

/// What such figures can and cannot tell; printed with them.
const LIMITS: &str = "All outputs are columns of one PulseAudio sink with one clock, and players know their delay as \
PulseAudio reports it: the drift and the own delay of separate sound cards are not in these figures, nor the jitter of a \
wireless network. shairport-sync lets 2 ms pass before it corrects itself unless told otherwise; in the mixed group it is told \
0.2 ms. A Sendspin player's output adds a constant that is another after each start: it is taken off its pairs.";

/// Everything measured.
pub struct Report {
    pub seconds: u32,
    pub cases: Vec<Case>,
    pub failed: Vec<String>,
}

impl Case {
    /// Prints a line for each team, and one for the ratio.
    pub fn print(&self) {
        for team in &self.teams {
            let after = team.in_time_after().map_or("never".to_owned(), |s| format!("after {s:.0} s"));
            println!(
                "sync {}, {}: p50 {:.0} p95 {:.0} p99 {:.0} max {:.0} us of {} chirps, drift {:.2} ppm, \
                 {} dropouts, in time {after}",
                self.name,
                team.sender.name(),
                team.quantile(0.5),
                team.quantile(0.95),
                team.quantile(0.99),
                team.quantile(1.0),
                team.pairs.iter().map(|pair| pair.offsets.len()).sum::<usize>(),
                team.drift_ppm(),
                team.dropouts(),
            );
            for pair in team.pairs.iter().filter(|pair| team.pairs.len() > 1 || pair.constant != 0.0) {
                let (a, b) = &pair.names;
                let taken = match pair.constant {
                    0.0 => String::new(),
                    constant => format!(", without a constant {:+.0} us", constant * 1e6),
                };
                println!(
                    "  {a} and {b}: p50 {:.0} p95 {:.0} p99 {:.0} max {:.0} us, median {:+.0} us{taken}",
                    pair.quantile(0.5),
                    pair.quantile(0.95),
                    pair.quantile(0.99),
                    pair.quantile(1.0),
                    pair.median(),
                );
            }
            for member in team.members.iter().filter(|member| member.dropouts > 0) {
                let (name, count, gap) = (&member.name, member.dropouts, member.longest_gap * 1e3);
                println!("  {name}: {count} dropouts, the longest pause {gap:.1} ms");
            }
        }
        if let Some((rival, ratio)) = self.ratio() {
            println!("sync {}: p99 {ratio:.2} times {rival}'s", self.name);
        }
    }

    /// Our p99 over the rival's in the same minutes.
    fn ratio(&self) -> Option<(&'static str, f64)> {
        let ours = self.teams.iter().find(|team| team.sender == Sender::Antiphon)?;
        let rival = self.teams.iter().find(|team| team.sender != Sender::Antiphon)?;
        Some((rival.sender.name(), ours.quantile(0.99) / rival.quantile(0.99)))
    }

    fn json(&self) -> Value {
        let ratio = self.ratio().map(|(rival, ratio)| json!({ "rival": rival, "p99_ratio": ratio }));
        json!({
            "name": self.name,
            "teams": self.teams.iter().map(team).collect::<Vec<Value>>(),
            "against": ratio,
        })
    }
}

impl Report {
    pub fn new(seconds: u32) -> Self {
        Self { seconds, cases: Vec::new(), failed: Vec::new() }
    }

    /// What holds for all of it.
    pub fn print(&self) {
        println!("sync: {} s each, after {SETTLE} s of settling. {LIMITS}", self.seconds);
    }

    pub fn write_json(&self, path: &Path) -> std::io::Result<()> {
        let value = json!({
            "unit": "us",
            "seconds": self.seconds,
            "settling_seconds": SETTLE,
            "limits": LIMITS,
            "cases": self.cases.iter().map(Case::json).collect::<Vec<Value>>(),
            "failed": self.failed,
        });
        std::fs::write(path, serde_json::to_vec_pretty(&value)?)
    }
}

fn team(team: &TeamFigures) -> Value {
    let members = team.members.iter().map(|member| {
        json!({
            "name": member.name,
            "kind": member.make.kind(),
            "dropouts": member.dropouts,
            "longest_pause_us": (member.longest_gap * 1e6).round(),
        })
    });
    json!({
        "sender": team.sender.name(),
        "p50": rounded(team.quantile(0.5)),
        "p95": rounded(team.quantile(0.95)),
        "p99": rounded(team.quantile(0.99)),
        "max": rounded(team.quantile(1.0)),
        "dropouts": team.dropouts(),
        "in_time_after_s": team.in_time_after(),
        "pairs": team.pairs.iter().map(pair).collect::<Vec<Value>>(),
        "members": members.collect::<Vec<Value>>(),
    })
}

fn pair(pair: &PairFigures) -> Value {
    let offsets = pair.offsets.iter().map(|(at, by)| json!([(at * 10.0).round() / 10.0, rounded(by * 1e6)]));
    json!({
        "a": pair.names.0,
        "b": pair.names.1,
        "p50": rounded(pair.quantile(0.5)),
        "p95": rounded(pair.quantile(0.95)),
        "p99": rounded(pair.quantile(0.99)),
        "max": rounded(pair.quantile(1.0)),
        "median": rounded(pair.median()),
        "constant_taken_off": rounded(pair.constant * 1e6),
        "drift_ppm": pair.drift_ppm,
        "in_time_after_s": pair.in_time_after,
        "b_later_by": offsets.collect::<Vec<Value>>(),
    })
}

/// To a tenth; nothing where there is nothing.
fn rounded(value: f64) -> Value {
    if value.is_finite() { json!((value * 10.0).round() / 10.0) } else { Value::Null }
}
