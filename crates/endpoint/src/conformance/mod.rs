//! One suite that every kind runs in its tests: what the render thread and the actors may rely on.
//!
//! It drives a real endpoint through the traits alone and panics with the broken promise's name. It reads the time from
//! the clock it is given and waits only for events.

mod courses;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use antiphon_audio::{BLOCK_FRAMES, Block, CHANNELS};
use antiphon_domain::{Frames, HubTime, Level, SampleRate, Volume};

pub use courses::*;

use crate::{Clock, Control, Descriptor, Endpoint, EndpointEvent, EventSink, Kind, Pace};

/// How long the suite waits for an event that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Calls that never wait take microseconds; a busy machine may still take the processor away for a while.
const A_MOMENT: Duration = Duration::from_millis(250);

/// What the suite is run on.
pub struct Setup {
    /// The kind under test.
    pub kind: Arc<dyn Kind>,
    /// An endpoint that plays.
    pub descriptor: Descriptor,
    /// An endpoint that can be described but not opened, where there can be such a one.
    pub refusing: Option<Descriptor>,
    /// The hub's clock.
    pub clock: Arc<dyn Clock>,
}

/// Runs every check, one session after the other.
pub fn suite(setup: &Setup) {
    caps_hold(setup);
    play_never_waits(setup);
    late_blocks_are_taken_and_dropped(setup);
    a_flush_lets_a_new_time_begin(setup);
    controls_never_wait(setup);
    a_session_can_come_again(setup);
    each_pace_is_kept(setup);
    a_late_start_is_as_good(setup);
    a_hole_is_only_a_hole(setup);
    a_flush_in_the_midst_lets_sound_begin_anew(setup);
    news_before_ready_is_taken(setup);
    what_plays_is_taken_at_once(setup);
    one_dropped_before_ready_harms_no_other(setup);
    refusal_is_told(setup);
}

/// What is promised before a session holds in it, and is sensible.
pub fn caps_hold(setup: &Setup) {
    let session = Session::open(setup);
    let promised = setup.kind.caps(&setup.descriptor, Pace::Steady);
    assert_eq!(session.endpoint.caps(), promised, "caps change when a session opens");
    assert!(promised.lead.0 <= Duration::from_secs(5), "a lead of {:?} is no use", promised.lead);
    assert_eq!(setup.descriptor.kind, setup.kind.name(), "a descriptor names another kind");
}

/// Three seconds of blocks are taken at once, in less than a tenth of their length; and blocks that come in time are not
/// reported as missed.
pub fn play_never_waits(setup: &Setup) {
    let mut session = Session::open(setup);
    let first = session.in_time();
    let before = setup.clock.now();
    for index in 0..375 {
        session.play(first, index);
    }
    let took = setup.clock.now().since(before);
    assert!(took < Duration::from_millis(300), "375 blocks took {took:?}");
    session.endpoint.flush(first);
    session.nothing_missed();
}

/// Blocks whose time has passed cost nothing and end nothing.
pub fn late_blocks_are_taken_and_dropped(setup: &Setup) {
    let mut session = Session::open(setup);
    let past = setup.clock.now() - Duration::from_millis(1);
    for index in 0..5 {
        let due = past - Duration::from_secs(1);
        session.endpoint.play(&block(due, index));
    }
    let first = session.in_time();
    session.play(first, 0);
    session.still_there();
}

/// After a flush blocks may begin at a new, even an earlier moment.
pub fn a_flush_lets_a_new_time_begin(setup: &Setup) {
    let mut session = Session::open(setup);
    let first = session.in_time();
    let later = first + Duration::from_secs(1);
    for index in 0..20 {
        session.play(later, index);
    }
    let before = setup.clock.now();
    session.endpoint.flush(later);
    session.endpoint.flush(later);
    let took = setup.clock.now().since(before);
    assert!(took < A_MOMENT, "two flushes took {took:?}");
    for index in 0..20 {
        session.play(first, index);
    }
    session.nothing_missed();
}

/// A storm of levels is taken at once.
pub fn controls_never_wait(setup: &Setup) {
    let mut session = Session::open(setup);
    let before = setup.clock.now();
    for step in 0..1_000 {
        let Ok(volume) = Volume::new(step % 101) else { continue };
        session.endpoint.control(Control::Level(Level { volume, muted: step % 7 == 0 }));
    }
    let took = setup.clock.now().since(before);
    assert!(took < A_MOMENT, "1,000 levels took {took:?}");
    session.still_there();
}

/// Dropping a session does not wait, and frees the receiver for the next.
pub fn a_session_can_come_again(setup: &Setup) {
    for _ in 0..3 {
        let Session { endpoint, .. } = Session::open(setup);
        let before = setup.clock.now();
        drop(endpoint);
        let took = setup.clock.now().since(before);
        assert!(took < A_MOMENT, "dropping took {took:?}");
    }
}

