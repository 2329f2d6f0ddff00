//! Loss, backoff, pings, renewal with overlap.

use std::time::Duration;

use antiphon_avs::message::{Event, Retry};
use antiphon_avs::session::{EventOutcome, Input, Secret, Stack, State, WaitReason};

use serde_json::json;

use crate::bench::{Bench, GATEWAY, config, event};

#[test]
fn delays_follow_the_table_for_ever() {
    let mut bench = Bench::new(config(Stack::Modern));
    bench.give(Input::Token(Secret::new("one")));
    for delay in [250, 1000, 3000, 5000, 10_000, 20_000, 20_000, 20_000] {
        let conn = bench.conn();
        assert_eq!(bench.give(Input::Closed(conn)), [""; 0]);
        assert_eq!(bench.pass(Duration::from_millis(delay - 1)), [""; 0]);
        assert_eq!(bench.pass(Duration::from_millis(1)), [format!("connect {GATEWAY}")], "{delay}");
    }
}

#[test]
fn a_wait_is_cut_short_by_a_token_or_a_person() {
    for input in [Input::Hurry, Input::Token(Secret::new("two"))] {
        let mut bench = Bench::new(config(Stack::Modern));
        bench.give(Input::Token(Secret::new("one")));
        for _ in 0..6 {
            let conn = bench.conn();
            bench.give(Input::Closed(conn));
            bench.give(Input::Hurry);
        }
        let conn = bench.conn();
        bench.give(Input::Closed(conn));
        assert!(matches!(bench.state, Some(State::Waiting(WaitReason::Unreachable, _))));
        assert_eq!(bench.give(input), [format!("connect {GATEWAY}")]);
    }
}

#[test]
fn refused_tokens_in_a_row_do_not_circle() {
    let mut bench = Bench::new(config(Stack::Modern));
    bench.give(Input::Token(Secret::new("t")));
    let mut connects = 0;
    for _ in 0..100 {
        if bench.state.is_some_and(|s| matches!(s, State::Connecting(_))) {
            connects += 1;
            let conn = bench.conn();
            bench.give(Input::Connected(conn));
            bench.answer("/v20160207/directives", 403);
        }
        // A fresh token is always there at once.
        bench.give(Input::Token(Secret::new("t")));
        bench.pass(Duration::from_millis(100));
    }
    assert!((3..=7).contains(&connects), "{connects} attempts in 10 s");
}

#[test]
fn a_connection_that_hangs_is_given_up() {
    let mut bench = Bench::new(config(Stack::Modern));
    bench.give(Input::Token(Secret::new("one")));
    assert_eq!(bench.pass(Duration::from_secs(59)), [""; 0]);
    let words = bench.pass(Duration::from_secs(2));
    assert_eq!(words, ["close 1", "connect https://gateway.example"]);
    let conn = bench.conn();
    bench.give(Input::Connected(conn));
    let words = bench.pass(Duration::from_secs(15));
    assert_eq!(words[..2], ["liveness", "close 2"]);
}

#[test]
fn a_silent_connection_is_dead_after_fourteen_seconds() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    let words = bench.pass(Duration::from_millis(5100));
    assert_eq!(words, ["liveness"]);
    let words = bench.pass(Duration::from_millis(8800));
    assert_eq!(words, [""; 0]);
    // It had lasted: the next attempt comes at once.
    let words = bench.pass(Duration::from_millis(200));
    assert_eq!(words, ["close 1", "stream ended", "connect https://gateway.example"]);
}

#[test]
fn bytes_are_a_sign_of_life() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    let downchannel = bench.stream("/v20160207/directives");
    for _ in 0..20 {
        assert_eq!(bench.pass(Duration::from_secs(4)), [""; 0]);
        bench.give(Input::Data { stream: downchannel, bytes: b"--BB\r\n".to_vec().into() });
    }
}

#[test]
fn ping_after_five_idle_minutes() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    let conn = bench.conn();
    let pass = |bench: &mut Bench, seconds: u64| {
        let mut words = Vec::new();
        for _ in 0..seconds {
            words.extend(bench.pass(Duration::from_secs(1)));
            bench.give(Input::Pong(conn));
        }
        words.retain(|w| w != "liveness");
        words
    };
    assert_eq!(pass(&mut bench, 298), [""; 0]);
    assert_eq!(pass(&mut bench, 4), ["ask /ping"]);
    bench.answer("/ping", 204);
    assert_eq!(pass(&mut bench, 298), [""; 0]);
    assert_eq!(pass(&mut bench, 4), ["ask /ping"]);
    assert_eq!(pass(&mut bench, 25), [""; 0]);
    assert_eq!(pass(&mut bench, 6), ["close 1", "stream ended", "connect https://gateway.example"]);
}

