//! One session as the pump's thread sees it: orders in, packets out when their moment comes.

use std::hash::{BuildHasher, RandomState};
use std::net::UdpSocket;
use std::sync::atomic::Ordering;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use antiphon_audio::CHANNELS;
use antiphon_audio::resample::fixed::To48;
use antiphon_domain::HubTime;
use antiphon_endpoint::{EndpointEvent, LostReason, Order};
use tracing::{debug, info};

use super::Session;
use super::announcer::Announcer;
use super::reporter::Reporter;
use super::source::Source;
use crate::wire::rtp::{HEADER, Header};

/// Packets this much behind their moment are left out: their time is past for every receiver.
const PAST: Duration = Duration::from_millis(100);

/// How long another's clock may take to be found.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often that is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// How often it is told how well time is kept.
const REPORT: Duration = Duration::from_secs(1);

/// A packet that would leave later than this was placed by a clock that has been set back.
const FUTURE: Duration = Duration::from_secs(1);

/// When the pump must come again.
pub enum Tick {
    /// After this time at most.
    In(Duration),
    /// The session has ended.
    Over,
}

/// One session.
pub struct Lane {
    session: Session,
    sockets: Vec<UdpSocket>,
    /// There once the clock is known.
    announcer: Option<Announcer>,
    reporter: Reporter,
    /// Packets, and bytes of samples, sent so far; they wrap.
    sent: (u32, u32),
    source: Source,
    /// Names the session in its description.
    id: u64,
    /// Until when the clock must be known.
    give_up: HubTime,
    report_at: HubTime,
    /// The first frame of the next packet.
    next: i64,
    /// Timestamp of frame 0, which is nobody's business (RFC 3550, 5.1).
    offset: u32,
    sequence: u16,
    sender: u32,
    /// Whether the last packet was sent.
    flowing: bool,
    /// Whether anything sounded yet. From then on silence is sent, too: a receiver that is sent nothing need not keep its
    /// place (PulseAudio 16.1 does not), and the hub lets a session go that nobody plays to.
    begun: bool,
    /// Blocks that found no room since it was told last.
    refused: u32,
    samples: Vec<i16>,
    packet: Vec<u8>,
}

impl Lane {
    /// Opens its sockets, and says if that cannot be done.
    pub fn open(session: Session) -> Option<Self> {
        match Self::build(session) {
            Ok(lane) => {
                lane.session.metrics.sessions.inc();
                Some(lane)
            }
            Err((events, reason)) => {
                events(EndpointEvent::Lost(LostReason::Local(reason)));
                None
            }
        }
    }

    fn build(session: Session) -> Result<Self, (antiphon_endpoint::EventSink, String)> {
        let place = session.place;
        let failed = |reason: String| (session.events.clone(), reason);
        let sockets = antiphon_net::senders(place.to, session.options.interfaces.as_deref(), place.ttl)
            .map_err(|error| failed(format!("no way to send to {}: {error}", place.to)))?;
        if sockets.is_empty() {
            return Err(failed(format!("no interface to send to {} on", place.to)));
        }
        let source = Source::open(&place, &session.options).map_err(failed)?;
        let chance = RandomState::new();
        let (one, two) = (chance.hash_one(1), chance.hash_one(2));
        let now = session.clock.now();
        Ok(Self {
            sockets,
            announcer: None,
            reporter: Reporter::new(&session),
            sent: (0, 0),
            source,
            id: one >> 32,
            give_up: now + PATIENCE,
            report_at: now + REPORT,
            next: 0,
            // A clock that others know tells the time by its timestamps (mediaclk:direct=0).
            offset: if place.ptp.is_some() { 0 } else { one as u32 },
            sequence: two as u16,
            sender: (two >> 32) as u32,
            flowing: false,
            begun: false,
            refused: 0,
            samples: vec![0; place.frames as usize * CHANNELS],
            packet: Vec::with_capacity(HEADER + place.frames as usize * place.encoding.frame()),
            session,
        })
    }

