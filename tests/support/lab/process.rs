//! A program that the lab started: known by its pid, its output kept in a file, ended when dropped.

use super::error::{LabError, LabResult};
use crate::support::patience::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Ticks of a second in `/proc/PID/stat`: 100 on every Linux.
const TICKS: f64 = 100.0;

/// A running program. Dropping it asks it to end (SIGTERM) and, after two seconds, makes it (SIGKILL).
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` without input, its output and errors appended to `log`.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> LabResult<Self> {
        let trouble = |e: std::io::Error| LabError::failed(format!("start {name}"), e);
        let out = File::options().create(true).append(true).open(log).map_err(trouble)?;
        let errors = out.try_clone().map_err(trouble)?;
        command.stdin(Stdio::null()).stdout(out).stderr(errors);
        let child = command.spawn().map_err(trouble)?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// The program's own pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, or `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGKILL: it gets no chance to say goodbye. Returns when it is gone.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, then SIGKILL if it still runs after `grace`. Returns how it ended.
    pub fn stop(&mut self, grace: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        if wait_for(grace, || self.ended()).is_none() {
            self.kill9();
        }
        self.ended()
    }

    /// SIGSTOP: it keeps its sockets and does nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT: it goes on after [`Process::freeze`].
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGINT, as Ctrl-C sends.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // An ended child is a zombie until we wait for it, so the pid is still its own.
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until `ready` answers; fails, with the end of the log, when it ended before or patience did.
    pub fn ready<T>(&mut self, patience: Duration, mut ready: impl FnMut() -> Option<T>) -> LabResult<T> {
        let found = wait_for(patience, || match ready() {
            Some(found) => Some(Some(found)),
            None => self.ended().map(|_| None),
        });
        match found {
            Some(Some(found)) => Ok(found),
            Some(None) => Err(LabError::failed(format!("{} ended at once", self.name), self.log_tail())),
            None => Err(LabError::failed(format!("{} was not ready in time", self.name), self.log_tail())),
        }
    }

    /// All it has printed so far.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last twenty lines of what it printed.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Processor time used so far, user and system, in seconds.
    pub fn cpu_seconds(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
        let user: f64 = fields.next()?.parse().ok()?;
        let system: f64 = fields.next()?.parse().ok()?;
        Some((user + system) / TICKS)
    }

    /// Resident memory now, in KiB.
    pub fn resident_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.thaw();
            self.stop(Duration::from_secs(2));
        }
    }
}
