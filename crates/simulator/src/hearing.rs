//! Owns what was heard in one Recognize: the sound as far as it is kept, when each piece came, and the judgement of
//! its coding. Pure; `recognize` fills it while it arrives, tests and the admin API read it.

use std::time::{Duration, Instant};

use serde::Serialize;

/// Sound kept of one Recognize, bytes: a minute of PCM.
const MAX_KEPT: usize = 2 << 20;
/// Arrivals kept of one Recognize.
const MAX_CHUNKS: usize = 8192;
/// PCM: bytes a second (16 kHz, 16 bit, mono; SpeechRecognizer 2.3).
const PCM_RATE: u64 = 32_000;
/// Opus: bytes a second at 32 kbit/s.
const OPUS_RATE: u64 = 4_000;
/// Loudest quiet, of full scale: -45 dBFS.
const QUIET: f64 = 0.005_6;
/// PCM bytes looked at together for silence: 20 ms.
const WINDOW: usize = 640;

/// One Recognize as it was heard.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Hearing {
    /// Counts from 0 per device.
    pub index: usize,
    /// The event's messageId.
    pub message_id: String,
    /// The event's dialogRequestId.
    pub dialog_request_id: String,
    /// `CLOSE_TALK`, `NEAR_FIELD` or `FAR_FIELD`.
    pub profile: String,
    /// `AUDIO_L16_RATE_16000_CHANNELS_1` or `OPUS`.
    pub format: String,
    /// The sound, as far as it is kept (2 MiB).
    #[serde(skip)]
    pub audio: Vec<u8>,
    /// Bytes of sound that came.
    pub bytes: u64,
    /// When pieces came, and how many bytes had come by then (the first 8192 pieces).
    #[serde(skip)]
    pub chunks: Vec<(Instant, u64)>,
    /// When the metadata were whole.
    #[serde(skip)]
    pub started: Instant,
    /// When StopCapture was sent.
    #[serde(skip)]
    pub stop_sent: Option<Instant>,
    /// Bytes of sound that had come when StopCapture was sent.
    pub bytes_at_stop: Option<u64>,
    /// When the request ended.
    #[serde(skip)]
    pub ended: Option<Instant>,
    /// Whether it ended with its closing delimiter and END_STREAM.
    pub whole: bool,
}

impl Hearing {
    pub(crate) fn new(index: usize, message: &serde_json::Value) -> Self {
        let event = &message["event"];
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            index,
            message_id: text(&event["header"]["messageId"]),
            dialog_request_id: text(&event["header"]["dialogRequestId"]),
            profile: text(&event["payload"]["profile"]),
            format: text(&event["payload"]["format"]),
            audio: Vec::new(),
            bytes: 0,
            chunks: Vec::new(),
            started: Instant::now(),
            stop_sent: None,
            bytes_at_stop: None,
            ended: None,
            whole: false,
        }
    }

    pub(crate) fn push(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        let room = MAX_KEPT.saturating_sub(self.audio.len()).min(data.len());
        self.audio.extend_from_slice(&data[..room]);
        if self.chunks.len() < MAX_CHUNKS {
            self.chunks.push((Instant::now(), self.bytes));
        }
    }

    fn length(&self, bytes: u64) -> Duration {
        let rate = match self.format.as_str() {
            "OPUS" => self.opus_frame().map_or(OPUS_RATE, |frame| 50 * frame as u64),
            _ => PCM_RATE,
        };
        Duration::from_micros(bytes.saturating_mul(1_000_000) / rate)
    }

    /// How long the sound that came is.
    pub fn sound(&self) -> Duration {
        self.length(self.bytes)
    }

    /// By how much the sound was at most ahead of the clock, its first piece taken as just captured: near zero for a
    /// microphone, near its whole length for a file sent in one go.
    pub fn ahead(&self) -> Duration {
        self.against_clock(|sound, clock| sound.saturating_sub(clock))
    }

    /// By how much the sound at most lagged behind the clock, counted from its first piece.
    pub fn behind(&self) -> Duration {
        self.against_clock(|sound, clock| clock.saturating_sub(sound))
    }

    fn against_clock(&self, gap: impl Fn(Duration, Duration) -> Duration) -> Duration {
        let Some((first, begin)) = self.chunks.first() else { return Duration::ZERO };
        let gaps = self
            .chunks
            .iter()
            .map(|(at, bytes)| gap(self.length(bytes - begin), at.saturating_duration_since(*first)));
        gaps.max().unwrap_or_default()
    }

    /// For how long a PCM stream has been quiet, if there was speech before.
    pub(crate) fn quiet(&self) -> Duration {
        for (quiet, window) in self.audio.rchunks_exact(WINDOW).enumerate() {
            if loudness(window) > QUIET {
                return self.length((quiet * WINDOW) as u64);
            }
        }
        Duration::ZERO
    }

    /// What is wrong with the coding, once the request has ended.
    pub(crate) fn judge(&self, faults: &mut Vec<String>) {
        if self.format == "OPUS" {
            if self.opus_frame().is_none() {
                faults.push("audio: not mono Opus frames of 20 ms in 80 or 160 bytes each".to_owned());
            }
        } else if !self.bytes.is_multiple_of(2) {
            faults.push(format!("audio: {} bytes are not whole 16 bit samples", self.bytes));
        }
    }

    /// Bytes of one Opus frame: 80 at 32 kbit/s, 160 at 64 kbit/s, if the sound is made of such.
    fn opus_frame(&self) -> Option<usize> {
        [80, 160].into_iter().find(|size| {
            let whole = self.bytes.is_multiple_of(*size as u64);
            whole && self.audio.chunks_exact(*size).all(|frame| twenty_ms(frame[0]))
        })
    }
}