/// An endpoint that cannot be opened says so by one `Lost`, never by `Ready`; and everything may still be called.
pub fn refusal_is_told(setup: &Setup) {
    let Some(refusing) = &setup.refusing else { return };
    let before = setup.clock.now();
    let (mut endpoint, events) = open(setup, refusing);
    let took = setup.clock.now().since(before);
    assert!(took < A_MOMENT, "opening took {took:?}");
    loop {
        let event = events.recv_timeout(PATIENCE).ok();
        match event {
            Some(EndpointEvent::Lost(_)) => break,
            Some(EndpointEvent::Ready) | None => panic!("a refusing endpoint said {event:?}"),
            Some(_) => {}
        }
    }
    endpoint.play(&block(setup.clock.now() + Duration::from_secs(1), 0));
    endpoint.flush(setup.clock.now());
}

struct Session {
    endpoint: Box<dyn Endpoint>,
    events: Receiver<EndpointEvent>,
    clock: Arc<dyn Clock>,
    /// Blocks that were missed, as far as it has been told.
    missed: u32,
    /// The machine let us hand out a block too late: then what was missed says nothing.
    late: bool,
}

fn open(setup: &Setup, descriptor: &Descriptor) -> (Box<dyn Endpoint>, Receiver<EndpointEvent>) {
    open_at(setup, descriptor, Pace::Steady)
}

fn open_at(
    setup: &Setup,
    descriptor: &Descriptor,
    pace: Pace,
) -> (Box<dyn Endpoint>, Receiver<EndpointEvent>) {
    let (told, events) = channel();
    let told = std::sync::Mutex::new(told);
    let sink: EventSink = Arc::new(move |event| {
        if let Ok(told) = told.lock() {
            // The suite may have lost interest.
            let _ = told.send(event);
        }
    });
    (setup.kind.open(descriptor, pace, Arc::clone(&setup.clock), sink), events)
}

impl Session {
    fn open(setup: &Setup) -> Self {
        Self::at(setup, Pace::Steady)
    }

    fn at(setup: &Setup, pace: Pace) -> Self {
        let before = setup.clock.now();
        let (endpoint, events) = open_at(setup, &setup.descriptor, pace);
        let took = setup.clock.now().since(before);
        assert!(took < A_MOMENT, "opening took {took:?}");
        Self::ready(endpoint, events, setup)
    }

    /// Tries again, as speakers do, until a session is there.
    fn patiently(setup: &Setup) -> Self {
        let begun = setup.clock.now();
        loop {
            let (endpoint, events) = open(setup, &setup.descriptor);
            loop {
                match events.recv_timeout(PATIENCE) {
                    Ok(EndpointEvent::Ready) => {
                        let clock = Arc::clone(&setup.clock);
                        return Self { endpoint, events, clock, missed: 0, late: false };
                    }
                    Ok(EndpointEvent::Lost(why)) => {
                        assert!(setup.clock.now().since(begun) < PATIENCE, "it does not come back: {why}");
                        drop(endpoint);
                        pause(Duration::from_millis(250));
                        break;
                    }
                    Ok(_) => {}
                    Err(_) => panic!("neither ready nor lost"),
                }
            }
        }
    }

    fn ready(endpoint: Box<dyn Endpoint>, events: Receiver<EndpointEvent>, setup: &Setup) -> Self {
        loop {
            let event = events.recv_timeout(PATIENCE).ok();
            match event {
                Some(EndpointEvent::Ready) => break,
                Some(EndpointEvent::Lost(_)) | None => panic!("no session: {event:?}"),
                Some(_) => {}
            }
        }
        Self { endpoint, events, clock: Arc::clone(&setup.clock), missed: 0, late: false }
    }

    /// A moment for which blocks come early enough.
    fn in_time(&self) -> HubTime {
        self.clock.now() + self.endpoint.caps().lead.0 + Duration::from_millis(300)
    }

    fn play(&mut self, first: HubTime, index: u64) {
        self.endpoint.play(&block(first, index));
    }

    /// Looks at the events for a while: nothing was lost and no block missed.
    fn nothing_missed(&mut self) {
        let late = self.late;
        assert!(late || self.missed == 0, "{} blocks that came in time were missed", self.missed);
        self.watch(|event| late || !matches!(event, EndpointEvent::Underrun { .. }));
    }

    fn still_there(&mut self) {
        self.watch(|_| true);
    }

    fn watch(&mut self, fine: impl Fn(&EndpointEvent) -> bool) {
        let until = self.clock.now() + Duration::from_millis(500);
        while let Ok(event) = self.events.recv_timeout(until.since(self.clock.now())) {
            assert!(!matches!(event, EndpointEvent::Lost(_)), "the session ended: {event:?}");
            assert!(fine(&event), "unexpected: {event:?}");
        }
    }
}

/// Waits, without a clock or a thread that sleeps.
fn pause(long: Duration) {
    let (nobody, never) = channel::<()>();
    // Nothing ever comes.
    let _ = never.recv_timeout(long);
    drop(nobody);
}

fn block(first: HubTime, index: u64) -> Block {
    let due = first + Frames(index * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
    Block { due, samples: vec![0; BLOCK_FRAMES * CHANNELS].into() }
}
