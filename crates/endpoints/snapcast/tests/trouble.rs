//! Callers that break the protocol, fall silent, stop reading, call twice: counted, shown out, and no harm to others.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

mod fake;
mod support;

use std::time::Duration;

use antiphon_endpoint::{Arrival, EndpointEvent, LostReason};
use serde_json::json;

use fake::{Fake, hello, message, with_length};
use support::{Hub, blocks, options, samples};

#[test]
fn nonsense_is_shown_out() {
    let hub = Hub::new(options());
    let before_hello: [Vec<u8>; 8] = [
        vec![0xFF; 26],
        message(5, 1, (1, 0), &[0xFF, 0xFF, 0xFF, 0xFF, b'{']),
        message(5, 1, (1, 0), &with_length(&json!({ "HostName": "no id" }))),
        message(5, 1, (1, 0), &with_length(&json!({ "ID": "x".repeat(500) }))),
        message(5, 1, (1, 0), &with_length(&json!([1, 2, 3]))),
        message(5, 1, (-1, 0), &with_length(&hello("a", "den", 1))),
        message(5, 1, (1, 1_000_000), &with_length(&hello("a", "den", 1))),
        message(2, 1, (1, 0), &[0; 100]),
    ];
    for (number, bytes) in before_hello.iter().enumerate() {
        let caller = Fake::dial(hub.port);
        caller.send(bytes);
        caller.closed();
        assert_eq!(hub.counted("garbage_total"), number as u64 + 1);
    }
    let mut wrong = message(4, 1, (1, 0), &[0; 8]);
    wrong[22..26].copy_from_slice(&u32::MAX.to_le_bytes());
    let after_hello = [
        wrong,
        message(4, 1, (1, 0), &[0; 3]),
        message(4, 1, (i32::MIN, 0), &[0; 8]),
        message(5, 1, (1, 0), &with_length(&hello("a", "den", 1))),
    ];
    for bytes in after_hello {
        let caller = Fake::call(hub.port, &hello("a", "den", 1));
        let descriptor = hub.here();
        let session = hub.open(&descriptor).ready();
        caller.send(&bytes);
        caller.closed();
        assert!(matches!(session.news(), EndpointEvent::Lost(LostReason::Protocol(_))));
        assert_eq!(hub.arrival(), Arrival::Gone(descriptor.id));
    }
    assert_eq!(hub.counted("garbage_total"), 12);
    // What is unknown, but whole, does no harm: newer clients may know more than we.
    let caller = Fake::call(hub.port, &hello("a", "den", 1));
    hub.here();
    caller.send(&message(99, 1, (1, 0), &[1; 5_000]));
    caller.ask(5, 77);
    caller.wait("an answer", |heard| heard.times.len() == 1);
    assert_eq!(hub.counted("clients"), 1);
}

#[test]
fn half_a_message_waits_for_the_other() {
    let hub = Hub::new(options());
    let caller = Fake::dial(hub.port);
    for byte in message(5, 1, (1, 0), &with_length(&hello("slow", "den", 1))) {
        caller.send(&[byte]);
    }
    assert_eq!(hub.here().id.as_str(), "slow");
}

#[test]
fn who_says_nothing_is_shown_out() {
    let mut options = options();
    options.hello_timeout = Duration::from_millis(200);
    options.silence = Duration::from_millis(400);
    let hub = Hub::new(options);
    let silent = Fake::dial(hub.port);
    silent.closed();
    assert_eq!(hub.counted("connections_refused_total"), 1);
    let asleep = Fake::call(hub.port, &hello("a", "den", 1));
    let descriptor = hub.here();
    asleep.closed();
    assert_eq!(hub.arrival(), Arrival::Gone(descriptor.id));
}

#[test]
fn there_are_only_so_many_places() {
    let mut options = options();
    options.most_clients = 2;
    let hub = Hub::new(options);
    let first = Fake::call(hub.port, &hello("a", "den", 1));
    let _second = Fake::call(hub.port, &hello("b", "den", 1));
    hub.here();
    hub.here();
    Fake::call(hub.port, &hello("c", "den", 1)).closed();
    // A place that is free again is given away.
    first.hang_up();
    hub.arrival();
    let third = (0..200).find_map(|_| {
        let caller = Fake::call(hub.port, &hello("c", "den", 1));
        let heard = caller.wait("an answer", |heard| heard.closed || !heard.settings.is_empty());
        (!heard.closed).then_some(caller)
    });
    assert!(third.is_some());
    assert_eq!(hub.here().id.as_str(), "c");
}

#[test]
fn who_calls_again_is_heard_where_it_called_last() {
    let hub = Hub::new(options());
    let old = Fake::call(hub.port, &hello("a", "den", 1));
    let descriptor = hub.here();
    let session = hub.open(&descriptor).ready();
    let new = Fake::call(hub.port, &hello("a", "den", 1)).lively();
    // It never was away.
    assert_eq!(hub.arrival(), Arrival::Here(descriptor.clone()));
    assert!(matches!(session.news(), EndpointEvent::Lost(LostReason::Disconnected(_))));
    old.closed();
    let mut session = hub.open(&descriptor).ready();
    let first = hub.in_time(&session);
    blocks(first, 0, 3).iter().for_each(|block| session.endpoint.play(block));
    new.wait("sound", |heard| heard.chunks().len() == 1);
}

#[test]
fn who_stops_reading_is_dropped_and_costs_nobody_a_sample() {
    let hub = Hub::new(options());
    let good = Fake::call(hub.port, &hello("good", "den", 1)).lively();
    let mut to_good = hub.open(&hub.here()).ready();
    let deaf = Fake::deaf(hub.port, &hello("deaf", "den", 1));
    let descriptor = hub.here();
    let mut to_deaf = hub.open(&descriptor).ready();
    // So much sound at once that the kernel's room is used up soon: a deaf client in the middle of a long session.
    let first = hub.in_time(&to_good);
    let mut sound = Vec::new();
    let mut dropped = false;
    for second in 0..40 {
        for block in blocks(first, second * 125, (second + 1) * 125) {
            to_good.endpoint.play(&block);
            to_deaf.endpoint.play(&block);
            sound.push(block);
        }
        // It stays alive as far as its own messages tell.
        let _ = std::io::Write::write_all(&mut &deaf, &message(4, 1, (1, 0), &[0; 8]));
        good.wait("the next second", |heard| heard.samples().len() + 125 * 704 * 2 > sound.len() * 704);
        if hub.counted("connections_lost_total") > 0 {
            dropped = true;
            break;
        }
    }
    assert!(dropped, "it was kept");
    assert!(matches!(to_deaf.news(), EndpointEvent::Lost(LostReason::Disconnected(_))));
    assert_eq!(hub.arrival(), Arrival::Gone(descriptor.id));
    let whole = sound.len() / 3 * 3;
    let heard = good.wait("all of it", |heard| heard.samples().len() >= whole * 704);
    assert_eq!(heard.samples()[..whole * 704], samples(&sound[..whole]));
    // Bounded: what was handed over is not more than the two buffers hold.
    assert_eq!(hub.counted("clients"), 1);
}