/// Whether a table-of-contents byte (RFC 6716, section 3.1) says mono and 20 ms.
fn twenty_ms(toc: u8) -> bool {
    let stereo = toc & 0b100 != 0;
    !stereo && matches!(toc >> 3, 1 | 5 | 9 | 13 | 15 | 19 | 23 | 27 | 31)
}

/// Root of the mean square of 16 bit samples, of full scale.
fn loudness(pcm: &[u8]) -> f64 {
    let mut sum = 0.0;
    let mut count = 0.0;
    for pair in pcm.chunks_exact(2) {
        let sample = f64::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0;
        sum += sample * sample;
        count += 1.0;
    }
    if count == 0.0 { 0.0 } else { (sum / count).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hearing(format: &str, data: &[u8]) -> Hearing {
        let mut hearing = Hearing::new(0, &json!({"event":{"payload":{"format":format}}}));
        hearing.push(data);
        hearing
    }

    fn faults(hearing: &Hearing) -> usize {
        let mut faults = Vec::new();
        hearing.judge(&mut faults);
        faults.len()
    }

    #[test]
    fn coding_is_judged() {
        let pcm = "AUDIO_L16_RATE_16000_CHANNELS_1";
        assert_eq!((faults(&hearing(pcm, &[0; 320])), faults(&hearing(pcm, &[0; 321]))), (0, 1));
        let mut opus = vec![0; 160];
        opus[0] = 9 << 3;
        opus[80] = 9 << 3 | 3;
        assert_eq!(faults(&hearing("OPUS", &opus)), 0);
        assert_eq!(hearing("OPUS", &opus).sound(), Duration::from_millis(40));
        opus[80] = 8 << 3;
        assert_eq!(hearing("OPUS", &opus).sound(), Duration::from_millis(20), "one frame of 64 kbit/s");
        assert_eq!(faults(&hearing("OPUS", &opus[..159])), 1);
    }

    #[test]
    fn silence_counts_only_after_speech() {
        let pcm = "AUDIO_L16_RATE_16000_CHANNELS_1";
        assert_eq!(hearing(pcm, &[0; 64_000]).quiet(), Duration::ZERO);
        let mut spoken = vec![0x20; 32_000];
        spoken.extend([0; 16_000]);
        assert_eq!(hearing(pcm, &spoken).quiet(), Duration::from_millis(500));
    }
}
