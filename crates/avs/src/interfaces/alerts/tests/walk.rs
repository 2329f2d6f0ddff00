//! Alerts at random.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Bench, Disk, files};
use crate::device::DeviceInput;
use crate::signal::{Signal, Wish};

#[derive(Clone, Debug)]
enum Step {
    Set { token: u8, seconds: i64, files: bool, loops: u8 },
    Delete(u8),
    DeleteTwo(u8),
    StopHere,
    Talk,
    Pass(u64),
    Disk(Disk),
    Say,
    Fetched(bool),
    Fail,
    Correct(i64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let disk = prop_oneof![2 => Just(Disk::Takes), 1 => Just(Disk::Refuses), 1 => Just(Disk::Silent)];
    prop_oneof![
        6 => (0..4_u8, -100_i64..100, any::<bool>(), 0..3_u8)
            .prop_map(|(token, seconds, files, loops)| Step::Set { token, seconds, files, loops }),
        1 => (0..4_u8).prop_map(Step::Delete),
        1 => (0..3_u8).prop_map(Step::DeleteTwo),
        1 => Just(Step::StopHere),
        2 => Just(Step::Talk),
        8 => (0..40_000_u64).prop_map(Step::Pass),
        1 => (0..4_000_000_u64).prop_map(Step::Pass),
        2 => disk.prop_map(Step::Disk),
        2 => Just(Step::Say),
        2 => any::<bool>().prop_map(Step::Fetched),
        1 => Just(Step::Fail),
        1 => prop_oneof![-100_i64..100, -4000_i64..4000].prop_map(Step::Correct),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// What holds at every moment is in `Bench::check` and `Bench::heard_of`: one sounds at most, what started stops
    /// once, what was acknowledged is there until it is gone in so many words, also after a restart at any point.
    #[test]
    fn nothing_acknowledged_is_lost_and_what_starts_stops(
        ducking in any::<bool>(), steps in proptest::collection::vec(step(), 1..60)
    ) {
        let mut bench = Bench::new(ducking);
        for step in steps {
            match step {
                Step::Set { token, seconds, files: with_files, loops } => {
                    let mut more = if with_files { files() } else { json!({}) };
                    more["loopCount"] = json!(loops);
                    bench.set(&token.to_string(), seconds, more);
                }
                Step::Delete(token) => {
                    bench.deleted.insert(token.to_string());
                    bench.directive("DeleteAlert", json!({ "token": token.to_string() }));
                }
                Step::DeleteTwo(token) => {
                    let tokens = [token.to_string(), (token + 1).to_string()];
                    bench.deleted.extend(tokens.clone());
                    bench.directive("DeleteAlerts", json!({ "tokens": tokens }));
                }
                Step::StopHere => drop(bench.signal(Signal::Wish(Wish::StopAlert))),
                Step::Talk => drop(bench.talk()),
                Step::Pass(ms) => drop(bench.pass(ms)),
                Step::Disk(disk) => bench.disk = disk,
                Step::Say => {
                    for receipt in std::mem::take(&mut bench.unsaid) {
                        bench.input(DeviceInput::Signal(Signal::Stored(receipt, true)));
                    }
                }
                Step::Fetched(ok) => bench.fetched(ok),
                Step::Fail => bench.fail_a_sound(),
                Step::Correct(seconds) => {
                    bench.corrected += seconds;
                    bench.input(DeviceInput::Timeout);
                }
                Step::Restart => bench.restart(),
            }
        }
        // In the end all of them ring out, and nothing is left of them.
        bench.disk = Disk::Takes;
        for receipt in std::mem::take(&mut bench.unsaid) {
            bench.input(DeviceInput::Signal(Signal::Stored(receipt, true)));
        }
        bench.pass(20_000_000);
        prop_assert!(bench.set.is_empty() && bench.open.is_empty(), "{:?} {:?}", bench.set, bench.open);
        prop_assert!(bench.room.is_empty() && !bench.alert_channel);
        prop_assert_eq!(bench.stored.get("alerts.all").unwrap_or(&Value::Null), &Value::Null);
    }
}
