//! Files fetched to be played later, also without the network: assets of alarms.
//!
//! Each fetch runs on a thread of its own. A file appears at its place whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use antiphon_domain::media::{MediaError, MediaErrorKind, without_secrets};
use antiphon_endpoint::Clock;

use crate::download::{self, Download};
use crate::source::{SourceSettings, failure};

/// How much is fetched at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// Bytes of the file.
    pub bytes: u64,
    /// Time for all of it.
    pub time: Duration,
}

impl Default for FetchLimits {
    /// 10 MB in a minute.
    fn default() -> Self {
        Self { bytes: 10_000_000, time: Duration::from_secs(60) }
    }
}

/// Where it is told that the file is there (its bytes) or why not. Called once, on a thread of the fetch's own; not at
/// all once the [`Fetch`] was dropped.
pub type FetchSink = Box<dyn FnOnce(Result<u64, MediaError>) + Send>;

/// A fetch on its way. Dropping it cancels it; nothing stays on the disk then.
pub struct Fetch {
    stop: Arc<AtomicBool>,
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

pub(crate) fn open(
    url: &str,
    to: &Path,
    limits: FetchLimits,
    settings: SourceSettings,
    clock: Arc<dyn Clock>,
    sink: FetchSink,
) -> Fetch {
    let stop = Arc::new(AtomicBool::new(false));
    let (url, to, stopped) = (url.to_owned(), to.to_owned(), Arc::clone(&stop));
    // Kept outside of the thread's closure, which is lost when there is no thread.
    let sink = Arc::new(std::sync::Mutex::new(Some(sink)));
    let for_thread = Arc::clone(&sink);
    let spawned = thread::Builder::new().name("antiphon-fetch".into()).spawn(move || {
        let fetched = fetch(&url, &to, limits, &settings, clock.as_ref(), &stopped);
        if !stopped.load(Ordering::Acquire) {
            tell(&for_thread, fetched);
        }
    });
    if let Err(error) = spawned {
        tell(&sink, Err(failure::device(format!("no thread to fetch with: {error}"))));
    }
    Fetch { stop }
}

fn tell(sink: &std::sync::Mutex<Option<FetchSink>>, fetched: Result<u64, MediaError>) {
    if let Some(sink) = sink.lock().ok().and_then(|mut sink| sink.take()) {
        sink(fetched);
    }
}

fn fetch(
    url: &str,
    to: &Path,
    limits: FetchLimits,
    settings: &SourceSettings,
    clock: &dyn Clock,
    stop: &AtomicBool,
) -> Result<u64, MediaError> {
    if !failure::is_http(url) {
        return Err(MediaError {
            kind: MediaErrorKind::InvalidRequest,
            message: format!("{:?} is not an http or https URL", without_secrets(url)),
        });
    }
    let beside = beside(to);
    let done = write(url, &beside, to, limits, settings, clock, stop);
    if done.is_err() {
        // It may never have been made.
        let _ = fs::remove_file(&beside);
    }
    done
}

fn write(
    url: &str,
    beside: &Path,
    to: &Path,
    limits: FetchLimits,
    settings: &SourceSettings,
    clock: &dyn Clock,
    stop: &AtomicBool,
) -> Result<u64, MediaError> {
    let disk = |error: std::io::Error| failure::device(format!("{}: {error}", to.display()));
    let mut file = File::create(beside).map_err(disk)?;
    let order = Download {
        url,
        headers: &[],
        user_agent: &settings.user_agent,
        most: limits.bytes,
        time: limits.time,
    };
    let fetched = download::run(&order, clock, stop, &mut |part| file.write_all(part))?;
    if fetched.bytes == 0 {
        return Err(MediaError { kind: MediaErrorKind::Unknown, message: "it is empty".into() });
    }
    // On the disk before it has its name: after a power cut it is whole or not there.
    file.sync_all().map_err(disk)?;
    fs::rename(beside, to).map_err(disk)?;
    Ok(fetched.bytes)
}

/// A name in the same folder that nobody else uses.
fn beside(to: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{number}.part", std::process::id()));
    to.with_file_name(name)
}
