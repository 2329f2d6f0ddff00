//! Sends a report of the session every few seconds to the port above its own (RTCP), and a BYE at its end.
//!
//! Receivers that play several streams lay them side by side by it; the others do not listen there.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use antiphon_domain::HubTime;

use super::Session;
use crate::wire::rtcp::Report;

/// The least interval of RFC 3550, 6.2.
const EVERY: Duration = Duration::from_secs(5);

/// The reports of one session.
pub struct Reporter {
    sockets: Vec<UdpSocket>,
    name: String,
    next: HubTime,
    last: Option<Report>,
}

impl Reporter {
    /// Reports beside the session; to nobody where no port is above its own or none can be opened.
    pub fn new(session: &Session) -> Self {
        let to = session.place.to;
        let open = |port| {
            let to = SocketAddr::new(to.ip(), port);
            antiphon_net::senders(to, session.options.interfaces.as_deref(), session.place.ttl).ok()
        };
        let sockets = to.port().checked_add(1).and_then(open).unwrap_or_default();
        // user@host is the usual form; ours has no user (RFC 3550, 6.5.1).
        let host = sockets.first().and_then(|socket| socket.local_addr().ok());
        let name = host.map_or_else(|| "antiphon".to_owned(), |host| format!("antiphon@{}", host.ip()));
        Self { sockets, name, next: HubTime::from_nanos(i64::MIN), last: None }
    }

    /// A packet of a source leaves whose moment by `timestamp` was at `now`, so long ago as it is `behind`; so many packets
    /// and bytes of samples left before. Reports when it is time to.
    pub fn tick(
        &mut self,
        now: HubTime,
        behind: Duration,
        (source, timestamp): (u32, u32),
        (packets, bytes): (u32, u32),
    ) {
        if now < self.next {
            return;
        }
        self.next = now + EVERY;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_nanos = u64::try_from(since.saturating_sub(behind).as_nanos()).unwrap_or(0);
        let report = Report { source, unix_nanos, timestamp, packets, bytes };
        self.send(&report.bytes(&self.name, false));
        self.last = Some(report);
    }

    fn send(&self, packet: &[u8]) {
        for socket in &self.sockets {
            // Nobody need listen.
            let _ = socket.send(packet);
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(report) = &self.last {
            self.send(&report.bytes(&self.name, true));
        }
    }
}
