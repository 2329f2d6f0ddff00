//! The one thread that sends, for all sessions of the kind: it sleeps until the next packet's moment.
//!
//! It begins with the first session and waits without waking while there is none. A thread of its own with real-time
//! priority, not a task: a receiver's buffer may be 20 ms, and a millisecond's packet 48 frames.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use antiphon_audio::resample::fixed::To48;
use antiphon_endpoint::{EndpointEvent, LostReason};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tracing::debug;

use super::Session;
use super::lane::{Lane, Tick};

/// How long it sleeps at most, so that a new session or the end of one is seen.
const LONGEST: Duration = Duration::from_millis(10);

/// As the render thread, before everything ordinary.
const PRIORITY: u8 = 5;

/// A handle on the thread, which ends with it.
#[derive(Default)]
pub struct Pump {
    sessions: Mutex<Option<Sender<Session>>>,
}

impl Pump {
    /// Hands a session to the thread, which says whether it is ready.
    pub fn open(&self, session: Session) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = sessions.as_ref() else { return Self::start(&mut sessions, session) };
        if let Err(refused) = thread.send(session) {
            // It has died, which it should not; the next one may live.
            Self::start(&mut sessions, refused.0);
        }
    }

    fn start(sessions: &mut Option<Sender<Session>>, session: Session) {
        let (to, newcomers) = channel();
        let events = session.events.clone();
        match thread::Builder::new().name("antiphon-rtp".into()).spawn(move || run(&newcomers)) {
            Ok(_) => {
                // It was started just now and takes it.
                let _ = to.send(session);
                *sessions = Some(to);
            }
            Err(error) => {
                let reason = format!("no thread to send from: {error}");
                events(EndpointEvent::Lost(LostReason::Local(reason)));
            }
        }
    }
}

fn run(newcomers: &Receiver<Session>) {
    raise();
    let mut lanes: Vec<Lane> = Vec::new();
    let mut to48 = To48::new();
    loop {
        if lanes.is_empty() {
            let Ok(session) = newcomers.recv() else { return };
            lanes.extend(Lane::open(session));
        }
        while let Ok(session) = newcomers.try_recv() {
            lanes.extend(Lane::open(session));
        }
        let mut sleep = LONGEST;
        lanes.retain_mut(|lane| match lane.tick(&mut to48) {
            Tick::In(wait) => {
                sleep = sleep.min(wait);
                true
            }
            Tick::Over => false,
        });
        if !lanes.is_empty() {
            thread::sleep(sleep);
        }
    }
}

fn raise() {
    let Ok(priority) = ThreadPriorityValue::try_from(PRIORITY) else { return };
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    let raised =
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(priority), policy);
    if let Err(e) = raised {
        debug!(error = ?e, "the rtp thread has no real-time priority");
    }
}
