//! The conversation of one session, from connecting to the farewell.
//!
//! One attempt: OPTIONS, ANNOUNCE, SETUP, RECORD (`opening`), then volume, FLUSH, what plays and a keep-alive as they are due. It ends when the
//! endpoint is dropped (TEARDOWN) or the receiver fails (one [`EndpointEvent::Lost`]); the lane and the answers end
//! with it. Each step has a time limit, so it always ends.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use antiphon_domain::Level;
use antiphon_endpoint::{Clock, EndpointEvent, EventSink, LostReason, NowPlaying, Order, SyncReport};
use prometheus::IntGauge;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::driver::answers::Readings;
use crate::driver::display::Display;
use crate::driver::lane::{FlushWish, Lane};
use crate::driver::rtsp::Rtsp;
use crate::driver::{Number, Target, opening};
use crate::metrics::SessionMetrics;
use crate::options::AirplayOptions;
use crate::wire::timeline::Timeline;
use crate::wire::{transport, volume};

/// Between two reports of how well the receiver keeps time.
const REPORTS: Duration = Duration::from_secs(1);

/// How long the receiver may take over TEARDOWN before the connection is simply closed.
const FAREWELL: Duration = Duration::from_secs(1);

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
    /// What plays, as told last.
    pub nows: watch::Receiver<Option<Arc<NowPlaying>>>,
}

/// What the handshake leaves behind.
pub struct Running {
    /// The conversation.
    pub rtsp: Rtsp,
    /// What the lane wants flushed.
    pub flushes: watch::Receiver<FlushWish>,
    /// What was flushed.
    pub flushed: watch::Sender<u64>,
    /// Which frame is heard when.
    pub timelines: watch::Receiver<Timeline>,
    /// What its time requests told of its clock.
    pub readings: Readings,
    /// Whether the receiver took our farewell.
    pub parted: bool,
    /// By which its remote control means this session.
    pub _number: Option<Number>,
    /// Holds the task that answers; dropped, it is aborted.
    pub _answers: JoinSet<()>,
}

impl Session {
    /// Runs to the end.
    pub async fn run(mut self, orders: Receiver<Order>) {
        let mut dropped = self.levels.clone();
        let speaker = self.target.speaker.clone();
        let _stay = self.target.leftovers.stay(&speaker);
        let begun = tokio::select! {
            begun = opening::begin(&mut self, orders) => begun,
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
                    let mut stream = running.rtsp.into_stream();
                    // One that is there is free for others at once, whatever it did with the farewell; one that is cut
                    // off is told again and again by the system.
                    let _ = stream.shutdown().await;
                    self.target.leftovers.keep(&speaker, stream);
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

    /// Until the endpoint is dropped or the receiver fails.
    async fn converse(&mut self, running: &mut Running) -> Result<(), LostReason> {
        let mut last = Instant::now();
        let mut display =
            Display::new(self.target.takes, self.options.answer_timeout, self.metrics.told.clone());
        let every = self.target.quirks.progress_every;
        let mut again = Instant::now();
        let mut reports = interval_at(Instant::now() + REPORTS, REPORTS);
        reports.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.nows.mark_changed();
        loop {
            let rtsp = &mut running.rtsp;
            tokio::select! {
                biased;
                wish = running.flushes.changed() => {
                    if wish.is_err() {
                        // The lane goes before us when the endpoint has gone, or the stream to the receiver has ended.
                        if self.levels.has_changed().is_ok() {
                            return Err(LostReason::Disconnected("the stream of sound ended".to_owned()));
                        }
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
                Ok(()) = self.nows.changed() => self.show(&mut display, running, false).await?,
                Ok(()) = running.timelines.changed() => self.show(&mut display, running, false).await?,
                _ = reports.tick() => {
                    if let Some(clock) = running.readings.at(self.clock.now()) {
                        let report = SyncReport { clock: Some(clock), ..SyncReport::default() };
                        (self.events)(EndpointEvent::Sync(report));
                    }
                    if every.is_some_and(|every| again.elapsed() >= every) {
                        again = Instant::now();
                        self.show(&mut display, running, true).await?;
                    }
                    continue;
                }
                reason = rtsp.ended() => return Err(reason),
                () = sleep_until(last + self.options.keep_alive) => {
                    rtsp.ask("OPTIONS", &[], None).await?;
                }
            }
            last = Instant::now();
        }
        let farewell = timeout(FAREWELL, running.rtsp.ask("TEARDOWN", &[], None)).await;
        running.parted = matches!(farewell, Ok(Ok(_)));
        if !running.parted {
            debug!(speaker = %self.target.speaker, "the receiver did not answer the farewell");
        }
        Ok(())
    }

    /// Tells the receiver what has changed of what plays.
    async fn show(
        &mut self,
        display: &mut Display,
        running: &mut Running,
        again: bool,
    ) -> Result<(), LostReason> {
        let now = self.nows.borrow_and_update().clone();
        let timeline = *running.timelines.borrow_and_update();
        let Some(now) = now else { return Ok(()) };
        display.show(&mut running.rtsp, &now, timeline, self.clock.now(), again).await
    }
}

/// Tells the receiver how loud to be.
pub async fn set_volume(rtsp: &mut Rtsp, level: Level) -> Result<(), LostReason> {
    let body = volume::body(level);
    rtsp.ask("SET_PARAMETER", &[], Some(("text/parameters", body.as_bytes()))).await?;
    Ok(())
}

async fn closed(levels: &mut watch::Receiver<Option<Level>>) {
    while levels.changed().await.is_ok() {}
}

/// What failed on this machine.
pub fn local(error: std::io::Error) -> LostReason {
    LostReason::Local(error.to_string())
}
