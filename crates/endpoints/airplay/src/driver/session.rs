//! The conversation of one session, from connecting to the farewell.
//!
//! One attempt: OPTIONS, ANNOUNCE, SETUP, RECORD, then volume, FLUSH and a keep-alive as they are due. It ends when the
//! endpoint is dropped (TEARDOWN) or the receiver fails (one [`EndpointEvent::Lost`]); the lane and the answers end
//! with it. Each step has a time limit, so it always ends.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_domain::Level;
use antiphon_endpoint::{Clock, EndpointEvent, EventSink, LostReason};
use prometheus::IntGauge;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::driver::Target;
use crate::driver::answers::Answers;
use crate::driver::endpoint::Item;
use crate::driver::lane::{FlushWish, Lane, Wires};
use crate::driver::ring::Ring;
use crate::driver::rtsp::{self, Rtsp};
use crate::driver::stamped::Stamped;
use crate::metrics::SessionMetrics;
use crate::options::AirplayOptions;
use crate::wire::{sdp, transport, volume};

/// How long the receiver may take over TEARDOWN before the connection is simply closed.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long Ready waits for the receiver's first time request. Receivers ask at once after SETUP; one that does not
/// is played to all the same.
const FIRST_TIMING: Duration = Duration::from_millis(400);

/// How often, and how soon, a receiver that lets our former session go is asked again.
const LETTING_GO: (u32, Duration) = (10, Duration::from_millis(200));

/// Counts a session as open while it lives.
pub struct Open(IntGauge);

impl Open {
    /// Counted from now on.
    pub fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// All a session needs to run.
pub struct Session {
    pub options: AirplayOptions,
    pub target: Target,
    pub clock: Arc<dyn Clock>,
    pub events: EventSink,
    pub metrics: SessionMetrics,
    pub open: Open,
    pub pump: mpsc::Sender<Lane>,
    /// The level wished last; closed when the endpoint is dropped.
    pub levels: watch::Receiver<Option<Level>>,
}

/// What the handshake leaves behind.
struct Running {
    rtsp: Rtsp,
    flushes: watch::Receiver<FlushWish>,
    flushed: watch::Sender<u64>,
    /// Whether the receiver took our farewell.
    parted: bool,
    /// Holds the task that answers; dropped, it is aborted.
    _answers: JoinSet<()>,
}

impl Session {
    /// Runs to the end.
    pub async fn run(mut self, items: mpsc::Receiver<Item>) {
        let mut dropped = self.levels.clone();
        let speaker = self.target.speaker.clone();
        let begun = tokio::select! {
            begun = self.begin(items) => begun,
            () = closed(&mut dropped) => {
                // Closing the connection frees the receiver as well.
                debug!(%speaker, "airplay session given up while connecting");
                return;
            }
        };
        let outcome = match begun {
            Ok(mut running) => {
                info!(%speaker, "airplay session ready");
                (self.events)(EndpointEvent::Ready);
                let outcome = self.converse(&mut running).await;
                if !running.parted {
                    self.target.leftovers.keep(&speaker, running.rtsp.into_stream());
                }
                outcome
            }
            Err(reason) => Err(reason),
        };
        match outcome {
            Ok(()) => info!(%speaker, "airplay session closed"),
            Err(reason) => {
                warn!(%speaker, %reason, "airplay session lost");
                self.metrics.lost.inc();
                (self.events)(EndpointEvent::Lost(reason));
            }
        }
        drop(self.open);
    }

