//! Ordinary events: starts one after another, limits, repeats, outcomes.

use std::time::Duration;

use antiphon_avs::message::Retry;
use antiphon_avs::session::{EventOutcome, Input, Secret, Stack};

use crate::bench::{Bench, config, event};

#[test]
fn the_next_event_starts_with_the_headers_of_the_one_before() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    assert_eq!(bench.give(Input::Post(event("A", Retry::BeforeHeaders))), ["ask A"]);
    assert_eq!(bench.give(Input::Post(event("B", Retry::BeforeHeaders))), [""; 0]);
    let a = bench.stream("A");
    let content_type = Some("multipart/mixed; boundary=\"BB\"".to_owned());
    let words = bench.give(Input::Headers { stream: a, status: 200, content_type });
    assert_eq!(words, ["outcome A", "ask B"]);
    // Bodies overlap: A still speaks while B waits for its headers.
    assert_eq!(bench.directive(a, "X", "Y", "{}"), ["directive Y"]);
    assert_eq!(bench.answer("B", 204), ["outcome B"]);
    assert_eq!(bench.give(Input::End(a)), ["stream ended"]);
    assert!(bench.outcomes.contains(&("A".into(), EventOutcome::Accepted { status: 200 })));
    assert!(bench.outcomes.contains(&("B".into(), EventOutcome::Accepted { status: 204 })));
}

#[test]
fn the_servers_stream_limit_wins_and_leaves_room_for_a_ping() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    let conn = bench.conn();
    bench.give(Input::StreamLimit(conn, 4));
    for name in ["A", "B", "C"] {
        bench.give(Input::Post(event(name, Retry::BeforeHeaders)));
        if name != "C" {
            bench.answer(name, 200);
        }
    }
    // Downchannel, A and B are open; the fourth place is the ping's.
    assert!(bench.asked.iter().all(|(_, _, name)| name != "C"));
    let a = bench.stream("A");
    assert!(bench.give(Input::End(a)).contains(&"ask C".to_owned()));
}

#[test]
fn events_that_died_before_their_headers_are_repeated_as_they_may_be() {
    for (retry, again) in [(Retry::Never, false), (Retry::BeforeHeaders, true), (Retry::UntilAccepted, true)]
    {
        let mut bench = Bench::connected(config(Stack::Legacy));
        bench.give(Input::Post(event("A", retry)));
        let stream = bench.stream("A");
        let words = bench.give(Input::Reset { stream, unprocessed: true });
        assert_eq!(words == ["ask A"], again, "{retry:?}: {words:?}");
        assert_eq!(bench.outcomes.contains(&("A".into(), EventOutcome::Lost)), !again);
    }
}

#[test]
fn repeats_are_bounded_unless_the_event_must_arrive() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    bench.give(Input::Post(event("A", Retry::BeforeHeaders)));
    bench.give(Input::Post(event("B", Retry::UntilAccepted)));
    for _ in 0..200 {
        if let Some((_, stream, _)) = bench.asked.pop().filter(|(_, _, name)| name == "A" || name == "B") {
            bench.give(Input::Reset { stream, unprocessed: false });
        }
        let conn = bench.conn();
        bench.give(Input::Pong(conn));
        bench.pass(Duration::from_secs(2));
    }
    // B is tried to the end of time, A was tried as often as it may be.
    assert_eq!(bench.outcomes, [("A".into(), EventOutcome::Lost)]);
}

#[test]
fn statuses_have_their_consequences() {
    for (status, retry, again) in [
        (400, Retry::UntilAccepted, false),
        (415, Retry::UntilAccepted, false),
        (500, Retry::BeforeHeaders, false),
        (500, Retry::UntilAccepted, true),
        (503, Retry::UntilAccepted, true),
        (429, Retry::BeforeHeaders, true),
        (429, Retry::Never, false),
    ] {
        let mut bench = Bench::connected(config(Stack::Legacy));
        bench.give(Input::Post(event("A", retry)));
        let mut words = bench.answer("A", status);
        assert!(!words.contains(&"ask A".to_owned()), "{status}: repeated without a delay");
        words.extend(bench.pass(Duration::from_secs(2)));
        assert_eq!(words.contains(&"ask A".to_owned()), again, "{status} {retry:?}");
        let refused = bench
            .outcomes
            .iter()
            .any(|(_, o)| matches!(o, EventOutcome::Refused { status: s, .. } if *s == status));
        assert_eq!(refused, !again);
    }
}

