//! The socket of a session: one task that carries bytes between the server and the [`Talk`], and tells what happens.
//!
//! It ends when the endpoint is dropped (the connection closes, and the server ends the stream with it) or when the
//! server is lost (one [`EndpointEvent::Lost`]). Every wait has an end: connecting by [`Place::connect`], answers by the
//! talk's own deadlines, a socket that takes nothing by those too, as the questions wait in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use antiphon_audio::playout::Report;
use antiphon_domain::SpeakerId;
use antiphon_endpoint::{Clock, ClockReading, EndpointEvent, EventSink, LostReason, SyncReport, TimingError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::depth::Depth;
use super::endpoint::{Order, Orders};
use super::levels::{Levels, Turned};
use super::place::{Place, Wire};
use super::talk::{News, Talk};
use super::wire::message::COOKIE;
use crate::metrics::SessionMetrics;

/// Bytes read at once; what servers send is little.
const READ: usize = 8 * 1024;

/// All a session needs to run.
pub(crate) struct Session {
    pub speaker: SpeakerId,
    /// Absent: this machine has no server.
    pub place: Option<Place>,
    pub sink: String,
    pub depth: Depth,
    pub own_volume: bool,
    pub cookie: Option<PathBuf>,
    pub orders: Orders,
    pub clock: Arc<dyn Clock>,
    pub events: EventSink,
    pub metrics: SessionMetrics,
}

impl Session {
    /// Runs to the end.
    pub(crate) async fn run(mut self) {
        let mut dropped = self.orders.level.clone();
        let ended = tokio::select! {
            ended = self.converse() => ended,
            () = async { while dropped.changed().await.is_ok() {} } => Ok(()),
        };
        let speaker = &self.speaker;
        match ended {
            Ok(()) => info!(%speaker, "pulse session closed"),
            Err(reason) => {
                warn!(%speaker, %reason, "pulse session lost");
                self.metrics.lost.inc();
                (self.events)(EndpointEvent::Lost(reason));
            }
        }
    }

    async fn converse(&mut self) -> Result<(), LostReason> {
        let place = self.place.as_ref();
        let place = place
            .ok_or_else(|| LostReason::Local("this machine has no PulseAudio or PipeWire".to_owned()))?;
        let (wire, address) = place.connect().await?;
        let cookie = cookie(self.cookie.as_deref()).await;
        let mut levels = Levels::new(self.own_volume);
        if let Some(level) = *self.orders.level.borrow_and_update() {
            levels.wish(level);
        }
        let mut talk = Talk::begin(self.sink.clone(), self.depth, levels, &cookie, self.clock.now());
        let ended = self.carry(&mut talk, wire).await;
        ended.map_err(|reason| match reason {
            // One that never spoke was never there.
            LostReason::Disconnected(cause) if !talk.is_up() => LostReason::Unreachable { address, cause },
            reason => reason,
        })
    }

    /// Carries bytes, blocks and levels until one side ends it.
    async fn carry(&mut self, talk: &mut Talk, wire: Box<dyn Wire>) -> Result<(), LostReason> {
        let (mut reader, mut writer) = tokio::io::split(wire);
        let mut bytes = vec![0; READ];
        loop {
            let now = self.clock.now();
            talk.tick(now)?;
            self.tell(talk);
            let refused = self.orders.refused.swap(0, Ordering::Relaxed);
            // Before it is ready nobody has promised to play.
            if refused > 0 && talk.is_ready() {
                self.late(refused);
            }
            let wait = talk.deadline().map_or(Duration::from_secs(1), |deadline| deadline.since(now));
            tokio::select! {
                biased;
                read = reader.read(&mut bytes) => {
                    let now = self.clock.now();
                    match read {
                        Ok(0) => return Err(LostReason::Disconnected("the server closed it".to_owned())),
                        Ok(count) => talk.hear(&bytes[..count], now)?,
                        Err(error) => return Err(LostReason::Disconnected(error.to_string())),
                    }
                }
                order = self.orders.queue.recv() => match order {
                    Some(order) => self.obey(talk, order),
                    None => return Ok(()),
                },
                changed = self.orders.level.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    if let Some(level) = *self.orders.level.borrow_and_update() {
                        talk.level(level, self.clock.now());
                    }
                }
                written = writer.write(talk.out()), if !talk.out().is_empty() => match written {
                    Ok(count) => {
                        self.metrics.bytes.inc_by(count as u64);
                        talk.sent(count);
                    }
                    Err(error) => return Err(LostReason::Disconnected(error.to_string())),
                },
                () = sleep(wait) => {}
            }
        }
    }

    fn obey(&mut self, talk: &mut Talk, order: Order) {
        match order {
            Order::Play(block) => {
                if !talk.play(&block) {
                    debug!(speaker = %self.speaker, "a block came too late");
                }
            }
            Order::Flush(from) => talk.flush(from),
        }
    }

    fn tell(&self, talk: &mut Talk) {
        while let Some(news) = talk.news() {
            match news {
                News::Ready => {
                    info!(speaker = %self.speaker, "pulse session ready");
                    (self.events)(EndpointEvent::Ready);
                }
                News::Turned(Turned::Volume(volume)) => (self.events)(EndpointEvent::VolumeTurned(volume)),
                News::Turned(Turned::Muted(muted)) => (self.events)(EndpointEvent::Muted(muted)),
                News::Meter(rms_dbfs, peak_dbfs) => {
                    (self.events)(EndpointEvent::Meter { rms_dbfs, peak_dbfs });
                }
                News::Late(blocks) => self.late(blocks),
                News::Report(report) if report.error_nanos.is_some() => {
                    (self.events)(EndpointEvent::Sync(sync(&report)));
                }
                News::Report(_) => {}
            }
        }
    }

    fn late(&self, blocks: u32) {
        self.metrics.late.inc_by(u64::from(blocks));
        (self.events)(EndpointEvent::Underrun { blocks });
    }
}

/// What a playout knows of itself, in the words of endpoints.
pub(crate) fn sync(report: &Report) -> SyncReport {
    let uncertainty = report.uncertainty;
    SyncReport {
        error: report.error_nanos.map(|nanos| TimingError { nanos, uncertainty }),
        clock: report.clock.map(|clock| ClockReading {
            offset_nanos: clock.offset_nanos,
            uncertainty: clock.uncertainty,
            drift_ppm: clock.drift_ppm,
        }),
        corrections: Some(report.corrections),
    }
}

/// The cookie that servers may want to see: the configured file, or the one PulseAudio's own programs use. Without a
/// file it is all zeroes, which servers that want none take as well.
async fn cookie(configured: Option<&Path>) -> [u8; COOKIE] {
    let from_environment = std::env::var_os("PULSE_COOKIE").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let usual = |path: &str| home.as_ref().map(|home| home.join(path));
    let places = [
        configured.map(Path::to_owned),
        from_environment,
        usual(".config/pulse/cookie"),
        usual(".pulse-cookie"),
    ];
    for path in places.into_iter().flatten() {
        match tokio::fs::read(&path).await {
            Ok(bytes) => match bytes.try_into() {
                Ok(cookie) => return cookie,
                Err(bytes) => {
                    let bytes: Vec<u8> = bytes;
                    warn!(path = %path.display(), length = bytes.len(), "not a PulseAudio cookie");
                }
            },
            Err(error) => debug!(path = %path.display(), %error, "no PulseAudio cookie"),
        }
    }
    [0; COOKIE]
}
