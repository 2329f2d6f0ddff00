//! The laboratory of the whole-hub tests (`tests/support` of the workspace), as far as it needs no hub.
#![allow(dead_code, reason = "the laboratory offers more than these tests use")]

#[path = "../../../../../tests/support/analysis.rs"]
pub mod analysis;
#[path = "../../../../../tests/support/lab/mod.rs"]
pub mod lab;
#[path = "../../../../../tests/support/patience.rs"]
pub mod patience;
#[path = "../../../../../tests/support/stimulus.rs"]
pub mod stimulus;

use std::io::Write;

use lab::error::{LabError, LabResult};

/// The value, or `None` after saying aloud what is missing; where `CI` is set nothing may be missing.
pub fn or_skip<T>(what: LabResult<T>) -> Option<T> {
    let things = match what {
        Ok(value) => return Some(value),
        Err(LabError::Missing(things)) => things.join(", "),
        Err(trouble) => panic!("the lab failed: {trouble}"),
    };
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(!std::env::var("CI").is_ok_and(|v| v != "false"), "{test} needs {things}, which CI must have");
    eprintln!("SKIPPED: {test}: this machine lacks {things}");
    // `make test` prints this file at its end.
    if let Some(path) = std::env::var_os("ANTIPHON_SKIPPED")
        && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = file.write_all(format!("  {test}: no {things}\n").as_bytes());
    }
    None
}
