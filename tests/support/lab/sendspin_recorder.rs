//! A Sendspin client of the reference library that puts down what it is sent: `tests/support/sendspin/recorder.py`.
//!
//! It does what it is told line by line and says what happened; sound is read back with the timestamps it came with.

use super::Lab;
use super::error::{LabError, LabResult};
use super::sendspin::python;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes before each chunk's PCM in the file.
const HEADER: usize = 28;

/// The client. It can be killed and started again; dropping it ends it.
#[derive(Debug)]
pub struct SendspinRecorder {
    child: Child,
    input: ChildStdin,
    said: Said,
    host: String,
    arguments: Vec<String>,
    sound: PathBuf,
}

/// A chunk as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When it is to be heard, microseconds of the server's clock.
    pub timestamp: i64,
    /// What the server said it had in hand, microseconds.
    pub send_ahead: u32,
    /// When it arrived, microseconds of the server's clock as the client knows it.
    pub arrival: i64,
    /// Frames in it.
    pub frames: usize,
    /// Decoded.
    pub pcm: Vec<u8>,
}

impl Lab {
    /// Starts a recorder called `name` on `host`. `arguments` are the script's, for example `--listen 8928` (then it is
    /// announced as `_sendspin._tcp`) or `--url ws://HOST:8927/sendspin`. It is the same client each time it runs there.
    pub fn sendspin_recorder(
        &self,
        host: &str,
        name: &str,
        arguments: &[&str],
    ) -> LabResult<SendspinRecorder> {
        let sound = self.folder().join(format!("sendspin-{name}.sound"));
        let key: String = name.bytes().cycle().take(32).map(|byte| format!("{byte:02x}")).collect();
        let mut all: Vec<String> = ["--name", name, "--key", &key, "--out"].map(str::to_owned).into();
        all.push(sound.display().to_string());
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let (child, input, said) = start(self, host, &all)?;
        Ok(SendspinRecorder { child, input, said, host: host.to_owned(), arguments: all, sound })
    }
}

impl SendspinRecorder {
    /// Tells it to do something.
    pub fn tell(&mut self, line: &str) {
        // One that has ended does nothing, and what it should have said is missed.
        let _ = writeln!(self.input, "{line}");
    }

    /// What it said so far.
    pub fn said(&self) -> Vec<Value> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How much it has said: what comes later is after this mark.
    pub fn mark(&self) -> usize {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until it says this after `mark`, as wanted; answers it, or all it said as the trouble.
    pub fn says(
        &self,
        event: &str,
        mark: usize,
        patience: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> LabResult<Value> {
        let until = Instant::now() + patience;
        loop {
            let said = self.said();
            let found = said.iter().skip(mark).find(|said| said["event"] == event && wanted(said));
            if let Some(found) = found {
                return Ok(found.clone());
            }
            if Instant::now() > until {
                let quiet: Vec<String> = said
                    .iter()
                    .skip(mark)
                    .filter(|said| said["event"] != "loudness")
                    .map(Value::to_string)
                    .collect();
                return Err(LabError::failed(format!("hear {event} of {}", self.host), quiet.join("\n")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All the sound it was sent.
    pub fn sound(&self) -> Vec<Heard> {
        let file = std::fs::read(&self.sound).unwrap_or_default();
        let mut rest = file.as_slice();
        let mut heard = Vec::new();
        while rest.len() >= HEADER {
            let long = |at: usize| i64::from_le_bytes(rest[at..at + 8].try_into().unwrap());
            let short = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            let (frames, size) = (short(20) as usize, short(24) as usize);
            // The last may not be whole yet.
            let Some(pcm) = rest.get(HEADER..HEADER + frames * size) else { break };
            heard.push(Heard {
                timestamp: long(0),
                send_ahead: short(8),
                arrival: long(12),
                frames,
                pcm: pcm.to_vec(),
            });
            rest = &rest[HEADER + frames * size..];
        }
        heard
    }

    /// Waits until it has so many chunks.
    pub fn has(&self, chunks: usize, patience: Duration) -> LabResult<Vec<Heard>> {
        let until = Instant::now() + patience;
        loop {
            let sound = self.sound();
            if sound.len() >= chunks {
                return Ok(sound);
            }
            if Instant::now() > until {
                let said: Vec<String> = self.said().iter().map(Value::to_string).collect();
                let what = format!("have {chunks} chunks at {}", self.host);
                return Err(LabError::failed(what, format!("{} came\n{}", sound.len(), said.join("\n"))));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it at once.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again after it was ended, as the same client.
    pub fn start_again(&mut self, lab: &Lab) -> LabResult<()> {
        self.kill9();
        let (child, input, said) = start(lab, &self.host, &self.arguments)?;
        (self.child, self.input, self.said) = (child, input, said);
        Ok(())
    }

    /// SIGSTOP: it keeps its sockets and does nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for SendspinRecorder {
    fn drop(&mut self) {
        self.thaw();
        self.kill9();
    }
}

/// What the client wrote so far, a value a line.
type Said = Arc<Mutex<Vec<Value>>>;

fn start(lab: &Lab, host: &str, arguments: &[String]) -> LabResult<(Child, ChildStdin, Said)> {
    let trouble = |e: std::io::Error| LabError::failed("start a recorder", e);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/sendspin/recorder.py");
    let log = lab.folder().join(format!("recorder-{host}.log"));
    let errors = std::fs::File::options().create(true).append(true).open(log).map_err(trouble)?;
    let mut command = lab.command(host, python()?);
    command.arg("-u").arg(script).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
    let mut child = command.spawn().map_err(trouble)?;
    let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let said = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&said);
    // Ends when the client does.
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Ok(value) = serde_json::from_str(&line) {
                keep.lock().unwrap_or_else(PoisonError::into_inner).push(value);
            }
        }
    });
    Ok((child, input, said))
}
