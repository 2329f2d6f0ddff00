//! What the rack played: samples by channel, and when each frame came by our clock.

use super::error::{LabError, LabResult};
use super::rack::{RATE, channel_map};
use crate::support::patience::wait_for;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How much sound the rack hands to the recorder at once: the error of [`Recording::frame_at`] is about this.
const FRAGMENT: Duration = Duration::from_millis(20);

/// A recording under way.
#[derive(Debug)]
pub struct Recorder {
    child: Child,
    heard: Arc<Mutex<Heard>>,
    reader: Option<JoinHandle<()>>,
    channels: usize,
}

#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    /// The earliest moment at which frame 0 can have been there, judged by every fragment that came.
    begin: Option<Instant>,
}

impl Recorder {
    pub(super) fn start(mut command: Command, channels: usize) -> LabResult<Self> {
        let trouble = |e: std::io::Error| LabError::failed("start the recorder", e);
        command.args(["--device=rack.monitor", "--raw", "--format=s16le", "--no-remix"]);
        command.arg(format!("--rate={RATE}")).arg(format!("--channels={channels}"));
        command.arg(format!("--channel-map={}", channel_map(0, channels)));
        command.arg(format!("--latency-msec={}", FRAGMENT.as_millis()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(trouble)?;
        let Some(mut out) = child.stdout.take() else {
            return Err(LabError::failed("start the recorder", "it has no output"));
        };
        let heard = Arc::new(Mutex::new(Heard::default()));
        let shared = Arc::clone(&heard);
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(count @ 1..) = out.read(&mut buffer) {
                let now = Instant::now();
                let mut heard = shared.lock().unwrap_or_else(PoisonError::into_inner);
                heard.bytes.extend_from_slice(&buffer[..count]);
                let length =
                    Duration::from_secs_f64((heard.bytes.len() / (2 * channels)) as f64 / f64::from(RATE));
                let begin = now.checked_sub(length).unwrap_or(now);
                heard.begin = Some(heard.begin.map_or(begin, |earliest| earliest.min(begin)));
            }
        });
        let mut recorder = Self { child, heard, reader: Some(reader), channels };
        recorder.wait_for_frames(1)?;
        Ok(recorder)
    }

    /// Frames recorded so far.
    pub fn frames(&self) -> usize {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).bytes.len() / (2 * self.channels)
    }

    /// Waits until so many frames are recorded.
    pub fn wait_for_frames(&mut self, frames: usize) -> LabResult<()> {
        let due = Duration::from_secs_f64(frames as f64 / f64::from(RATE));
        wait_for(due + Duration::from_secs(10), || (self.frames() >= frames).then_some(())).ok_or_else(|| {
            LabError::failed(format!("record {frames} frames"), format!("{} came", self.frames()))
        })
    }

    /// What was recorded so far; the recorder goes on.
    pub fn so_far(&self) -> Recording {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        Recording::from_bytes(&heard.bytes, self.channels, heard.begin)
    }

    /// What was recorded from frame `from` on; the recorder goes on. Cheaper than [`Recorder::so_far`] when much was
    /// recorded before.
    pub fn since(&self, from: usize) -> Recording {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = heard.bytes.get(from * 2 * self.channels..).unwrap_or_default();
        let begin = heard.begin.map(|begin| begin + Duration::from_secs_f64(from as f64 / f64::from(RATE)));
        Recording::from_bytes(bytes, self.channels, begin)
    }

    /// The frame that is recorded at `moment`, to about 20 ms (early rather than late).
    pub fn frame_at(&self, moment: Instant) -> Option<usize> {
        let begin = self.heard.lock().unwrap_or_else(PoisonError::into_inner).begin?;
        let since = moment.checked_duration_since(begin)?;
        Some((since.as_secs_f64() * f64::from(RATE)) as usize)
    }

    /// Ends the recording.
    pub fn finish(mut self) -> LabResult<Recording> {
        self.end();
        let recording = self.so_far();
        if recording.frames() == 0 {
            return Err(LabError::failed("record", "nothing came"));
        }
        Ok(recording)
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sound by channel. Output number n of the rack is the channels 2n-2 (left) and 2n-1 (right).
#[derive(Debug, Clone)]
pub struct Recording {
    channels: Vec<Vec<f32>>,
    begin: Option<Instant>,
}

impl Recording {
    fn from_bytes(bytes: &[u8], channels: usize, begin: Option<Instant>) -> Self {
        let frames = bytes.len() / (2 * channels);
        let mut split = vec![Vec::with_capacity(frames); channels];
        for frame in bytes.chunks_exact(2 * channels) {
            for (channel, sample) in split.iter_mut().zip(frame.chunks_exact(2)) {
                channel.push(f32::from(i16::from_le_bytes([sample[0], sample[1]])) / 32_768.0);
            }
        }
        Self { channels: split, begin }
    }

    /// Samples of one channel, -1 to 1, [`RATE`] of them a second.
    pub fn channel(&self, channel: usize) -> &[f32] {
        &self.channels[channel]
    }

    /// The left channel of output number `output` (from 1).
    pub fn output(&self, output: usize) -> &[f32] {
        self.channel(output * 2 - 2)
    }

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// The frame that was played at `moment`, to about 20 ms (late rather than early); `None` outside of the recording.
    pub fn frame_at(&self, moment: Instant) -> Option<usize> {
        let since = moment.checked_duration_since(self.begin?)?;
        let frame = (since.as_secs_f64() * f64::from(RATE)) as usize;
        (frame < self.frames()).then_some(frame)
    }

    /// Writes everything to a WAV file, to be listened to or kept.
    pub fn write_wav(&self, path: &Path) -> LabResult<()> {
        let channels: Vec<&[f32]> = self.channels.iter().map(Vec::as_slice).collect();
        crate::support::stimulus::write_wav(path, RATE, &channels)
            .map_err(|e| LabError::failed(format!("write {}", path.display()), e))
    }
}