    async fn begin(&mut self, items: mpsc::Receiver<Item>) -> Result<Running, LostReason> {
        if let Some(refusal) = &self.target.refusal {
            return Err(refusal.clone());
        }
        let number: u32 = rand::random();
        let stream = rtsp::connect(&self.target, self.options.connect_timeout).await?;
        let mut rtsp =
            Rtsp::new(stream, number, rand::random(), self.options.answer_timeout).map_err(local)?;
        let (us, peer) = rtsp.ends().map_err(local)?;
        let forsaken = self.target.leftovers.reset(&self.target.speaker);
        rtsp.ask("OPTIONS", &[], None).await?;
        let description = sdp::announce(number, us.ip(), peer.ip());
        announce(&mut rtsp, &description, forsaken).await?;

        // Bound where the conversation runs, so that nothing listens on other interfaces.
        let control = bind(us).map_err(local)?;
        let timing = bind(us).map_err(local)?;
        let audio = bind(us).map_err(local)?;
        let control_out = control.try_clone().map_err(local)?;
        let ports = (control.local_addr().map_err(local)?.port(), timing.local_addr().map_err(local)?.port());
        let ring = Arc::new(Mutex::new(Ring::new()));
        let (timed, mut first_timing) = watch::channel(false);
        let answers = Answers {
            peer: peer.ip(),
            control: tokio::net::UdpSocket::from_std(control).map_err(local)?,
            timing: Stamped::new(timing).map_err(local)?,
            clock: Arc::clone(&self.clock),
            ring: Arc::clone(&ring),
            events: Arc::clone(&self.events),
            metrics: self.metrics.clone(),
            timed,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(answers.run());

        let wish = transport::request(ports.0, ports.1);
        let setup = rtsp.ask("SETUP", &[("Transport", &wish)], None).await?;
        let theirs = setup
            .header("Transport")
            .and_then(transport::parse)
            .ok_or_else(|| LostReason::Protocol("SETUP was answered without ports".to_owned()))?;
        audio.connect(with_port(peer, theirs.audio)).map_err(local)?;
        let (sequence, timestamp): (u16, u32) = (rand::random(), rand::random());
        let info = transport::rtp_info(sequence, timestamp);
        rtsp.ask("RECORD", &[("Range", "npt=0-"), ("RTP-Info", &info)], None).await?;
        let level = *self.levels.borrow_and_update();
        if let Some(level) = level {
            set_volume(&mut rtsp, level).await?;
        }
        if timeout(FIRST_TIMING, first_timing.wait_for(|timed| *timed)).await.is_err() {
            debug!(speaker = %self.target.speaker, "the receiver has not asked for the time yet");
        }

        let (to_flush, flushes) = watch::channel(FlushWish::default());
        let (flushed, from_flush) = watch::channel(0);
        let wires = Wires {
            items,
            audio,
            control: control_out,
            // A receiver that gave no control port is told on its audio port, which costs nothing.
            control_to: with_port(peer, if theirs.control == 0 { theirs.audio } else { theirs.control }),
            ring,
            flushes: to_flush,
            flushed: from_flush,
            clock: Arc::clone(&self.clock),
            events: Arc::clone(&self.events),
            metrics: self.metrics.clone(),
        };
        let lane = Lane::new(wires, self.options.bounded_lead(), sequence, timestamp, rand::random());
        if self.pump.send(lane).await.is_err() {
            return Err(LostReason::Local("the audio pump has ended".to_owned()));
        }
        Ok(Running { rtsp, flushes, flushed, parted: false, _answers: tasks })
    }

    /// Until the endpoint is dropped or the receiver fails.
    async fn converse(&mut self, running: &mut Running) -> Result<(), LostReason> {
        let rtsp = &mut running.rtsp;
        let mut last = Instant::now();
        loop {
            tokio::select! {
                biased;
                wish = running.flushes.changed() => {
                    if wish.is_err() {
                        // The lane goes before us only when the endpoint has gone.
                        break;
                    }
                    let wish = *running.flushes.borrow_and_update();
                    let info = transport::rtp_info(wish.sequence, wish.timestamp);
                    self.metrics.flushes.inc();
                    rtsp.ask("FLUSH", &[("RTP-Info", &info)], None).await?;
                    running.flushed.send_replace(wish.number);
                }
                changed = self.levels.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let level = *self.levels.borrow_and_update();
                    if let Some(level) = level {
                        set_volume(rtsp, level).await?;
                    }
                }
                reason = rtsp.ended() => return Err(reason),
                () = sleep_until(last + self.options.keep_alive) => {
                    rtsp.ask("OPTIONS", &[], None).await?;
                }
            }
            last = Instant::now();
        }
        running.parted = matches!(timeout(FAREWELL, rtsp.ask("TEARDOWN", &[], None)).await, Ok(Ok(_)));
        if !running.parted {
            debug!(speaker = %self.target.speaker, "the receiver did not answer the farewell");
        }
        Ok(())
    }
}

/// Asks for the session. A receiver that was `forsaken` by a former one of ours needs a moment to let that go.
async fn announce(rtsp: &mut Rtsp, description: &str, forsaken: bool) -> Result<(), LostReason> {
    let (mut times, pause) = LETTING_GO;
    loop {
        match rtsp.ask("ANNOUNCE", &[], Some((sdp::CONTENT_TYPE, description))).await {
            Err(LostReason::Busy) if forsaken && times > 0 => times -= 1,
            answer => return answer.map(drop),
        }
        sleep(pause).await;
    }
}

async fn set_volume(rtsp: &mut Rtsp, level: Level) -> Result<(), LostReason> {
    let body = volume::body(level);
    rtsp.ask("SET_PARAMETER", &[], Some(("text/parameters", &body))).await?;
    Ok(())
}

async fn closed(levels: &mut watch::Receiver<Option<Level>>) {
    while levels.changed().await.is_ok() {}
}

fn bind(us: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(with_port(us, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

fn local(error: std::io::Error) -> LostReason {
    LostReason::Local(error.to_string())
}
