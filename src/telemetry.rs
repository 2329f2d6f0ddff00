//! Sets up tracing: lower-case structured lines on standard error; `ANTIPHON_LOG` filters (default `info`).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Begins logging. A second call (a second hub in one test process) changes nothing.
pub fn init(default: &str) {
    let filter = EnvFilter::try_from_env("ANTIPHON_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}