    /// Begins to be heard, once the clock is known. `false` where it never will be.
    fn begin(&mut self, now: HubTime) -> Result<bool, String> {
        if !self.source.look(self.session.clock.as_ref(), now) {
            let place = &self.session.place;
            let nobody = || format!("no PTP clock in domain {}", place.ptp.unwrap_or(0));
            return if now < self.give_up { Ok(false) } else { Err(nobody()) };
        }
        let announcer = Announcer::new(&self.session, &self.sockets, self.id, &self.source.reference())
            .map_err(|error| format!("cannot announce: {error}"))?;
        self.announcer = Some(announcer);
        self.next = self.source.frame_at(now);
        info!(to = %self.session.place.to, "rtp session opened");
        (self.session.events)(EndpointEvent::Ready);
        Ok(true)
    }

    /// Takes orders and sends what is due.
    pub fn tick(&mut self, to48: &mut To48) -> Tick {
        if !self.take_orders(to48) {
            debug!(to = %self.session.place.to, "rtp session ended");
            return Tick::Over;
        }
        let now = self.session.clock.now();
        if self.announcer.is_none() {
            match self.begin(now) {
                Ok(true) => {}
                Ok(false) => return Tick::In(LOOK),
                Err(reason) => {
                    (self.session.events)(EndpointEvent::Lost(LostReason::Local(reason)));
                    return Tick::Over;
                }
            }
        }
        self.source.look(self.session.clock.as_ref(), now);
        let announced = self.announcer.as_mut().map_or(0, |announcer| announcer.tick(now));
        self.session.metrics.announced.inc_by(announced);
        let mut late = self.session.refused.swap(0, Ordering::Relaxed) + std::mem::take(&mut self.refused);
        let frames = i64::from(self.session.place.frames);
        let departs = self.departs();
        if now.since(departs) > PAST || departs.since(now) > FUTURE {
            let packets = (self.source.frame_at(now) - self.next) / frames;
            self.next += packets * frames;
            self.session.metrics.skipped.inc_by(u64::try_from(packets).unwrap_or(0));
            self.flowing = false;
        }
        while self.departs() <= now {
            late += self.send();
            self.next += frames;
        }
        if late > 0 {
            (self.session.events)(EndpointEvent::Underrun { blocks: late });
        }
        if self.flowing && now >= self.report_at {
            self.report_at = now + REPORT;
            if let Some(report) = self.source.report(now) {
                (self.session.events)(EndpointEvent::Sync(report));
            }
        }
        let idle = !self.begun && self.source.is_empty();
        Tick::In(if idle { Duration::MAX } else { self.departs().since(self.session.clock.now()) })
    }

    /// Whether the hub still holds the session.
    fn take_orders(&mut self, to48: &mut To48) -> bool {
        loop {
            match self.session.orders.try_recv() {
                Ok(Order::Play(block)) => {
                    if !self.source.play(&block, to48) {
                        self.session.metrics.refused.inc();
                        self.refused += 1;
                    }
                }
                Ok(Order::Flush(from)) => self.source.flush(from),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// When the next packet leaves.
    fn departs(&self) -> HubTime {
        self.source.departs(self.next)
    }

    /// Sends the next packet, where there is something to say; the blocks that missed it.
    fn send(&mut self) -> u32 {
        let departs = self.departs();
        let (sounds, late) = self.source.take(self.next, &mut self.samples);
        self.session.metrics.late.inc_by(u64::from(late));
        self.begun |= sounds;
        if !self.begun {
            return late;
        }
        let place = &self.session.place;
        let header = Header {
            marker: !self.flowing,
            payload_type: place.payload_type(),
            sequence: self.sequence,
            timestamp: (self.next as u32).wrapping_add(self.offset),
            source: self.sender,
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.flowing = true;
        let behind = self.session.clock.now().since(departs);
        self.reporter.tick(departs, behind, (self.sender, header.timestamp), self.sent);
        self.packet.clear();
        self.packet.extend_from_slice(&header.bytes());
        place.encoding.write(&self.samples, &mut self.packet);
        let bytes = (self.packet.len() - HEADER) as u32;
        self.sent = (self.sent.0.wrapping_add(1), self.sent.1.wrapping_add(bytes));
        let metrics = &self.session.metrics;
        metrics.departure.observe(behind.as_secs_f64());
        for socket in &self.sockets {
            match socket.send(&self.packet) {
                Ok(_) => metrics.packets.inc(),
                Err(_) => metrics.unsent.inc(),
            }
        }
        late
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // The farewell is said before the session counts as over.
        self.announcer = None;
        self.session.metrics.sessions.dec();
    }
}
