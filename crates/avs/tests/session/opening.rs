//! The opening order on both stacks, and what stands against it.

use std::time::Duration;

use antiphon_avs::message::{Event, Retry};
use antiphon_avs::session::{DeclareFailed, Input, Secret, Stack, State, WaitReason};
use bytes::Bytes;
use serde_json::json;

use crate::bench::{Bench, GATEWAY, config, event};

fn synchronize() -> Event {
    Event::new("System", "SynchronizeState", json!({}))
}

#[test]
fn modern_order() {
    let mut bench = Bench::new(config(Stack::Modern));
    assert_eq!(bench.give(Input::Post(event("Early", Retry::BeforeHeaders))), [""; 0]);
    assert_eq!(bench.give(Input::Token(Secret::new("one"))), [format!("connect {GATEWAY}")]);
    let conn = bench.conn();
    assert_eq!(bench.give(Input::Connected(conn)), ["ask /v20160207/directives"]);
    assert_eq!(bench.answer("/v20160207/directives", 200), ["ask VerifyGateway"]);
    assert_eq!(bench.answer("VerifyGateway", 204), ["ask AddOrUpdateReport"]);
    assert_eq!(bench.answer("AddOrUpdateReport", 202), [""; 0]);
    let downchannel = bench.stream("/v20160207/directives");
    // Another's confirmation means nothing, and is not passed on.
    assert_eq!(bench.directive(downchannel, "Alexa", "EventProcessed", "{}"), [""; 0]);
    assert_eq!(bench.pass(Duration::from_millis(1900)), [""; 0]);
    // Without ours within 2 s the report is repeated after about a second.
    assert_eq!(bench.pass(Duration::from_secs(2)), ["ask AddOrUpdateReport"]);
}

/// The correlation token of the last report.
fn processed(bench: &mut Bench, body: &str) -> Vec<String> {
    let token =
        body.split("eventCorrelationToken\":\"").nth(1).and_then(|t| t.split('"').next()).expect("a token");
    let text = format!(
        "{{\"directive\":{{\"header\":{{\"namespace\":\"Alexa\",\"name\":\"EventProcessed\",\"messageId\":\"m\",\
         \"eventCorrelationToken\":\"{token}\"}},\"payload\":{{}}}}}}"
    );
    let downchannel = bench.stream("/v20160207/directives");
    bench.say(downchannel, &text)
}

#[test]
fn a_confirmed_report_leads_to_synchronisation_and_is_not_repeated() {
    use antiphon_avs::session::Output;
    let mut bench = Bench::new(config(Stack::Modern));
    bench.give(Input::Token(Secret::new("one")));
    let conn = bench.conn();
    bench.give(Input::Connected(conn));
    bench.answer("/v20160207/directives", 200);
    let verify = bench.stream("VerifyGateway");
    bench.session.handle_input(Input::Headers { stream: verify, status: 204, content_type: None }, bench.now);
    let mut body = String::new();
    loop {
        match bench.session.poll_output() {
            Output::Request(conn, stream, request) => {
                let (_, bytes) = request.body.expect("a report");
                body = String::from_utf8_lossy(&bytes).into_owned();
                bench.asked.push((conn, stream, "AddOrUpdateReport".into()));
            }
            Output::Wait(_) => break,
            _ => {}
        }
    }
    bench.give(Input::End(verify));
    assert!(body.contains("\"token\":\"one\"") && body.contains("client::product::serial"));
    assert!(body.contains("\"payloadVersion\":\"3\""));
    // The confirmation may overtake the 202.
    assert_eq!(processed(&mut bench, &body), [""; 0]);
    assert_eq!(bench.answer("AddOrUpdateReport", 202), ["want state"]);
    assert_eq!(bench.give(Input::Synchronize(synchronize())), ["ask SynchronizeState"]);
    bench.give(Input::Post(event("Ordinary", Retry::BeforeHeaders)));
    assert_eq!(bench.answer("SynchronizeState", 204), ["ask Ordinary"]);
    // The next connection needs neither verification nor report.
    let downchannel = bench.stream("/v20160207/directives");
    bench.pass(Duration::from_secs(12));
    bench.give(Input::Pong(conn));
    let words = bench.give(Input::End(downchannel));
    assert!(words.contains(&format!("connect {GATEWAY}")), "{words:?}");
    let conn = bench.conn();
    bench.give(Input::Connected(conn));
    assert_eq!(bench.answer("/v20160207/directives", 200), ["want state"]);
}

#[test]
fn legacy_declares_before_it_connects() {
    let mut bench = Bench::new(config(Stack::Legacy));
    assert_eq!(bench.give(Input::Token(Secret::new("one"))), ["declare"]);
    assert_eq!(bench.state, Some(State::Declaring));
    assert_eq!(bench.give(Input::Declared(Err(DeclareFailed::Retry))), [""; 0]);
    assert!(matches!(bench.state, Some(State::Waiting(WaitReason::NotDeclared, _))));
    assert_eq!(bench.pass(Duration::from_millis(1600)), ["declare"]);
    assert_eq!(bench.give(Input::Declared(Err(DeclareFailed::Unauthorized))), ["refused one"]);
    assert_eq!(bench.pass(Duration::from_secs(60)), [""; 0]);
    assert_eq!(bench.give(Input::Token(Secret::new("two"))), ["declare"]);
    assert_eq!(bench.give(Input::Declared(Ok(()))), [format!("connect {GATEWAY}")]);
    bench.open();
}

