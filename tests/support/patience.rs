//! Waiting for a state: asks again and again until there is an answer or patience ends.

use std::time::{Duration, Instant};

/// Asks `look` every 20 ms until it answers; `None` when `patience` has ended.
pub fn wait_for<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until `holds` is true; panics, naming `what`, when `patience` has ended.
pub fn eventually(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    assert!(
        wait_for(patience, || holds().then_some(())).is_some(),
        "waited {} s in vain: {what}",
        patience.as_secs_f32()
    );
}
