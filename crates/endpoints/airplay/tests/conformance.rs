//! The suite that every kind runs, for each way in which sound goes to a receiver.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod fake;

use std::sync::Arc;

use antiphon_airplay::{AirplayKind, AirplayOptions};
use antiphon_domain::SpeakerId;
use antiphon_endpoint::conformance::{Setup, suite, two_beside_each_other, what_was_lost_comes_again};
use antiphon_endpoint::{Clock, Descriptor};
use fake::hub::Hub;
use fake::{Fake, Trick};
use prometheus::Registry;

fn conforms(txt: &[(&str, &str)]) {
    let hub = Hub::new(|_| {});
    let (fake, busy) = (Fake::new(&[]), Fake::new(&[("ANNOUNCE", Trick::Status(453))]));
    let kind =
        AirplayKind::new(hub.runtime.handle().clone(), AirplayOptions::default(), &Registry::new()).unwrap();
    let neighbour = Fake::new(&[]);
    let other = Descriptor { id: SpeakerId::new("other"), ..hub.recorded(neighbour.address, txt) };
    let setup = Setup {
        kind: Arc::new(kind),
        descriptor: hub.recorded(fake.address, txt),
        refusing: Some(hub.recorded(busy.address, txt)),
        clock: Arc::clone(&hub.clock) as Arc<dyn Clock>,
    };
    suite(&setup);
    two_beside_each_other(&setup, &other);
    // Its next connection is taken as any.
    what_was_lost_comes_again(&setup, || fake.hang_up(), || {});
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