#[test]
fn nothing_but_a_200_opens_the_downchannel() {
    for status in [204, 302, 400, 429, 500, 503] {
        let mut bench = Bench::new(config(Stack::Modern));
        bench.give(Input::Token(Secret::new("one")));
        let conn = bench.conn();
        bench.give(Input::Connected(conn));
        let words = bench.answer("/v20160207/directives", status);
        assert_eq!(words, ["close 1"], "{status}");
        assert!(matches!(bench.state, Some(State::Waiting(WaitReason::Refused(_), _))));
        assert_eq!(bench.pass(Duration::from_millis(260)), [format!("connect {GATEWAY}")]);
    }
}

#[test]
fn set_gateway_moves_the_device() {
    let mut bench = Bench::new(config(Stack::Modern));
    bench.give(Input::Token(Secret::new("one")));
    let conn = bench.conn();
    bench.give(Input::Connected(conn));
    bench.answer("/v20160207/directives", 200);
    assert_eq!(bench.answer("VerifyGateway", 200), [""; 0]);
    let answer = bench.stream("VerifyGateway");
    let bad = "{\"gateway\":\"http://other.example\"}";
    assert_eq!(bench.directive(answer, "Alexa.ApiGateway", "SetGateway", bad), ["unparsable"]);
    let foreign = "{\"gateway\":\"https://evil.test\"}";
    assert_eq!(bench.directive(answer, "Alexa.ApiGateway", "SetGateway", foreign), ["unparsable"]);
    let good = "{\"gateway\":\"https://other.example/\"}";
    let words = bench.directive(answer, "Alexa.ApiGateway", "SetGateway", good);
    assert_eq!(words, ["gateway https://other.example", "cancel"]);
    bench.give(Input::End(answer));
    let words = bench.pass(Duration::from_millis(300));
    assert_eq!(words, ["connect https://other.example"]);
}

#[test]
fn the_same_gateway_again_changes_nothing() {
    let mut bench = Bench::new(config(Stack::Modern));
    bench.give(Input::Token(Secret::new("one")));
    let conn = bench.conn();
    bench.give(Input::Connected(conn));
    bench.answer("/v20160207/directives", 200);
    bench.answer("VerifyGateway", 200);
    let answer = bench.stream("VerifyGateway");
    let same = format!("{{\"gateway\":\"{GATEWAY}\"}}");
    let words = bench.directive(answer, "Alexa.ApiGateway", "SetGateway", &same);
    assert_eq!(words, ["ask AddOrUpdateReport"]);
}

#[test]
fn synchronisation_is_repeated_on_the_same_connection_with_fresh_state() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    let downchannel = bench.stream("/v20160207/directives");
    bench.pass(Duration::from_secs(4));
    bench.give(Input::End(downchannel));
    bench.pass(Duration::from_secs(1));
    let conn = bench.conn();
    bench.give(Input::Connected(conn));
    assert_eq!(bench.answer("/v20160207/directives", 200), ["want state"]);
    bench.give(Input::Synchronize(synchronize()));
    // A second answer to the question of an earlier connection is not a second event.
    assert_eq!(bench.give(Input::Synchronize(synchronize())), [""; 0]);
    assert_eq!(bench.answer("SynchronizeState", 500), [""; 0]);
    assert_eq!(bench.state, Some(State::Synchronizing));
    assert_eq!(bench.pass(Duration::from_millis(1600)), ["want state"]);
    bench.give(Input::Synchronize(synchronize()));
    bench.answer("SynchronizeState", 200);
    assert_eq!(bench.state, Some(State::Connected));
}

#[test]
fn keep_alive_bytes_and_foreign_parts_are_no_directives() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    let downchannel = bench.stream("/v20160207/directives");
    let keep_alive = Input::Data { stream: downchannel, bytes: Bytes::from_static(b"--BB\r\n") };
    assert_eq!(bench.give(keep_alive), [""; 0]);
    assert_eq!(bench.say(downchannel, "{\"other\":1}"), ["unparsable"]);
    assert_eq!(bench.say(downchannel, "{"), ["unparsable"]);
    assert_eq!(bench.directive(downchannel, "Speaker", "SetVolume", "{}"), ["directive SetVolume"]);
}

#[test]
fn a_device_that_does_not_answer_for_its_state_is_asked_again() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    let downchannel = bench.stream("/v20160207/directives");
    bench.give(Input::End(downchannel));
    bench.pass(Duration::from_secs(1));
    let conn = bench.conn();
    bench.give(Input::Connected(conn));
    assert_eq!(bench.answer("/v20160207/directives", 200), ["want state"]);
    assert_eq!(bench.pass(Duration::from_millis(3100)), ["want state"]);
    assert_eq!(bench.give(Input::Synchronize(synchronize())), ["ask SynchronizeState"]);
}