#[test]
fn throttling_holds_every_event_back() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    bench.give(Input::Post(event("A", Retry::BeforeHeaders)));
    bench.answer("A", 429);
    assert_eq!(bench.give(Input::Post(event("B", Retry::BeforeHeaders))), [""; 0]);
    assert_eq!(bench.pass(Duration::from_millis(600)), [""; 0]);
    assert_eq!(bench.pass(Duration::from_secs(1)), ["ask A"]);
    // Throttled again: longer this time.
    bench.answer("A", 429);
    assert_eq!(bench.pass(Duration::from_millis(1300)), [""; 0]);
    let words = bench.pass(Duration::from_secs(2));
    assert_eq!(words.first().map(String::as_str), Some("ask A"));
}

#[test]
fn an_exception_is_told_with_its_code() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    bench.give(Input::Post(event("A", Retry::BeforeHeaders)));
    let stream = bench.stream("A");
    bench.give(Input::Headers { stream, status: 400, content_type: Some("application/json".into()) });
    let body = br#"{"header":{"namespace":"System","name":"Exception","messageId":"1"},"payload":{"code":"INVALID_REQUEST_EXCEPTION","description":null}}"#;
    for piece in body.chunks(7) {
        bench.give(Input::Data { stream, bytes: piece.to_vec().into() });
    }
    bench.give(Input::End(stream));
    let expected = EventOutcome::Refused {
        status: 400,
        code: "INVALID_REQUEST_EXCEPTION".into(),
        description: String::new(),
    };
    assert_eq!(bench.outcomes.last(), Some(&("A".into(), expected)));
}

#[test]
fn a_refused_token_is_reported_once_and_the_link_is_renewed_with_the_next() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    bench.give(Input::Post(event("A", Retry::BeforeHeaders)));
    bench.give(Input::Post(event("B", Retry::BeforeHeaders)));
    let words = bench.answer("A", 403);
    assert_eq!(words, ["refused one"]);
    assert_eq!(bench.pass(Duration::from_millis(10)), [""; 0]);
    assert_eq!(bench.give(Input::Token(Secret::new("two"))), ["connect https://gateway.example"]);
    bench.open();
    assert!(bench.asked.iter().any(|(_, _, name)| name == "A"));
    bench.answer("A", 204);
    bench.answer("B", 204);
    assert_eq!(bench.outcomes.len(), 2);
}

#[test]
fn the_queue_is_bounded_and_drops_what_may_be_lost() {
    let mut bench = Bench::new(config(Stack::Legacy));
    bench.give(Input::Post(event("Keep", Retry::UntilAccepted)));
    for number in 0..20 {
        bench.give(Input::Post(event(&format!("E{number}"), Retry::BeforeHeaders)));
    }
    assert_eq!(bench.outcomes.len(), 13);
    assert!(bench.outcomes.iter().all(|(name, o)| name != "Keep" && *o == EventOutcome::QueueFull));
    bench.give(Input::Wake);
    bench.pass(Duration::from_secs(61));
    let old = bench.outcomes.iter().filter(|(_, o)| *o == EventOutcome::TooOld).count();
    assert_eq!(old, 7);
}

#[test]
fn an_event_without_progress_is_aborted_and_the_connection_tested() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    bench.give(Input::Post(event("A", Retry::BeforeHeaders)));
    let conn = bench.conn();
    let mut words = Vec::new();
    for _ in 0..31 {
        words.extend(bench.pass(Duration::from_secs(1)));
        bench.give(Input::Pong(conn));
    }
    assert!(words.contains(&"cancel".to_owned()), "{words:?}");
    assert!(words.contains(&"ask /ping".to_owned()), "{words:?}");
    assert!(!words.contains(&"ask A".to_owned()) || words.iter().filter(|w| *w == "ask A").count() == 1);
    assert_eq!(bench.answer("/ping", 204), [""; 0]);
}

#[test]
fn a_stream_held_back_by_us_is_not_aborted() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    bench.give(Input::Post(event("A", Retry::BeforeHeaders)));
    bench.answer("A", 200);
    let stream = bench.stream("A");
    let conn = bench.conn();
    for _ in 0..100 {
        let words = bench.pass(Duration::from_secs(1));
        assert!(!words.contains(&"cancel".to_owned()));
        bench.give(Input::Pong(conn));
        bench.give(Input::Busy(stream));
    }
}
