//! Certified events: in order, one at a time, over disconnections and restarts. Changes of the alert volume stand for
//! all of them.

use std::time::Duration;

use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::Effect;
use antiphon_avs::message::Event;
use antiphon_avs::session::EventOutcome;
use antiphon_avs::signal::{Signal, Wish};
use antiphon_domain::Volume;
use serde_json::json;

use crate::alerts_support::{set, started, told};
use crate::support::Bench;

fn online() -> Bench {
    let mut bench = Bench::new();
    bench.input(DeviceInput::Connected);
    bench
}

fn events(effects: Vec<Effect>) -> Vec<Event> {
    let events = effects.into_iter().filter_map(|effect| match effect {
        Effect::Send(event) if event.header.namespace == "Alerts" => Some(event),
        _ => None,
    });
    events.collect()
}

fn turn_to(bench: &mut Bench, volume: i64) -> Vec<Event> {
    let wish = Wish::AlertVolume(Volume::new(volume).unwrap());
    events(bench.input(DeviceInput::Signal(Signal::Wish(wish))))
}

fn answer(bench: &mut Bench, event: &Event, outcome: EventOutcome) -> Vec<Event> {
    let message_id = event.header.message_id.clone();
    events(bench.input(DeviceInput::Signal(Signal::Outcome { message_id, outcome })))
}

const ACCEPTED: EventOutcome = EventOutcome::Accepted { status: 204 };

fn refused(status: u16) -> EventOutcome {
    EventOutcome::Refused { status, code: String::new(), description: String::new() }
}

#[test]
fn one_is_on_its_way_and_the_next_follows_when_it_is_accepted() {
    let mut bench = online();
    let first = turn_to(&mut bench, 10);
    assert_eq!(first.len(), 1);
    assert!(turn_to(&mut bench, 20).is_empty());
    assert!(turn_to(&mut bench, 30).is_empty());
    assert_eq!(bench.device.outbox().waiting, 3);
    let second = answer(&mut bench, &first[0], ACCEPTED);
    assert_eq!(second[0].payload["volume"], 20);
    // The word on an event that is long accepted is nothing to the next.
    assert!(answer(&mut bench, &first[0], ACCEPTED).is_empty());
    let third = answer(&mut bench, &second[0], ACCEPTED);
    assert_eq!(third[0].payload["volume"], 30);
    assert!(answer(&mut bench, &third[0], ACCEPTED).is_empty());
    assert_eq!(bench.device.outbox().waiting, 0);
    assert_eq!(bench.stored["outbox"], json!(null));
}

#[test]
fn it_is_on_its_way_to_the_disk_before_it_is_sent() {
    let mut bench = online();
    let wish = Signal::Wish(Wish::AlertVolume(Volume::MAX));
    let effects = bench.input(DeviceInput::Signal(wish));
    let stored = effects.iter().position(|e| matches!(e, Effect::Store { key, .. } if key == "outbox"));
    let sent = effects.iter().position(|e| matches!(e, Effect::Send(_)));
    assert!(stored.unwrap() < sent.unwrap());
}

#[test]
fn it_is_repeated_with_the_same_name_ever_more_slowly() {
    for failure in [EventOutcome::Lost, EventOutcome::QueueFull, refused(500), refused(429)] {
        let mut bench = online();
        let first = turn_to(&mut bench, 10).remove(0);
        for wait in [10, 50, 250, 1250, 1250] {
            assert!(answer(&mut bench, &first, failure.clone()).is_empty());
            assert!(events_in(&mut bench, wait * 1000 - 1).is_empty());
            let again = events_in(&mut bench, 1);
            assert_eq!(again[0].header.message_id, first.header.message_id);
        }
        assert!(answer(&mut bench, &first, ACCEPTED).is_empty());
        assert_eq!(bench.device.outbox().waiting, 0);
    }
}

/// Lets time pass, waking the device at its deadlines.
fn events_in(bench: &mut Bench, ms: u64) -> Vec<Event> {
    let end = bench.now + Duration::from_millis(ms);
    let mut found = Vec::new();
    while let Some(due) = bench.device.deadline().filter(|due| *due <= end) {
        bench.now = bench.now.max(due);
        found.extend(events(bench.input(DeviceInput::Timeout)));
    }
    bench.now = end;
    found
}