#[test]
fn renewal_overlaps_and_drains() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    let old = bench.conn();
    let downchannel = bench.stream("/v20160207/directives");
    bench.pass(Duration::from_secs(12));
    bench.give(Input::Pong(old));
    bench.give(Input::Post(event("Slow", Retry::BeforeHeaders)));
    let slow = bench.stream("Slow");
    let content_type = Some("multipart/mixed; boundary=BB".to_owned());
    bench.give(Input::Headers { stream: slow, status: 200, content_type });
    assert_eq!(bench.give(Input::GoAway(old)), [format!("connect {GATEWAY}")]);
    // Directives still come on the old downchannel and on the answer that is under way; new events wait.
    assert_eq!(bench.give(Input::Post(event("Next", Retry::BeforeHeaders))), [""; 0]);
    assert_eq!(bench.directive(downchannel, "X", "Late", "{}"), ["directive Late"]);
    assert_eq!(bench.directive(slow, "X", "Later", "{}"), ["directive Later"]);
    bench.open();
    assert!(bench.asked.iter().any(|(conn, _, name)| name == "Next" && *conn != old));
    bench.answer("Next", 204);
    let new = bench.conn();
    let pass = |bench: &mut Bench, seconds: u64| {
        let mut words = Vec::new();
        for _ in 0..seconds {
            words.extend(bench.pass(Duration::from_secs(1)));
            bench.give(Input::Pong(old));
            bench.give(Input::Pong(new));
        }
        words.retain(|w| w != "liveness");
        words
    };
    assert_eq!(pass(&mut bench, 6), [""; 0], "the old one still has an answer to bring");
    let words = bench.give(Input::End(slow));
    assert_eq!(words, ["stream ended", "close 1", "stream ended"]);
}

#[test]
fn an_ended_downchannel_is_replaced_and_its_connection_closed_when_it_has_nothing_more() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    bench.pass(Duration::from_secs(4));
    let conn = bench.conn();
    bench.give(Input::Pong(conn));
    let downchannel = bench.stream("/v20160207/directives");
    // It had not lasted ten seconds: the successor waits the table's first delay.
    assert_eq!(bench.give(Input::End(downchannel)), ["stream ended"]);
    assert!(matches!(bench.state, Some(State::Waiting(WaitReason::Unstable, _))));
    assert!(bench.session.is_serving(), "nothing is wrong with it yet");
    assert_eq!(bench.pass(Duration::from_millis(251)), [format!("connect {GATEWAY}")]);
    let conn = bench.conn();
    bench.give(Input::Connected(conn));
    bench.answer("/v20160207/directives", 200);
    let synchronize = Event::new("System", "SynchronizeState", json!({}));
    bench.give(Input::Synchronize(synchronize));
    assert_eq!(bench.answer("SynchronizeState", 204), ["close 1"]);
}

#[test]
fn an_old_connection_without_downchannel_does_not_outlive_its_time_to_linger() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    let downchannel = bench.stream("/v20160207/directives");
    bench.give(Input::End(downchannel));
    assert_eq!(bench.pass(Duration::from_millis(251)), [format!("connect {GATEWAY}")]);
    // The successor hangs.
    assert_eq!(bench.pass(Duration::from_secs(5)), ["liveness", "close 1"]);
    assert!(!bench.session.is_serving());
}

#[test]
fn what_a_dead_connection_took_along_is_repeated_or_told() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    bench.pass(Duration::from_secs(4));
    bench.give(Input::Post(event("Again", Retry::BeforeHeaders)));
    bench.give(Input::Post(event("Voice", Retry::Never)));
    let conn = bench.conn();
    let words = bench.give(Input::Closed(conn));
    // Voice has not left; it is stale at once without a connection.
    assert_eq!(words, ["stream ended", "outcome Voice"]);
    assert_eq!(bench.outcomes, [("Voice".into(), EventOutcome::Lost)]);
    bench.pass(Duration::from_millis(300));
    bench.open();
    bench.answer("Again", 204);
    assert_eq!(bench.outcomes.last(), Some(&("Again".into(), EventOutcome::Accepted { status: 204 })));
}

#[test]
fn without_a_token_nothing_is_sent_but_the_connection_stays() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    bench.give(Input::NoToken);
    assert_eq!(bench.give(Input::Post(event("A", Retry::BeforeHeaders))), [""; 0]);
    let downchannel = bench.stream("/v20160207/directives");
    assert_eq!(bench.directive(downchannel, "X", "Y", "{}"), ["directive Y"]);
    assert_eq!(bench.give(Input::Token(Secret::new("two"))), ["ask A"]);
}

#[test]
fn shutdown_says_what_is_lost_and_then_nothing() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    bench.give(Input::Post(event("A", Retry::UntilAccepted)));
    bench.give(Input::Post(event("B", Retry::UntilAccepted)));
    let words = bench.give(Input::Shutdown);
    assert_eq!(words, ["close 1", "outcome A", "outcome B"]);
    assert_eq!(bench.state, Some(State::Closed));
    assert_eq!(bench.give(Input::Token(Secret::new("x"))), [""; 0]);
    assert_eq!(bench.wake, None);
}
