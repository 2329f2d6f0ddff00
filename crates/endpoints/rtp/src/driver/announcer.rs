//! Says that a session is there, again and again, and at its end that it is over.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use antiphon_domain::HubTime;

use super::Session;
use crate::wire::sap::{self, Act};
use crate::wire::sdp::{self, Reference};

/// PulseAudio's own group. It ends lines by LF when it announces and reads nothing else (16.1: "Failed to parse SDP data:
/// invalid header"), although RFC 8866, 5, wants CR LF.
const PULSEAUDIO: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 56));

/// The announcements of one session.
pub struct Announcer {
    /// Sockets, each with the packets that go out of it.
    ways: Vec<(UdpSocket, Vec<u8>, Vec<u8>)>,
    every: Duration,
    next: HubTime,
}

impl Announcer {
    /// Announces a session whose media leaves by `media`; nobody, where that is not wanted.
    pub fn new(session: &Session, media: &[UdpSocket], id: u64, reference: &Reference) -> io::Result<Self> {
        let mut ways = Vec::new();
        let place = &session.place;
        if !place.announce {
            return Ok(Self { ways, every: Duration::MAX, next: HubTime::from_nanos(i64::MAX) });
        }
        let every = session.options.announce_every;
        for at in session.options.announce_at.iter().filter(|at| at.is_ipv4() == place.to.is_ipv4()) {
            let to = SocketAddr::new(*at, sap::PORT);
            let sockets = antiphon_net::senders(to, session.options.interfaces.as_deref(), place.ttl)?;
            for socket in sockets {
                // By which interface the media leaves decides who it comes from.
                let origin = socket.local_addr()?.ip();
                let fits = |socket: &&UdpSocket| socket.local_addr().is_ok_and(|own| own.ip() == origin);
                let origin =
                    media.iter().find(fits).map_or(Ok(origin), |own| own.local_addr().map(|a| a.ip()))?;
                let mut text = description(session, origin, id, reference);
                if *at == PULSEAUDIO {
                    text = text.replace("\r\n", "\n");
                }
                let packet = |act| sap::packet(act, origin, &text);
                ways.push((socket, packet(Act::Announce), packet(Act::Delete)));
            }
        }
        Ok(Self { ways, every, next: HubTime::from_nanos(i64::MIN) })
    }

    /// Announces when it is time to; how many went out.
    pub fn tick(&mut self, now: HubTime) -> u64 {
        if now < self.next {
            return 0;
        }
        self.next = now + self.every;
        self.ways.iter().filter(|(socket, here, _)| socket.send(here).is_ok()).count() as u64
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        for (socket, _, gone) in &self.ways {
            // Nobody is left to be told that it failed.
            let _ = socket.send(gone);
        }
    }
}

fn description(session: &Session, origin: IpAddr, id: u64, reference: &Reference) -> String {
    let place = &session.place;
    sdp::Session {
        origin,
        id,
        name: &session.name,
        group: place.to.ip(),
        port: place.to.port(),
        ttl: place.ttl,
        payload_type: place.payload_type(),
        encoding: place.encoding,
        rate: place.rate,
        frames: place.frames,
        reference,
    }
    .text()
}
