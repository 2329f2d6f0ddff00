//! Renewal with overlap, and a change of gateway.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::HashSet;
use std::time::Duration;

use antiphon_link::{EventOutcome, LinkEvent, LinkState, Stack, WaitReason};
use antiphon_simulator::{Answer, Fault, Outgoing};
use serde_json::json;
use support::*;

/// Traffic in both directions while the service renews the connection again and again.
async fn traffic_through(fault: Fault) {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut config = config(&simulator, &dsn);
    // Each renewal counts as the end of a sound connection.
    config.timers.stable_after = Duration::ZERO;
    config.timers.linger = Duration::from_millis(1500);
    let mut rig = start(&context, config, Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    let mut posted = HashSet::new();
    let mut sent = 0;
    for round in 0..60 {
        if round % 20 == 10 {
            simulator.inject(&dsn, &fault).unwrap();
        }
        let event = volume_changed(round);
        posted.insert(event.header.message_id.clone());
        rig.handle.post(event).unwrap();
        let mark = Outgoing::new("Test", &format!("Mark{sent}"), json!({}));
        if simulator.send(&dsn, mark).await.is_ok() {
            sent += 1;
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let mut marks = HashSet::new();
    rig.wait("every outcome and every mark", |event| {
        match event {
            LinkEvent::EventOutcome { message_id, outcome, .. } => {
                assert!(matches!(outcome, EventOutcome::Accepted { .. }), "{outcome:?}");
                posted.remove(&message_id);
            }
            LinkEvent::Directive { directive, .. } => {
                assert!(marks.insert(directive.header.name.clone()), "{} twice", directive.header.name);
            }
            _ => {}
        }
        (posted.is_empty() && marks.len() == sent).then_some(())
    })
    .await;
    let connects = simulator.counts(&dsn).connects;
    assert!((2..=4).contains(&connects), "{connects} connections");
    assert!(simulator.violations().is_empty(), "{:#?}", simulator.violations());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_away_loses_nothing() {
    traffic_through(Fault::GoAway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_downchannel_loses_nothing() {
    traffic_through(Fault::EndDownchannel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_connections_are_closed_once_drained() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut config = config(&simulator, &dsn);
    config.timers.linger = Duration::from_millis(200);
    let mut rig = start(&context, config, Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    simulator.inject(&dsn, &Fault::EndDownchannel).unwrap();
    rig.wait("a synchronisation", |event| matches!(event, LinkEvent::WantSynchronizeState).then_some(()))
        .await;
    simulator.wait_until(&dsn, |_| simulator.counts(&dsn).connects == 2, PATIENCE).await.unwrap();
    simulator
        .wait_until(
            &dsn,
            |_| simulator.connections(&dsn).iter().filter(|c| c.closed.is_none()).count() == 1,
            PATIENCE,
        )
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cloud_moves_a_device_to_another_gateway() {
    for stack in [Stack::Modern, Stack::Legacy] {
        let mut options = options();
        let old = simulator(options.clone()).await;
        options.listen = "127.0.0.1:0".parse().unwrap();
        let new = simulator(options).await;
        let (context, dsn) = (context(), dsn());
        let mut config = config(&old, &dsn);
        config.stack = stack;
        let directive = |url: &str| match stack {
            Stack::Modern => Outgoing::new("Alexa.ApiGateway", "SetGateway", json!({ "gateway": url })),
            Stack::Legacy => Outgoing::new("System", "SetEndpoint", json!({ "endpoint": url })),
        };
        if stack == Stack::Modern {
            // As the answer to VerifyGateway, before anything else.
            let answer = Answer::directives(vec![directive(&new.gateway())]);
            old.answer_next(&dsn, "Alexa.ApiGateway", "VerifyGateway", answer);
        }
        let mut rig = start(&context, config, Some(&format!("Atzr|{dsn}")));
        if stack == Stack::Legacy {
            rig.connected().await;
            // An evil one first: not its own host, so it stays.
            old.send(&dsn, directive("https://evil.example")).await.unwrap();
            rig.wait("a refusal", |event| matches!(event, LinkEvent::Unparsable { .. }).then_some(())).await;
            old.send(&dsn, directive(&new.gateway())).await.unwrap();
        }
        let gateway = rig
            .wait("the news", |event| match event {
                LinkEvent::GatewayChanged(gateway) => Some(gateway),
                _ => None,
            })
            .await;
        assert_eq!(gateway, new.gateway());
        // The other simulator knows no token of the first one's LWA: its refusal shows that it was reached, and the firm
        // wait that a second refused token in a row does not make the link circle.
        rig.wait("the new gateway's refusal", |event| match event {
            LinkEvent::State(LinkState::Waiting { why: WaitReason::Refused(403), .. }) => Some(()),
            _ => None,
        })
        .await;
    }
}
