//! Recognize over the wire: audio while it is captured, directives back, trouble in the midst.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use antiphon_avs::message::{CaptureId, ContextEntry, ContextHeader, Event};
use antiphon_link::{EventOutcome, LinkEvent};
use antiphon_simulator::{Answer, Fault, Outgoing};
use bytes::Bytes;
use serde_json::json;
use support::*;
use tokio::sync::mpsc;

fn recognize() -> Event {
    let payload = json!({
        "profile": "CLOSE_TALK",
        "format": "AUDIO_L16_RATE_16000_CHANNELS_1",
        "initiator": { "type": "PRESS_AND_HOLD", "payload": {} },
    });
    let mut event = Event::new("SpeechRecognizer", "Recognize", payload);
    event.header.dialog_request_id = Some(event.header.message_id.clone());
    event.context = Some(vec![ContextEntry {
        header: ContextHeader { namespace: "Speaker".into(), name: "VolumeState".into() },
        payload: json!({ "volume": 40, "muted": false }),
    }]);
    event.audio = Some(CaptureId(1));
    event
}

async fn outcome(rig: &mut Rig, message_id: &str) -> EventOutcome {
    rig.wait("the outcome", |event| match event {
        LinkEvent::EventOutcome { message_id: id, outcome, .. } if id == message_id => Some(outcome),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speech_goes_up_as_it_is_captured_and_its_answer_comes_back() {
    let simulator = simulator(options()).await;
    let (context, registry) = counted_context();
    let dsn = dsn();
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    let answer = Answer::directives(vec![Outgoing::new("Test", "Answer", json!({}))]);
    simulator.answer_next(&dsn, "SpeechRecognizer", "Recognize", answer);
    let (sender, receiver) = mpsc::channel(8);
    let event = recognize();
    let id = event.header.message_id.clone();
    rig.handle.post_with_audio(event, receiver).unwrap();
    let speaker = dsn.clone();
    let line = format!("antiphon_link_uploads_open{{speaker=\"{speaker}\"}} 1");
    for _ in 0..100 {
        sender.send(Bytes::from(vec![7; 320])).await.unwrap();
    }
    until(|| metrics(&registry).contains(&line)).await;
    // The downchannel is not held up by it.
    simulator.send(&dsn, Outgoing::new("Test", "Meanwhile", json!({}))).await.unwrap();
    rig.directive("Meanwhile").await;
    drop(sender);
    let mut order = Vec::new();
    rig.wait("the answer", |event| {
        match event {
            LinkEvent::EventOutcome { message_id, outcome, .. } if message_id == id => {
                let faults = simulator.violations();
                assert!(matches!(outcome, EventOutcome::Accepted { status: 200 }), "{outcome:?} {faults:#?}");
                order.push("outcome");
            }
            LinkEvent::Directive { .. } => order.push("directive"),
            LinkEvent::StreamEnded(_) => order.push("ended"),
            LinkEvent::Answered { message_id } if message_id == id => return Some(()),
            _ => {}
        }
        None
    })
    .await;
    assert!(order.ends_with(&["outcome", "directive", "ended"]), "{order:?}");
    let entry = simulator.wait_for_event(&dsn, 0, "SpeechRecognizer", "Recognize", PATIENCE).await.unwrap();
    assert_eq!(entry.payload()["profile"], "CLOSE_TALK");
    until(|| metrics(&registry).contains(&line.replace("} 1", "} 0"))).await;
    let text = metrics(&registry);
    let bytes = text.lines().find_map(|l| l.strip_prefix("antiphon_link_uploaded_bytes_total")).unwrap();
    let bytes: f64 = bytes.split(' ').nth(1).unwrap().parse().unwrap();
    assert!((32_000.0..33_000.0).contains(&bytes), "{bytes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_in_the_midst_ends_the_capture() {
    for fault in [Fault::TcpReset, Fault::ResetEvents(1)] {
        let simulator = simulator(options()).await;
        let (context, dsn) = (context(), dsn());
        let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
        rig.connected().await;
        let (sender, receiver) = mpsc::channel(8);
        let event = recognize();
        let id = event.header.message_id.clone();
        rig.handle.post_with_audio(event, receiver).unwrap();
        sender.send(Bytes::from(vec![7; 320])).await.unwrap();
        simulator.inject(&dsn, &fault).unwrap();
        if matches!(fault, Fault::ResetEvents(_)) {
            // It is reset when it is complete.
            drop(sender);
        } else {
            sender.closed().await;
        }
        assert_eq!(outcome(&mut rig, &id).await, EventOutcome::Lost, "{fault:?}");
        simulator.wait_connected(&dsn, PATIENCE).await.unwrap();
        assert_eq!(
            simulator
                .transcript(&dsn)
                .iter()
                .filter(|e| e.is_event("SpeechRecognizer", "Recognize") && e.status == 200)
                .count(),
            0
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capture_that_brings_nothing_is_given_up() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut config = config(&simulator, &dsn);
    config.timers.event_progress = Duration::from_millis(500);
    let mut rig = start(&context, config, Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    let (sender, receiver) = mpsc::channel::<Bytes>(8);
    let event = recognize();
    let id = event.header.message_id.clone();
    rig.handle.post_with_audio(event, receiver).unwrap();
    assert_eq!(outcome(&mut rig, &id).await, EventOutcome::Lost);
    sender.closed().await;
    // The link lives on.
    let event = volume_changed(3);
    let id = event.header.message_id.clone();
    rig.handle.post(event).unwrap();
    assert!(matches!(outcome(&mut rig, &id).await, EventOutcome::Accepted { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speech_without_a_connection_is_lost_and_bounded() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start(&context, config(&simulator, &dsn), None);
    let (sender, receiver) = mpsc::channel(8);
    let event = recognize();
    let id = event.header.message_id.clone();
    rig.handle.post_with_audio(event, receiver).unwrap();
    let mut sent = 0;
    while sender.send(Bytes::from(vec![0; 320])).await.is_ok() {
        sent += 320;
        assert!(sent < 1 << 20, "unbounded");
    }
    assert_eq!(outcome(&mut rig, &id).await, EventOutcome::Lost);
}
