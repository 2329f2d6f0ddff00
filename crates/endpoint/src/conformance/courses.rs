//! Courses that sessions really take: late starts, holes, flushes in the midst of sound, news before they are ready.

use std::sync::Arc;
use std::time::Duration;

use antiphon_domain::{GroupId, HubTime, Level, Volume};

use super::{A_MOMENT, PATIENCE, Session, Setup, block, open_at};
use crate::{Artwork, Control, Descriptor, EndpointEvent, GroupNow, NowPlaying, Pace, PlayState};

/// How much earlier than its lead wants a block is handed out: as the render thread does.
const AHEAD: Duration = Duration::from_millis(40);

/// Each pace is kept in the session that was opened at it: a quick one wants no more lead than a steady one, and what
/// comes by its own lead comes in time.
pub fn each_pace_is_kept(setup: &Setup) {
    let promised = |pace| setup.kind.caps(&setup.descriptor, pace);
    let (steady, quick) = (promised(Pace::Steady), promised(Pace::Quick));
    assert!(
        quick.lead.0 <= steady.lead.0,
        "quick ({:?}) is slower than steady ({:?})",
        quick.lead,
        steady.lead
    );
    assert_eq!(quick.own_volume, steady.own_volume, "a pace changes who applies the volume");
    for pace in [Pace::Quick, Pace::Steady] {
        let mut session = Session::at(setup, pace);
        assert_eq!(session.endpoint.caps(), promised(pace), "caps change when a session opens at {pace:?}");
        let first = session.in_time();
        session.play_as_it_falls_due(first, 60);
        session.nothing_missed();
    }
}

/// A session that heard nothing for a while takes blocks as well as a new one.
pub fn a_late_start_is_as_good(setup: &Setup) {
    let mut session = Session::open(setup);
    session.rest(Duration::from_millis(1_500));
    let first = session.in_time();
    session.play_as_it_falls_due(first, 60);
    session.nothing_missed();
}

/// After a hole blocks go on, on another grid than before it, and come in time.
pub fn a_hole_is_only_a_hole(setup: &Setup) {
    let mut session = Session::open(setup);
    let first = session.in_time();
    session.play_as_it_falls_due(first, 40);
    // Neither whole blocks nor whole frames: so an offset that is changed makes it.
    let later = first + Duration::from_nanos(600_123_457);
    session.play_as_it_falls_due(later, 40);
    session.nothing_missed();
}

/// A flush while sound is heard, and sound again from as early as can be.
pub fn a_flush_in_the_midst_lets_sound_begin_anew(setup: &Setup) {
    let mut session = Session::open(setup);
    let first = session.in_time();
    session.play_as_it_falls_due(first, 80);
    for _ in 0..3 {
        let before = session.clock.now();
        session.endpoint.flush(before);
        let took = session.clock.now().since(before);
        assert!(took < A_MOMENT, "a flush took {took:?}");
        let again = session.in_time();
        session.play_as_it_falls_due(again, 40);
    }
    session.nothing_missed();
}

/// What is told before `Ready` (levels, what plays, blocks, a flush) is taken at once and ends nothing.
pub fn news_before_ready_is_taken(setup: &Setup) {
    let before = setup.clock.now();
    let (mut endpoint, events) = open_at(setup, &setup.descriptor, Pace::Steady);
    endpoint.control(Control::Level(Level { volume: Volume::SAFE, muted: false }));
    endpoint.control(Control::Now(Arc::new(now(1))));
    let due = setup.clock.now() + endpoint.caps().lead.0 + Duration::from_millis(300);
    for index in 0..20 {
        endpoint.play(&block(due, index));
    }
    endpoint.flush(due);
    for index in 0..20 {
        endpoint.play(&block(due, index));
    }
    let took = setup.clock.now().since(before);
    assert!(took < A_MOMENT, "what came before it was ready took {took:?}");
    let mut session = Session::ready(endpoint, events, setup);
    let first = session.in_time();
    session.endpoint.flush(HubTime::EPOCH);
    session.play_as_it_falls_due(first, 40);
    session.still_there();
}

/// What plays is told at once, however often and with whatever picture.
pub fn what_plays_is_taken_at_once(setup: &Setup) {
    let mut session = Session::open(setup);
    let first = session.in_time();
    session.play_as_it_falls_due(first, 20);
    let before = setup.clock.now();
    for n in 0..200 {
        session.endpoint.control(Control::Now(Arc::new(now(n))));
    }
    session.endpoint.control(Control::Now(Arc::default()));
    let took = setup.clock.now().since(before);
    assert!(took < A_MOMENT, "200 pieces of news took {took:?}");
    session.still_there();
}

