//! What the whole-hub tests share. A test file begins with `mod support;`.
//!
//! - [`lab`]: a private network with real receivers and rival senders, bad weather on its cables, and a rack of sound
//!   outputs that is recorded;
//! - [`alarms`]: setting alerts, and judging when and how loud they are heard;
//! - [`analysis`]: what a recording says: tone, level, gaps, offset between channels;
//! - [`bluez`]: a mocked BlueZ with a phone, on a bus of the test's own;
//! - [`calm`]: judging real-time sound on a busy machine;
//! - [`chromium`]: a real browser without a screen;
//! - [`hub`]: the hub on this machine against a simulated Alexa service, with virtual speakers that are recorded;
//! - [`midst`]: what a speaker can be in the midst of when something goes wrong, and what must be true then;
//! - [`mortal`]: virtual speakers whose actors die and whose receivers vanish when a test wants it;
//! - [`telling`]: what was told of streams, and that they were heard without a gap;
//! - [`sound`]: what a virtual speaker played;
//! - [`speech`]: what is said to a speaker, and what Alexa says there;
//! - [`house`]: in a lab, the hub as a program against a simulated Alexa service;
//! - [`puppet`]: virtual speakers that do and tell what a test says;
//! - [`login`]: logging in as people and their programs do, and what the hub keeps on disk;
//! - [`patience`]: waiting for a state instead of sleeping;
//! - [`teams`]: in a lab, receivers of several kinds and the senders that are compared;
//! - [`witness`]: virtual speakers that tell the hub's clock and can be made to take no sound.
//!
//! A test that needs what this machine has not says so aloud and passes: see [`or_skip`].
#![allow(dead_code, reason = "each test file compiles this module and uses its own part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]
#![allow(clippy::type_complexity, reason = "a helper of one test needs no alias")]

pub mod alarms;
pub mod analysis;
pub mod bluez;
pub mod calm;
pub mod chromium;
pub mod heard;
pub mod house;
pub mod hub;
pub mod lab;
pub mod login;
pub mod midst;
pub mod mortal;
pub mod patience;
pub mod puppet;
pub mod rooms;
pub mod sound;
pub mod speech;
pub mod stimulus;
pub mod teams;
pub mod telling;
pub mod witness;

use std::io::Write;

pub use lab::error::{LabError, LabResult};

/// The value, or `None` after saying aloud which test is skipped and what is missing. Where `CI` is set nothing
/// may be missing, so there the test fails, as it does everywhere for trouble of another sort.
///
/// ```ignore
/// let Some(lab) = support::or_skip(Lab::new(&["hub", "r1"])) else { return };
/// ```
pub fn or_skip<T>(what: LabResult<T>) -> Option<T> {
    match what {
        Ok(value) => Some(value),
        Err(LabError::Missing(things)) => {
            let things = things.join(", ");
            let test = std::thread::current().name().unwrap_or("a test").to_owned();
            assert!(
                !std::env::var("CI").is_ok_and(|v| v != "false"),
                "{test} needs {things}, which CI must have"
            );
            eprintln!("SKIPPED: {test}: this machine lacks {things}");
            note_skipped(&test, &things);
            None
        }
        Err(trouble) => panic!("the lab failed: {trouble}"),
    }
}

/// `make test` prints this file at its end: the output of a test that passed is not shown.
fn note_skipped(test: &str, things: &str) {
    let Some(path) = std::env::var_os("ANTIPHON_SKIPPED") else { return };
    let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path) else { return };
    let _ = file.write_all(format!("  {test}: no {things}\n").as_bytes());
}
