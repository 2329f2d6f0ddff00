//! The hub's program killed in the midst of everything a speaker can be in with Alexa, and started again: what must survive
//! does, what cannot is over, and the speaker is as good as before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use rustix::process::Signal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use support::hub::{PATIENCE, Setup};
use support::midst::{ALL, Between, obeys};

#[test]
fn killed_in_the_midst_of_everything() {
    let names = ALL.map(|(name, _)| name);
    let mut hub =
        Setup::new(&names).program().with_simulator(|o| o.code_interval = Duration::from_secs(1)).start();
    let afters = std::thread::scope(|scope| {
        let hub = &hub;
        let all = ALL.map(|(name, begin)| scope.spawn(move || begin(hub, name)));
        all.map(|one| one.join().unwrap())
    });
    hub.end(Signal::KILL);
    hub.start_again();
    hub.wait_linked();
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let hub = &hub;
        let all: Vec<_> = names
            .into_iter()
            .zip(afters)
            .map(|(name, after)| {
                let work = move || {
                    after(hub, name, Between::Death);
                    assert!(obeys(hub, name, 30, PATIENCE), "{name}: not as before");
                };
                (name, scope.spawn(move || catch_unwind(AssertUnwindSafe(work)).is_err()))
            })
            .collect();
        all.into_iter().filter_map(|(name, one)| one.join().unwrap().then_some(name)).collect()
    });
    assert!(failed.is_empty(), "{failed:?}");
    for name in names {
        let counts = hub.simulator().counts(name);
        assert_eq!(counts.refused_refreshes, 0, "{name}: {counts:?}");
    }
    hub.assert_no_violations();
}
