//! An alert beside a conversation: before, while and after it is heard.

use serde_json::json;

use super::{Bench, files};

#[test]
fn an_alert_that_falls_due_in_a_conversation_is_short_until_it_ends() {
    let mut bench = Bench::new(true);
    bench.set("a", 10, json!({ "loopCount": 1 }));
    bench.talk();
    let begun = bench.pass(10_000);
    assert_eq!(begun, ["1 is AlarmShort", "1 on time", "AlertStarted a", "AlertEnteredBackground a"]);
    // Its passes begin ten seconds apart, and are not counted.
    assert_eq!(bench.pass(9_999), ["2 is AlarmShort", "2 on time"]);
    assert_eq!(bench.pass(1), Vec::<String>::new());
    assert_eq!(bench.pass(30_000).len(), 6);
    bench.pass(1_000);
    let front = bench.talk();
    assert_eq!(front, ["5 stops", "6 is Alarm", "6 now", "AlertEnteredForeground a"]);
    assert_eq!(bench.pass(3_000), ["AlertStopped a"]);
    assert!(!bench.alert_channel);
}

#[test]
fn an_alert_that_is_interrupted_waits_ten_seconds_and_begins_anew_afterwards() {
    let mut bench = Bench::new(true);
    bench.set("a", 10, files());
    bench.fetched(true);
    assert_eq!(bench.pass(10_000)[0], "1 is a file");
    assert_eq!(bench.pass(4_000).len(), 0, "both passes are ordered already");
    let behind = bench.talk();
    assert_eq!(behind, ["2 stops", "3 is a file", "3 in 10 s", "AlertEnteredBackground a"]);
    bench.pass(11_000);
    let front = bench.talk();
    assert_eq!(front, ["3 stops", "4 is a file", "4 now", "AlertEnteredForeground a"]);
    // The full count again.
    assert_eq!(bench.pass(5_999), ["5 is a file", "5 next"]);
    assert_eq!(bench.pass(1), ["AlertStopped a"]);
}

#[test]
fn a_short_form_that_cannot_be_played_is_the_built_in_one() {
    let mut bench = Bench::new(true);
    bench.set("a", 10, files());
    bench.fetched(true);
    bench.talk();
    assert_eq!(bench.pass(11_000)[0], "1 is a file");
    bench.log.clear();
    bench.fail_a_sound();
    assert_eq!(bench.log, ["2 is AlarmShort", "2 now"]);
    // In front its own files are played.
    assert_eq!(bench.talk()[1], "3 is a file");
}

#[test]
fn where_nothing_is_ducked_an_alert_is_silent_behind_a_conversation() {
    let mut bench = Bench::new(false);
    bench.set("a", 10, json!({}));
    bench.talk();
    let begun = bench.pass(10_000);
    assert_eq!(
        begun,
        ["1 is AlarmShort", "1 on time", "1 stops", "AlertStarted a", "AlertEnteredBackground a"]
    );
    assert!(bench.pass(60_000).is_empty());
    assert_eq!(bench.talk()[..2], ["2 is Alarm", "2 now"]);
    bench.pass(1_000);
    assert_eq!(bench.talk(), ["3 stops", "2 stops", "AlertEnteredBackground a"]);
}

#[test]
fn a_conversation_that_begins_in_the_last_moment_is_heeded() {
    let mut bench = Bench::new(true);
    bench.set("a", 10, json!({}));
    // Prepared, then ordered, then claimed: each time before it is due.
    for ms in [6_000, 3_700, 250] {
        bench.pass(ms);
        bench.talk();
        bench.talk();
    }
    bench.talk();
    bench.pass(49);
    let begun = bench.pass(1);
    assert_eq!(begun, ["AlertStarted a", "AlertEnteredBackground a"]);
}
