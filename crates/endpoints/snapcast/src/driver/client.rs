//! One client that has said hello, as everybody who has to do with it sees it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use antiphon_domain::{HubTime, Level, Volume};
use antiphon_endpoint::{Clock, Descriptor, EndpointEvent, EventSink, LostReason};
use tokio::sync::watch;

use crate::driver::outlet::Outlet;
use crate::metrics::ClientMetrics;
use crate::wire::{ClientInfo, Settings, server_settings};

/// A connection with somebody at its other end.
pub struct Client {
    /// Who it is.
    pub descriptor: Descriptor,
    /// What is said to it.
    pub outlet: Outlet,
    /// Its counters.
    pub metrics: ClientMetrics,
    /// What it is to be set to; the connection tells it of every change.
    settings: watch::Sender<Settings>,
    /// What it was told last.
    told: Mutex<Settings>,
    /// Why the connection is to end, once it is.
    ending: watch::Sender<Option<LostReason>>,
    session: Mutex<Session>,
}

/// Who plays to it.
#[derive(Default)]
struct Session {
    /// Counts the sessions; the newest counts.
    number: u64,
    events: Option<EventSink>,
    /// Whether anything of it is heard.
    playing: bool,
    /// Until then it throws away what the session before had sent.
    quiet_until: HubTime,
}

impl Client {
    /// A client that just said hello.
    pub fn new(descriptor: Descriptor, outlet: Outlet, metrics: ClientMetrics, settings: Settings) -> Self {
        Self {
            descriptor,
            outlet,
            metrics,
            settings: watch::Sender::new(settings),
            told: Mutex::new(settings),
            ending: watch::Sender::new(None),
            session: Mutex::default(),
        }
    }

    /// Plays to it from now on; whoever did before does no more. The number is to be shown at each use.
    pub fn begin(&self, events: EventSink) -> u64 {
        let mut session = self.lock();
        session.number += 1;
        session.events = Some(events);
        session.playing = false;
        session.number
    }

    /// Whether session `number` is the one that counts.
    pub fn is_session(&self, number: u64) -> bool {
        let session = self.lock();
        session.number == number && session.events.is_some()
    }

    /// The session is over.
    pub fn end_session(&self, number: u64) {
        let mut session = self.lock();
        if session.number == number {
            session.events = None;
        }
    }

    /// Nothing may be sent to it before.
    pub fn quiet_until(&self) -> HubTime {
        self.lock().quiet_until
    }

    /// It is throwing away what it has.
    pub fn keep_quiet_until(&self, until: HubTime) {
        self.lock().quiet_until = until;
    }

    /// Says whether anything is being heard.
    pub fn set_playing(&self, number: u64, playing: bool) {
        let mut session = self.lock();
        if session.number == number {
            session.playing = playing;
        }
    }

    /// Whether anything is being heard.
    pub fn is_playing(&self) -> bool {
        let session = self.lock();
        session.playing && session.events.is_some()
    }

    /// Tells whoever plays to it.
    pub fn tell(&self, event: EndpointEvent) {
        let events = self.lock().events.clone();
        if let Some(events) = events {
            events(event);
        }
    }

    /// The connection has ended: tells the session, which ends with it.
    pub fn lose(&self, reason: LostReason) {
        let events = self.lock().events.take();
        if let Some(events) = events {
            events(EndpointEvent::Lost(reason));
        }
    }

    /// Asks the connection to end.
    pub fn hang_up(&self, reason: LostReason) {
        self.ending.send_if_modified(|ending| {
            let first = ending.is_none();
            ending.get_or_insert(reason);
            first
        });
    }

    /// To be told when it shall end.
    pub fn ending(&self) -> watch::Receiver<Option<LostReason>> {
        self.ending.subscribe()
    }

    /// To be told when its settings change.
    pub fn settings(&self) -> watch::Receiver<Settings> {
        self.settings.subscribe()
    }

    /// Its volume.
    pub fn level(&self) -> Level {
        self.settings.borrow().level
    }

    /// Sets its volume; the latest wins.
    pub fn set_level(&self, level: Level) {
        self.settings.send_if_modified(|settings| {
            let changed = settings.level != level;
            settings.level = level;
            changed
        });
    }

    /// Sets its buffer, and tells it at once, before anything that is sent after.
    pub fn set_buffer(&self, buffer_ms: u32, clock: &dyn Clock) {
        let changed = self.settings.send_if_modified(|settings| {
            let changed = settings.buffer_ms != buffer_ms;
            settings.buffer_ms = buffer_ms;
            changed
        });
        if changed {
            self.tell_settings(clock);
        }
    }

    /// Tells it what it is to be set to, if that is news.
    pub fn tell_settings(&self, clock: &dyn Clock) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let settings = *self.settings.borrow();
        if *told != settings {
            *told = settings;
            self.outlet.send(&server_settings(0, clock.now(), settings));
        }
    }

    /// Tells it again what it is to be set to.
    pub fn tell_again(&self, clock: &dyn Clock) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told = *self.settings.borrow();
        self.outlet.send(&server_settings(0, clock.now(), *told));
    }

    /// It says how loud it is. What we told it last is no news.
    pub fn informed(&self, info: ClientInfo) {
        let before = self.level();
        let now = Level { volume: info.volume, muted: info.muted };
        if before == now {
            return;
        }
        // It is so already: nobody has to be told.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.level = now;
        self.settings.send_if_modified(|settings| {
            settings.level = now;
            false
        });
        drop(told);
        if before.volume != now.volume {
            self.tell(EndpointEvent::VolumeTurned(now.volume));
        }
        if before.muted != now.muted {
            self.tell(EndpointEvent::Muted(now.muted));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client is told before anybody has set it: no sound is sent then, and the first one is at a safe level.
pub fn unknown_level() -> Level {
    Level { volume: Volume::SAFE, muted: false }
}
