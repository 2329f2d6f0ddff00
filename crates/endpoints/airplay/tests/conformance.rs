//! The suite that every kind runs, for each way in which sound goes to a receiver.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod fake;

use std::sync::Arc;

use antiphon_airplay::{AirplayKind, AirplayOptions};
use antiphon_endpoint::Clock;
use antiphon_endpoint::conformance::{Setup, suite};
use fake::hub::Hub;
use fake::{Fake, Trick};
use prometheus::Registry;

fn conforms(txt: &[(&str, &str)]) {
    let hub = Hub::new(|_| {});
    let (fake, busy) = (Fake::new(&[]), Fake::new(&[("ANNOUNCE", Trick::Status(453))]));
    let kind =
        AirplayKind::new(hub.runtime.handle().clone(), AirplayOptions::default(), &Registry::new()).unwrap();
    suite(&Setup {
        kind: Arc::new(kind),
        descriptor: hub.recorded(fake.address, txt),
        refusing: Some(hub.recorded(busy.address, txt)),
        clock: Arc::clone(&hub.clock) as Arc<dyn Clock>,
    });
}

#[test]
fn datagrams_in_the_clear() {
    conforms(&[("am", "ShairportSync"), ("et", "0,1"), ("tp", "TCP,UDP")]);
}

#[test]
fn datagrams_encrypted() {
    conforms(&[("am", "AirPort4,107"), ("et", "1"), ("tp", "UDP")]);
}

#[test]
fn a_stream() {
    conforms(&[("am", "AirPort1,1"), ("et", "0,1"), ("tp", "TCP")]);
}
