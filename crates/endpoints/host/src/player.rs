//! The one thread that plays for all virtual speakers of a kind: it lets blocks fall due, measures them and writes files.
//!
//! Sessions reach it through bounded channels. It sleeps while there is no session.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use antiphon_audio::Block;
use antiphon_audio::meter::Meter;
use antiphon_domain::{HubTime, SampleRate};
use antiphon_endpoint::{Clock, EndpointEvent, EventSink, LostReason};
use tracing::{debug, warn};

use crate::front::Order;
use crate::wav::WavWriter;

/// How often it looks; what it does late nobody hears, only that it is in order counts.
const LOOK: Duration = Duration::from_millis(20);

/// How often a speaker that plays says how loud.
const METER_EVERY: Duration = Duration::from_millis(300);

/// A session as it reaches the thread.
pub(crate) struct Opened {
    pub orders: Receiver<Order>,
    pub clock: Arc<dyn Clock>,
    pub events: EventSink,
    /// Blocks that came too late to be heard, counted by the session.
    pub missed: Arc<AtomicU32>,
    pub file: Option<PathBuf>,
}

struct Session {
    opened: Opened,
    queue: VecDeque<Block>,
    meter: Meter,
    meter_since: HubTime,
    sounding: bool,
}

/// Files of this process by path: a session that opens one again goes on in it.
type Files = HashMap<PathBuf, WavWriter>;

/// Runs until the kind and every session are gone.
pub(crate) fn run(opened: &Receiver<Opened>) {
    let mut sessions: Vec<Session> = Vec::new();
    let mut files = Files::new();
    let mut kind_lives = true;
    while kind_lives || !sessions.is_empty() {
        let news = if sessions.is_empty() {
            opened.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else if kind_lives {
            opened.recv_timeout(LOOK)
        } else {
            std::thread::sleep(LOOK);
            Err(RecvTimeoutError::Timeout)
        };
        match news {
            Ok(new) => sessions.extend(begin(new, &mut files)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => kind_lives = false,
        }
        sessions.retain_mut(|session| session.look(&mut files));
    }
}

fn begin(opened: Opened, files: &mut Files) -> Option<Session> {
    if let Some(path) = &opened.file
        && !files.contains_key(path)
    {
        match WavWriter::create(path) {
            Ok(writer) => {
                files.insert(path.clone(), writer);
            }
            Err(error) => {
                (opened.events)(lost(path, &error));
                return None;
            }
        }
    }
    (opened.events)(EndpointEvent::Ready);
    let meter_since = opened.clock.now();
    Some(Session { opened, queue: VecDeque::new(), meter: Meter::new(), meter_since, sounding: false })
}

impl Session {
    /// Does what has become due; false when the session is over.
    fn look(&mut self, files: &mut Files) -> bool {
        let alive = self.take_orders();
        let now = self.opened.clock.now();
        if let Err(error) = self.play_due(now, files) {
            if let Some(path) = &self.opened.file {
                warn!(path = %path.display(), %error, "a virtual speaker cannot write");
                (self.opened.events)(lost(path, &error));
            }
            return false;
        }
        self.tell(now);
        if !alive
            && let Some(writer) = self.opened.file.as_ref().and_then(|path| files.get_mut(path))
            && let Err(error) = writer.finish()
        {
            debug!(%error, "the last header of a WAV file was not written");
        }
        alive
    }

    fn take_orders(&mut self) -> bool {
        loop {
            match self.opened.orders.try_recv() {
                Ok(Order::Play(block)) => self.queue.push_back(block),
                Ok(Order::Flush(from)) => self.queue.retain(|block| block.due < from),
                Err(std::sync::mpsc::TryRecvError::Empty) => return true,
                // What was still to come is silenced: the session was closed.
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn play_due(&mut self, now: HubTime, files: &mut Files) -> std::io::Result<()> {
        while let Some(block) = self.queue.front()
            && block.due <= now
        {
            self.meter.add(&block.samples);
            self.sounding = true;
            if let Some(writer) = self.opened.file.as_ref().and_then(|path| files.get_mut(path)) {
                writer.write(hub_frame(block.due), &block.samples)?;
            }
            self.queue.pop_front();
        }
        Ok(())
    }

    fn tell(&mut self, now: HubTime) {
        let missed = self.opened.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            (self.opened.events)(EndpointEvent::Underrun { blocks: missed });
        }
        if !self.sounding || now.since(self.meter_since) < METER_EVERY {
            return;
        }
        self.meter_since = now;
        // One reading of silence after the last sound, then none.
        self.sounding = !self.meter.is_empty();
        let reading = self.meter.take();
        let (rms_dbfs, peak_dbfs) = reading
            .map_or((antiphon_audio::meter::SILENCE_DBFS, antiphon_audio::meter::SILENCE_DBFS), |reading| {
                (reading.rms_dbfs, reading.peak_dbfs)
            });
        (self.opened.events)(EndpointEvent::Meter { rms_dbfs, peak_dbfs });
    }
}

/// The frame of the hub's clock nearest to a moment; 0 for what lies before the epoch.
fn hub_frame(due: HubTime) -> u64 {
    let nanos = u128::from(due.since(HubTime::EPOCH).as_nanos() as u64);
    ((nanos * u128::from(SampleRate::HUB.hertz()) + 500_000_000) / 1_000_000_000) as u64
}

fn lost(path: &Path, error: &std::io::Error) -> EndpointEvent {
    EndpointEvent::Lost(LostReason::Local(format!("{}: {error}", path.display())))
}
