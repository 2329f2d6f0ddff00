//! What a receiver asks for by UDP: the time, and packets it missed.
//!
//! A task of its own, so that neither waits for an RTSP answer. Only datagrams from the receiver's address count.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use antiphon_audio::clock::{ClockFilter, Exchange};
use antiphon_domain::HubTime;
use antiphon_endpoint::{Clock, ClockReading, EndpointEvent, EventSink};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::driver::ring::Ring;
use crate::driver::stamped::Stamped;
use crate::metrics::SessionMetrics;
use crate::wire::rtp::{TIMING_PACKET, asked_at, resend_request, timing_answer, timing_request};

/// Packets sent again for one request at most: a receiver that lost more is better served by going on.
const RESENT_AT_ONCE: u16 = 256;

/// Time requests that wait for their answers at most; receivers ask once in seconds.
const WAITING: usize = 8;

/// Answers for one session.
pub struct Answers {
    /// The receiver.
    pub peer: IpAddr,
    /// Takes resend requests.
    pub control: UdpSocket,
    /// Takes timing requests.
    pub timing: Stamped,
    /// Our time.
    pub clock: Arc<dyn Clock>,
    /// What can be sent again.
    pub ring: Arc<Mutex<Ring>>,
    /// Told each time that resends happened.
    pub events: EventSink,
    /// Counted here.
    pub metrics: SessionMetrics,
    /// Becomes true with the first timing answer: from then on the receiver knows our time.
    pub timed: watch::Sender<bool>,
    /// Told when requests left by the receiver's clock.
    pub readings: Readings,
    /// How much longer than it took an answer about the time is made to look ([`Quirks::slow_time`]).
    ///
    /// [`Quirks::slow_time`]: crate::quirks::Quirks::slow_time
    pub slow: Duration,
}

/// A time request that waits for its answer.
struct Asked {
    request: [u8; TIMING_PACKET],
    from: SocketAddr,
    received: HubTime,
    answer_at: Instant,
}

/// The receiver's clock, as far as its time requests tell: each says when it left by that clock, and we know when it came;
/// so its clock minus ours is known but for the way there.
#[derive(Clone)]
pub struct Readings(Arc<Mutex<Reading>>);

struct Reading {
    clock: ClockFilter,
    /// What the way there is believed to take at most.
    longest: Duration,
}

impl Readings {
    /// Nothing is known yet of a receiver whose way is believed to take `longest` at most.
    pub fn new(longest: Duration) -> Self {
        Self(Arc::new(Mutex::new(Reading { clock: ClockFilter::new(), longest })))
    }

    /// A request that left at `theirs` came at `ours`.
    fn tell(&self, theirs: i64, ours: HubTime) {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let exchange = Exchange::one_way(theirs, ours, reading.longest);
        reading.clock.observe(exchange);
    }

    /// What is known of its clock now; `None` where its requests do not tell.
    pub fn at(&self, now: HubTime) -> Option<ClockReading> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clock.reading(now)?;
        Some(ClockReading {
            offset_nanos: known.offset_nanos,
            uncertainty: known.uncertainty,
            drift_ppm: known.drift_ppm,
        })
    }
}

impl Answers {
    /// Answers until it is aborted.
    pub async fn run(self) {
        let mut request = [0; 1500];
        let mut wish = [0; 1500];
        let mut waiting: VecDeque<Asked> = VecDeque::new();
        loop {
            let answer_at = waiting.front().map(|asked| asked.answer_at);
            tokio::select! {
                biased;
                () = sleep_until(answer_at.unwrap_or_else(Instant::now)), if answer_at.is_some() => {
                    if let Some(asked) = waiting.pop_front() {
                        self.answer(&asked).await;
                    }
                }
                taken = self.timing.recv(&mut request) => {
                    let woken = self.clock.now();
                    let age = taken.as_ref().map_or(Duration::ZERO, |arrival| arrival.age);
                    let taken = taken.map(|arrival| (arrival.length, arrival.from));
                    if let Some((length, from)) = self.checked(taken).await {
                        let Some(packet) = timing_request(&request[..length]) else {
                            self.metrics.garbage.inc();
                            continue;
                        };
                        let received = woken - age;
                        if let Some(theirs) = asked_at(&packet) {
                            self.readings.tell(theirs, received);
                        }
                        let answer_at = Instant::now() + self.slow.saturating_sub(age);
                        let asked = Asked { request: packet, from, received, answer_at };
                        if self.slow.is_zero() {
                            self.answer(&asked).await;
                        } else if waiting.len() < WAITING {
                            waiting.push_back(asked);
                        } else {
                            self.metrics.garbage.inc();
                        }
                    }
                }
                taken = self.control.recv_from(&mut wish) => {
                    if let Some((length, from)) = self.checked(taken).await {
                        self.resend(&wish[..length], from).await;
                    }
                }
            }
        }
    }

    /// Tells the time. What an answer is made slower by is taken from both ends alike, so that it says the same.
    async fn answer(&self, asked: &Asked) {
        let half = self.slow / 2;
        let answer = timing_answer(&asked.request, asked.received + half, self.clock.now() - half);
        // Lost like any datagram when it cannot be sent; the receiver asks again.
        let _ = self.timing.send_to(&answer, asked.from).await;
        self.metrics.timings.inc();
        self.timed.send_if_modified(|timed| !std::mem::replace(timed, true));
    }

    async fn checked(&self, taken: io::Result<(usize, SocketAddr)>) -> Option<(usize, SocketAddr)> {
        let Ok((length, from)) = taken else {
            // A system short of something; not to be asked in a tight loop.
            tokio::time::sleep(Duration::from_millis(20)).await;
            return None;
        };
        if from.ip() == self.peer {
            return Some((length, from));
        }
        self.metrics.garbage.inc();
        None
    }

    async fn resend(&self, request: &[u8], to: SocketAddr) {
        let Some(wish) = resend_request(request) else {
            self.metrics.garbage.inc();
            return;
        };
        let mut sent = 0;
        for nth in 0..wish.count.min(RESENT_AT_ONCE) {
            let sequence = wish.first.wrapping_add(nth);
            let packet = self.ring.lock().unwrap_or_else(PoisonError::into_inner).again(sequence);
            match packet {
                Some(packet) => {
                    if self.control.send_to(&packet, to).await.is_ok() {
                        sent += 1;
                    }
                }
                None => self.metrics.gone.inc(),
            }
        }
        if sent > 0 {
            self.metrics.resent.inc_by(u64::from(sent));
            (self.events)(EndpointEvent::Resent { packets: sent });
        }
    }
}