/// A session that is dropped before it was ready harms no other.
pub fn one_dropped_before_ready_harms_no_other(setup: &Setup) {
    for _ in 0..3 {
        let before = setup.clock.now();
        drop(open_at(setup, &setup.descriptor, Pace::Steady));
        let took = setup.clock.now().since(before);
        assert!(took < A_MOMENT, "opening and dropping took {took:?}");
    }
    let mut session = Session::open(setup);
    let first = session.in_time();
    session.play_as_it_falls_due(first, 20);
    session.nothing_missed();
}

/// Two receivers of one kind beside each other: what becomes of one does not concern the other. For kinds that can show
/// two.
pub fn two_beside_each_other(setup: &Setup, other: &Descriptor) {
    let beside = Setup {
        kind: Arc::clone(&setup.kind),
        descriptor: other.clone(),
        refusing: None,
        clock: Arc::clone(&setup.clock),
    };
    let mut one = Session::open(setup);
    let mut two = Session::open(&beside);
    let first = one.in_time().max(two.in_time());
    for index in 0..40 {
        one.play(first, index);
        two.play(first, index);
    }
    two.endpoint.flush(first);
    drop(two);
    one.play_from(first, 40, 80);
    one.nothing_missed();
    drop(one);
    // And the other again, alone.
    let mut two = Session::open(&beside);
    let first = two.in_time();
    two.play_as_it_falls_due(first, 40);
    two.nothing_missed();
}

/// A receiver that is lost while it plays says so once, with nothing after it; and the next session plays, once it is
/// back. `lose` takes it away, `bring_back` gives it back.
pub fn what_was_lost_comes_again(setup: &Setup, lose: impl FnOnce(), bring_back: impl FnOnce()) {
    let mut session = Session::open(setup);
    let first = session.in_time();
    session.play_as_it_falls_due(first, 40);
    lose();
    let begun = setup.clock.now();
    let mut index = 40;
    loop {
        assert!(setup.clock.now().since(begun) < PATIENCE, "the loss was never told");
        session.play(first, index);
        index += 1;
        match session.events.recv_timeout(Duration::from_millis(8)) {
            Ok(EndpointEvent::Lost(_)) => break,
            Ok(EndpointEvent::Ready) => panic!("ready a second time"),
            _ => {}
        }
    }
    session.play(first, index);
    session.endpoint.control(Control::Level(Level { volume: Volume::SAFE, muted: false }));
    session.endpoint.flush(first);
    let after = session.events.recv_timeout(Duration::from_millis(300));
    assert!(after.is_err(), "{after:?} after the end");
    drop(session);
    bring_back();
    let mut session = Session::patiently(setup);
    let first = session.in_time();
    session.play_as_it_falls_due(first, 40);
    session.nothing_missed();
}

/// What plays, another each time.
fn now(n: u64) -> NowPlaying {
    // A picture of a MiB, which must not be copied for each.
    let bytes: Arc<[u8]> = vec![0xd8; 1024 * 1024].into();
    let artwork = (n % 64 == 1).then(|| Artwork { media_type: "image/jpeg".into(), bytes });
    NowPlaying {
        state: if n.is_multiple_of(3) { PlayState::Paused } else { PlayState::Playing },
        title: Some(format!("Title {n} \u{1f3b5} {}", "x".repeat((n as usize % 5) * 1_000))),
        artist: (!n.is_multiple_of(2)).then(|| "Artist".into()),
        album: Some(String::new()),
        artwork,
        position: Some((HubTime::from_nanos(n as i64 * 1_000_000), Duration::from_secs(n))),
        length: (n % 4 == 1).then_some(Duration::from_secs(u64::from(u32::MAX))),
        group: Some(GroupNow {
            id: GroupId::new("all"),
            name: "All\r\nof them".into(),
            volume: Volume::SAFE,
            muted: n.is_multiple_of(7),
        }),
    }
}

impl Session {
    /// Plays so many blocks, each as early as the render thread would hand it out.
    fn play_as_it_falls_due(&mut self, first: HubTime, blocks: u64) {
        self.play_from(first, 0, blocks);
    }

    fn play_from(&mut self, first: HubTime, from: u64, to: u64) {
        for index in from..to {
            let due = block(first, index).due;
            let latest = due - self.endpoint.caps().lead.0;
            self.rest((latest - AHEAD).since(self.clock.now()));
            self.late |= self.clock.now() > latest;
            self.play(first, index);
        }
    }

    /// Waits, and looks that the session does not end; what was missed meanwhile is kept for the end.
    fn rest(&mut self, long: Duration) {
        let until = self.clock.now() + long;
        loop {
            let left = until.since(self.clock.now());
            if left.is_zero() {
                return;
            }
            match self.events.recv_timeout(left) {
                Ok(EndpointEvent::Underrun { blocks }) => self.missed += blocks,
                Ok(event) => {
                    assert!(!matches!(event, EndpointEvent::Lost(_)), "the session ended: {event:?}");
                }
                Err(_) => return,
            }
        }
    }
}
