//! Declaring anew at run time, and not at all when nothing changed.

use std::sync::Arc;
use std::time::Duration;

use antiphon_avs::message::Event;
use antiphon_avs::session::{Input, Output, Secret, Session, Stack, State, WaitReason, delete_report};
use serde_json::{Value, json};

use crate::bench::{Bench, GATEWAY, config};

fn another() -> Arc<Vec<Value>> {
    Arc::new(vec![json!({"type":"AlexaInterface","interface":"Speaker","version":"1.0"})])
}

/// Modern stack, opened; its report's correlation token is of no interest.
fn modern() -> Bench {
    let mut bench = Bench::new(config(Stack::Modern));
    bench.give(Input::Token(Secret::new("one")));
    let conn = bench.conn();
    bench.give(Input::Connected(conn));
    bench.answer("/v20160207/directives", 200);
    bench.answer("VerifyGateway", 204);
    confirm(&mut bench);
    bench.give(Input::Synchronize(Event::new("System", "SynchronizeState", json!({}))));
    bench.answer("SynchronizeState", 204);
    assert_eq!(bench.state, Some(State::Connected));
    bench
}

/// The last report is accepted and confirmed.
fn confirm(bench: &mut Bench) -> Vec<String> {
    let mut words = bench.answer("AddOrUpdateReport", 202);
    words.extend(processed(bench));
    words
}

fn processed(bench: &mut Bench) -> Vec<String> {
    let token = bench.correlation.clone().expect("a report");
    let header = json!({
        "namespace": "Alexa", "name": "EventProcessed", "messageId": "m", "eventCorrelationToken": token,
    });
    let downchannel = bench.stream("/v20160207/directives");
    bench.say(downchannel, &json!({ "directive": { "header": header, "payload": {} } }).to_string())
}

#[test]
fn a_changed_list_is_reported_while_events_flow() {
    let mut bench = modern();
    let first = bench.declared.clone().expect("declared");
    assert_eq!(bench.give(Input::Redeclare(another())), ["ask AddOrUpdateReport"]);
    // Once is enough while it is on its way; later the same list is told again to a cloud that took it wrong.
    assert_eq!(bench.give(Input::Redeclare(another())), [""; 0]);
    assert_eq!(confirm(&mut bench), [""; 0]);
    assert_eq!(bench.give(Input::Redeclare(another())), ["ask AddOrUpdateReport"]);
    assert_eq!(confirm(&mut bench), [""; 0]);
    assert_eq!(bench.state, Some(State::Connected));
    assert_ne!(bench.declared, Some(first));
    assert_eq!(bench.pass(Duration::from_secs(4)), [""; 0]);
}

#[test]
fn an_unconfirmed_report_is_repeated_and_a_refused_one_rarely() {
    let mut bench = modern();
    bench.give(Input::Redeclare(another()));
    bench.answer("AddOrUpdateReport", 202);
    // Two seconds for EventProcessed, then the table: about a second.
    let words = bench.pass(Duration::from_millis(3_600));
    assert_eq!(words, ["ask AddOrUpdateReport"]);
    bench.answer("AddOrUpdateReport", 400);
    let asked = bench.asked.len();
    for _ in 0..160 {
        let conn = bench.conn();
        bench.give(Input::Pong(conn));
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(bench.asked.len(), asked, "a wrong list is not sent again and again");
    assert_eq!(bench.state, Some(State::Connected));
}

#[test]
fn a_confirmation_of_the_old_list_does_not_confirm_the_new_one() {
    let mut bench = modern();
    bench.give(Input::Redeclare(another()));
    let third = Arc::new(vec![json!({"type":"AlexaInterface","interface":"System","version":"2.0"})]);
    bench.give(Input::Redeclare(third));
    let old = bench.correlation.clone();
    assert_eq!(bench.answer("AddOrUpdateReport", 202), ["ask AddOrUpdateReport"]);
    assert_ne!(bench.correlation, old);
    bench.declared = None;
    confirm(&mut bench);
    assert!(bench.declared.is_some());
}

#[test]
fn a_list_that_changed_on_the_way_is_reported_when_the_way_is_open() {
    let mut bench = Bench::new(config(Stack::Modern));
    bench.give(Input::Token(Secret::new("one")));
    let conn = bench.conn();
    bench.give(Input::Connected(conn));
    bench.answer("/v20160207/directives", 200);
    bench.answer("VerifyGateway", 204);
    assert_eq!(confirm(&mut bench), ["want state"]);
    bench.give(Input::Redeclare(another()));
    bench.give(Input::Synchronize(Event::new("System", "SynchronizeState", json!({}))));
    assert_eq!(bench.answer("SynchronizeState", 204), ["ask AddOrUpdateReport"]);
}

#[test]
fn the_legacy_stack_calls_the_capabilities_api_again() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    assert_eq!(bench.give(Input::Redeclare(another())), ["declare"]);
    // The list changes while the call is under way: its answer is about the old one.
    let third = Arc::new(vec![json!({"type":"AlexaInterface","interface":"System","version":"2.0"})]);
    bench.give(Input::Redeclare(third));
    bench.declared = None;
    assert_eq!(bench.give(Input::Declared(Ok(()))), ["declare"]);
    assert_eq!(bench.declared, None);
    bench.give(Input::Declared(Ok(())));
    assert!(bench.declared.is_some());
    assert_eq!(bench.state, Some(State::Connected));
}

