//! The suite every kind runs, to a socket of this machine and to a group on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod hub;

use std::sync::Arc;

use antiphon_endpoint::conformance::{Setup, suite, two_beside_each_other};
use antiphon_rtp::{RtpKind, RtpOptions};
use prometheus::Registry;

#[test]
fn a_session_keeps_the_promises_of_every_kind() {
    let mut options = RtpOptions::default();
    options.interfaces = Some(Vec::new());
    let kind = Arc::new(RtpKind::new(options, &Registry::new()).unwrap());
    for settings in ["", "?format=L24&rate=48000&ptime=1&delay=20"] {
        let listener = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let text = format!("rtp://{}{settings}", listener.local_addr().unwrap());
        let setup = Setup {
            kind: kind.clone(),
            descriptor: hub::descriptor(kind.as_ref(), &text),
            // No interface is allowed, so no group can be sent to.
            refusing: Some(hub::descriptor(kind.as_ref(), "rtp://239.1.2.3:5004")),
            clock: Arc::new(hub::HubClock::new()),
        };
        suite(&setup);
        let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let text = format!("rtp://{}", other.local_addr().unwrap());
        two_beside_each_other(&setup, &hub::descriptor(kind.as_ref(), &text));
    }
}
