//! Judging real-time sound on a machine that others use too. A thread that does nothing but wake up every few
//! milliseconds tells whether the machine let us run: if it was not woken for as long as a speaker's buffer lasts, what
//! was heard says nothing about the hub.
#![allow(clippy::expect_used, reason = "a test ends where something is not as it must be")]

use std::panic::{UnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A virtual speaker's lead is 80 ms; blocks are handed out 20 ms earlier, by two threads one after the other.
const STALL: Duration = Duration::from_millis(35);
/// How often a machine may disturb.
const TRIES: usize = 4;

/// Runs a scenario, and once more when it failed while the machine stalled.
pub fn calmly(scenario: impl Fn() + UnwindSafe + std::panic::RefUnwindSafe) {
    for attempt in 1.. {
        let canary = Canary::start();
        let done = catch_unwind(&scenario);
        let stall = canary.stop();
        match done {
            Ok(()) => return,
            Err(_) if stall > STALL && attempt < TRIES => {
                eprintln!("the machine did not let us run for {stall:?}; once more");
            }
            Err(why) => {
                eprintln!("the longest this machine did not let us run was {stall:?}");
                resume_unwind(why);
            }
        }
    }
}

/// The thread.
struct Canary {
    over: Arc<AtomicBool>,
    worst: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Canary {
    fn start() -> Self {
        const NAP: Duration = Duration::from_millis(4);
        let (over, worst) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (done, told) = (over.clone(), worst.clone());
        let thread = std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                let asleep = Instant::now();
                std::thread::sleep(NAP);
                let late = asleep.elapsed().saturating_sub(NAP);
                told.fetch_max(late.as_micros() as u64, Ordering::Relaxed);
            }
        });
        Self { over, worst, thread }
    }

    /// The longest it overslept.
    fn stop(self) -> Duration {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only sleeps");
        Duration::from_micros(self.worst.load(Ordering::Relaxed))
    }
}