#[test]
fn an_unchanged_declaration_is_not_repeated_after_a_restart() {
    for stack in [Stack::Modern, Stack::Legacy] {
        let declared = match stack {
            Stack::Modern => modern().declared,
            Stack::Legacy => Bench::connected(config(stack)).declared,
        };
        let declared = declared.expect("declared");
        let first = |changed: bool, gateway: &str| {
            let mut config = config(stack);
            config.gateway = gateway.to_owned();
            if changed {
                config.identity.capabilities = another();
            }
            let mut session = Session::new(config, None, Some(&declared), 1);
            session.handle_input(Input::Token(Secret::new("one")), antiphon_domain::HubTime::EPOCH);
            let mut declares = false;
            loop {
                match session.poll_output() {
                    Output::Declare(_) => declares = true,
                    Output::Wait(_) => return (declares, session),
                    _ => {}
                }
            }
        };
        // On the legacy stack the first act shows it; on the modern one the opening does.
        assert!(!first(false, GATEWAY).0);
        assert_eq!(first(true, GATEWAY).0, stack == Stack::Legacy);
        assert_eq!(first(false, "https://other.example").0, stack == Stack::Legacy);
        if stack == Stack::Modern {
            let mut bench = Bench::new(config(stack));
            bench.session = first(false, GATEWAY).1;
            bench.conns.push(antiphon_avs::session::ConnId(1));
            bench.give(Input::Connected(antiphon_avs::session::ConnId(1)));
            bench.answer("/v20160207/directives", 200);
            assert_eq!(bench.answer("VerifyGateway", 204), ["want state"]);
        }
    }
}

#[test]
fn answers_to_verify_gateway() {
    // 204: right; 4xx: this attempt is over; else again with a delay.
    for (status, words) in [(204, "ask AddOrUpdateReport"), (400, "close 1"), (404, "close 1"), (500, "")] {
        let mut bench = Bench::new(config(Stack::Modern));
        bench.give(Input::Token(Secret::new("one")));
        let conn = bench.conn();
        bench.give(Input::Connected(conn));
        bench.answer("/v20160207/directives", 200);
        let said = bench.answer("VerifyGateway", status);
        assert_eq!(said.first().map_or("", String::as_str), words, "{status}");
        match status {
            500 => assert_eq!(bench.pass(Duration::from_millis(1_600)), ["ask VerifyGateway"]),
            400 | 404 => {
                assert!(
                    matches!(bench.state, Some(State::Waiting(WaitReason::Refused(s), _)) if s == status)
                );
            }
            _ => {}
        }
    }
}

#[test]
fn leaving_an_account_names_the_endpoint_and_is_confirmed_by_its_token() {
    let mut bench = modern();
    let event = delete_report(&config(Stack::Modern).identity, &Secret::new("one"));
    assert_eq!(event.payload["endpoints"], json!([{ "endpointId": "client::product::serial" }]));
    assert_eq!(event.header.payload_version.as_deref(), Some("3"));
    let token = event.header.event_correlation_token.clone().expect("a token");
    bench.give(Input::Post(event));
    assert_eq!(bench.answer("DeleteReport", 202), ["outcome DeleteReport"]);
    bench.correlation = Some(token.clone());
    assert_eq!(processed(&mut bench), [format!("processed {token}")]);
}