#[test]
fn without_a_word_it_is_taken_for_lost() {
    let mut bench = online();
    turn_to(&mut bench, 10);
    assert!(events_in(&mut bench, 129_999).is_empty());
    assert_eq!(events_in(&mut bench, 1).len(), 1);
}

#[test]
fn what_is_malformed_is_not_repeated() {
    let mut bench = online();
    let first = turn_to(&mut bench, 10).remove(0);
    turn_to(&mut bench, 20);
    let next = answer(&mut bench, &first, refused(400));
    assert_eq!(next[0].payload["volume"], 20);
    assert_eq!(bench.device.outbox().lost, 1);
}

#[test]
fn a_connection_that_comes_back_goes_on_at_once() {
    let mut bench = online();
    let first = turn_to(&mut bench, 10).remove(0);
    answer(&mut bench, &first, EventOutcome::Lost);
    bench.input(DeviceInput::Disconnected);
    assert!(events_in(&mut bench, 60_000).is_empty());
    let again = events(bench.input(DeviceInput::Connected));
    assert_eq!(again[0].header.message_id, first.header.message_id);
}

#[test]
fn what_waits_outlives_a_restart_in_its_order() {
    let mut bench = Bench::new();
    for (token, late) in [("a", 30), ("b", 20)] {
        set(&mut bench, token, "TIMER", -late, json!({ "loopCount": 1 }));
    }
    started(&mut bench, 1);
    let before = bench.stored["outbox"].as_array().unwrap().clone();
    assert_eq!(before.len(), 3);
    let mut bench = bench.restarted(Duration::from_secs(1));
    bench.accepting = true;
    let sent = events(bench.input(DeviceInput::Connected));
    let names = |event: &Event| (event.header.message_id.clone(), event.payload["token"].clone());
    let expected: Vec<_> = before
        .iter()
        .map(|letter| {
            (letter["header"]["messageId"].as_str().unwrap().to_owned(), letter["payload"]["token"].clone())
        })
        .collect();
    assert_eq!(sent.iter().map(names).collect::<Vec<_>>(), expected);
}

#[test]
fn of_a_volume_turned_offline_only_the_last_is_told() {
    let mut bench = Bench::new();
    for volume in 0..100 {
        turn_to(&mut bench, volume);
    }
    let effects = bench.input(DeviceInput::Connected);
    let sent = events(effects);
    assert_eq!((sent.len(), &sent[0].payload["volume"]), (1, &json!(99)));
}

#[test]
fn beyond_fifty_the_newest_is_refused_but_never_that_an_alert_stopped() {
    let mut bench = online();
    turn_to(&mut bench, 1);
    let mut many_at = 0;
    for n in 2..=60 {
        turn_to(&mut bench, n);
        let counts = bench.device.outbox();
        assert!(counts.waiting <= 50);
        if counts.many && many_at == 0 {
            many_at = counts.waiting;
        }
    }
    assert_eq!(many_at, 25);
    assert_eq!(bench.device.outbox().lost, 10);
    let last = |bench: &Bench| bench.stored["outbox"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last(&bench)["payload"]["volume"], 50);
    // SetAlertSucceeded finds no room, AlertStarted neither; AlertStopped takes it.
    set(&mut bench, "a", "TIMER", -1, json!({ "loopCount": 1 }));
    started(&mut bench, 1);
    assert_eq!(bench.device.outbox().lost, 12);
    bench.signal(Signal::Wish(Wish::StopAlert));
    assert_eq!(bench.device.outbox().lost, 13);
    assert_eq!(last(&bench)["header"]["name"], "AlertStopped");
    assert_eq!(bench.stored["outbox"].as_array().unwrap().len(), 50);
    // Fifty are read again at most.
    let letter = last(&bench);
    bench.stored.insert("outbox".into(), json!(vec![letter; 70]));
    assert_eq!(bench.restarted(Duration::ZERO).device.outbox().waiting, 50);
}

#[test]
fn entering_the_foreground_is_of_no_use_later() {
    let mut bench = Bench::new();
    set(&mut bench, "a", "TIMER", -1, json!({}));
    assert!(told(&started(&mut bench, 1)).is_empty());
    bench.accepting = true;
    let sent = events(bench.input(DeviceInput::Connected));
    let names: Vec<&str> = sent.iter().map(|event| event.header.name.as_str()).collect();
    assert_eq!(names, ["SetAlertSucceeded", "AlertStarted"]);
}
