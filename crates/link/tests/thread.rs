//! The thin thread: connect, synchronise, a directive in, an event out, on both stacks.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use antiphon_link::{EventOutcome, LinkEvent, LinkState, Stack};
use antiphon_simulator::{Answer, Outgoing};
use serde_json::json;
use support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directive_in_and_an_event_out() {
    for stack in [Stack::Modern, Stack::Legacy] {
        let simulator = simulator(options()).await;
        let (context, dsn) = (context(), dsn());
        let mut config = config(&simulator, &dsn);
        config.stack = stack;
        let mut rig = start(&context, config, Some(&format!("Atzr|{dsn}")));
        rig.connected().await;
        simulator.wait_connected(&dsn, PATIENCE).await.unwrap();

        simulator.send(&dsn, Outgoing::new("Speaker", "SetVolume", json!({"volume": 7}))).await.unwrap();
        let directive = rig.directive("SetVolume").await;
        assert_eq!(directive.payload.get(), "{\"volume\":7}");
        let event = volume_changed(7);
        rig.handle.post(event.clone()).unwrap();
        let outcome = rig
            .wait("outcome", |told| match told {
                LinkEvent::EventOutcome { message_id, outcome, .. }
                    if message_id == event.header.message_id =>
                {
                    Some(outcome)
                }
                _ => None,
            })
            .await;
        assert!(matches!(outcome, EventOutcome::Accepted { .. }), "{outcome:?}");
        simulator.wait_for_event(&dsn, 0, "Speaker", "VolumeChanged", PATIENCE).await.unwrap();
        let violations = simulator.violations();
        assert!(violations.is_empty(), "{stack:?}: {violations:#?}");
        assert_eq!(simulator.counts(&dsn).declarations, 1);
        rig.handle.shutdown();
        rig.wait("closed", |e| matches!(e, LinkEvent::State(LinkState::Closed)).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_brings_directives_and_attachments() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    // Far more than a stream's window, so that it arrives only if each chunk opens the window again.
    let sound: Vec<u8> = (0..1_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let speak = Outgoing::new("SpeechSynthesizer", "Speak", json!({"url": "cid:sound-1"}))
        .with_attachment("sound-1", sound.clone());
    simulator.answer_next(&dsn, "Speaker", "VolumeChanged", Answer::directives(vec![speak]));
    rig.handle.post(volume_changed(3)).unwrap();
    let directive = rig.directive("Speak").await;
    let mut got = Vec::new();
    rig.wait("the end of the attachment", |event| match event {
        LinkEvent::Attachment { stream, content_id, chunk } => {
            assert_eq!((stream, content_id.as_str()), (directive.stream, "sound-1"));
            got.extend_from_slice(&chunk);
            None
        }
        LinkEvent::AttachmentEnded { stream, complete, .. } => {
            assert_eq!((stream, complete), (directive.stream, true));
            Some(())
        }
        _ => None,
    })
    .await;
    assert!(got == sound, "{} of {} bytes", got.len(), sound.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_attachment_holds_up_nobody_else() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    let speak = Outgoing::new("SpeechSynthesizer", "Speak", json!({"url": "cid:big"}))
        .with_attachment("big", vec![7u8; 500_000]);
    simulator.answer_next(&dsn, "Speaker", "VolumeChanged", Answer::directives(vec![speak]));
    rig.handle.post(volume_changed(3)).unwrap();
    rig.directive("Speak").await;
    let mut kept = Vec::new();
    rig.wait("a full window", |event| {
        if let LinkEvent::Attachment { chunk, .. } = event {
            kept.push(chunk);
        }
        (kept.iter().map(|c| c.len()).sum::<usize>() > 60_000).then_some(())
    })
    .await;
    for volume in 1..20 {
        simulator.send(&dsn, Outgoing::new("Speaker", "SetVolume", json!({"volume": volume}))).await.unwrap();
        rig.wait("a directive past the full window", |event| match event {
            LinkEvent::Directive { .. } => Some(()),
            LinkEvent::Attachment { chunk, .. } => {
                kept.push(chunk);
                None
            }
            _ => None,
        })
        .await;
    }
    let bytes: usize = kept.iter().map(|c| c.len()).sum();
    assert!(bytes <= 66_000, "{bytes} bytes let through while nobody read");
    kept.clear();
    let mut rest = 0;
    rig.wait("the end", |event| match event {
        LinkEvent::Attachment { chunk, .. } => {
            rest += chunk.len();
            None
        }
        LinkEvent::AttachmentEnded { complete, .. } => complete.then_some(()),
        _ => None,
    })
    .await;
    assert_eq!(bytes + rest, 500_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_events_go_out_in_order() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    for volume in 0..40 {
        rig.handle.post(volume_changed(volume)).unwrap();
    }
    let last = |entry: &antiphon_simulator::Entry| {
        entry.is_event("Speaker", "VolumeChanged") && entry.payload()["volume"] == 39
    };
    simulator.wait_for(&dsn, 0, last, Duration::from_secs(20)).await.unwrap();
    let volumes: Vec<i64> = simulator
        .transcript(&dsn)
        .iter()
        .filter(|entry| entry.is_event("Speaker", "VolumeChanged"))
        .filter_map(|entry| entry.payload()["volume"].as_i64())
        .collect();
    assert_eq!(volumes, (0..40).collect::<Vec<_>>());
    assert!(simulator.violations().is_empty(), "{:#?}", simulator.violations());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_words_are_heard() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    for volume in 1..=5 {
        rig.handle.post(volume_changed(volume)).unwrap();
    }
    rig.handle.shutdown();
    rig.wait("closed", |e| matches!(e, LinkEvent::State(LinkState::Closed)).then_some(())).await;
    let heard = simulator.transcript(&dsn).iter().filter(|e| e.is_event("Speaker", "VolumeChanged")).count();
    assert_eq!(heard, 5);
    assert_eq!(rig.handle.post(volume_changed(6)), Err(antiphon_link::PostError::Closed));
}
