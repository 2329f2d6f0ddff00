//! Owns the sound the simulator has to offer: which names and albums there are, and the made files, kept in a folder.
//!
//! - `tone-HZ.EXT`, `tone-HZ-Ns.EXT`: a sine of HZ (20 to 20,000), N seconds (30 if not said, at most 600), stereo,
//!   44,100 Hz, amplitude 0.25 of full scale (-12.04 dBFS peak) in both channels.
//! - `demo-N.EXT`, N from 1 to 3: a small melody of half a minute; together the album `demo`;
//!   `demo.EXT` is the first.
//! - EXT: `mp3`, `aac` (ADTS), `m4a` (AAC in MP4), `opus` (in Ogg), `ogg` (Vorbis), `flac`, `wav`.
//! - `TRACK.m3u8` (without EXT): HLS on demand, MPEG-TS segments of 2 s; `live-HZ.m3u8`: HLS live, for ever.
//! - `NAME.m3u`, `NAME.pls`: playlists of an album or track; `nested.m3u` names another.
//! - `say-TEXT.mp3`: speech. `cover.png`: a picture.
//! - `slow-NAME`: the same at 12,000 bytes a second; `cut-NAME`: the connection breaks in the middle.
//! - `404`, `500`, `stall` (begins, then no more bytes), `garbage` (claims to be MP3): what fails.
//!
//! WAV is written by `synth`; the rest is encoded by `gst-launch-1.0`, speech is spoken by `espeak-ng`.

pub(crate) mod make;
mod playlist;
pub(crate) mod serve;
mod synth;

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;

use crate::Error;

/// Longest text spoken, characters.
const MAX_SPEECH: usize = 2000;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Mp3,
    Aac,
    M4a,
    Opus,
    Vorbis,
    Flac,
    Wav,
}

impl Format {
    fn of(extension: &str) -> Option<Self> {
        Some(match extension {
            "mp3" => Self::Mp3,
            "aac" => Self::Aac,
            "m4a" => Self::M4a,
            "opus" => Self::Opus,
            "ogg" => Self::Vorbis,
            "flac" => Self::Flac,
            "wav" => Self::Wav,
            _ => return None,
        })
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Aac => "audio/aac",
            Self::M4a => "audio/mp4",
            Self::Opus | Self::Vorbis => "audio/ogg",
            Self::Flac => "audio/flac",
            Self::Wav => "audio/wav",
        }
    }
}

/// What is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sound {
    Tone { hertz: u32, seconds: u32 },
    Melody { number: u32 },
}

/// Reads a track's file name.
pub(crate) fn recipe(name: &str) -> Option<(Sound, Format)> {
    let (stem, extension) = name.split_once('.')?;
    let format = Format::of(extension)?;
    if stem == "demo" {
        return Some((Sound::Melody { number: 1 }, format));
    }
    if let Some(number) = stem.strip_prefix("demo-") {
        let number = number.parse().ok().filter(|number| (1..=3).contains(number))?;
        return Some((Sound::Melody { number }, format));
    }
    let tone = stem.strip_prefix("tone-")?;
    let (hertz, seconds) = match tone.split_once('-') {
        Some((hertz, length)) => (hertz, length.strip_suffix('s')?.parse().ok()?),
        None => (tone, 30),
    };
    let hertz = hertz.parse().ok()?;
    let fits = (20..=20_000).contains(&hertz) && (1..=600).contains(&seconds);
    fits.then_some((Sound::Tone { hertz, seconds }, format))
}

/// The URLs which `play NAME` means; `None` for a name that is nothing.
pub(crate) fn album(name: &str, base: &str) -> Option<Vec<String>> {
    if name.starts_with("http://") || name.starts_with("https://") {
        return Some(vec![name.to_owned()]);
    }
    let name = name.to_ascii_lowercase();
    let own = |file: &str| format!("{base}/{file}");
    match name.as_str() {
        "demo" | "music" | "something" | "some music" => {
            Some((1..=3).map(|n| own(&format!("demo-{n}.mp3"))).collect())
        }
        "tone" => Some(vec![own("tone-440.mp3")]),
        "404" | "500" | "stall" | "garbage" => Some(vec![own(&name)]),
        _ if recipe(&name).is_some() => Some(vec![own(&name)]),
        _ => {
            let file = format!("{name}.mp3");
            recipe(&file).map(|_| vec![own(&file)])
        }
    }
}

/// Requests remembered.
const MAX_FETCHED: usize = 1000;

/// One request for a medium.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Fetched {
    /// What was asked for, below `/media/`.
    pub name: String,
    /// When.
    #[serde(skip)]
    pub at: Instant,
    /// Its header lines, names in lower case.
    pub headers: Vec<(String, String)>,
}

/// The made files.
pub(crate) struct Tracks {
    folder: PathBuf,
    started: Instant,
    fetched: Mutex<VecDeque<Fetched>>,
    /// One lock a file being made, so that two who ask make it once.
    making: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Tracks {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, started: Instant::now(), fetched: Mutex::default(), making: Mutex::default() }
    }

    /// The bytes of a track, made now if it is new; `None` if there is no such track.
    pub(crate) async fn track(&self, name: &str) -> Option<Result<(Bytes, Format), Error>> {
        let (sound, format) = recipe(name)?;
        Some(self.kept(name, make::Source::Sound(sound), format).await.map(|bytes| (bytes, format)))
    }

    /// Remembers a request.
    pub(crate) fn note(&self, name: &str, headers: &http::HeaderMap) {
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if fetched.len() >= MAX_FETCHED {
            fetched.pop_front();
        }
        fetched.push_back(Fetched { name: name.to_owned(), at: Instant::now(), headers });
    }

    /// The requests for a medium, oldest first.
    pub(crate) fn fetched(&self, name: &str) -> Vec<Fetched> {
        let fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        fetched.iter().filter(|one| one.name == name).cloned().collect()
    }

    /// The playlist of a sound cut in segments, made now if it is new.
    async fn hls(&self, stem: &str, sound: Sound) -> Result<String, Error> {
        let name = format!("{stem}.m3u8");
        let bytes = self.kept(&name, make::Source::Segments(sound), Format::Aac).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A playlist; `None` if there is none of that name.
    async fn playlist(&self, name: &str, base: &str) -> Option<Result<(String, &'static str), Error>> {
        playlist::playlist(self, name, base, self.started).await
    }

    /// A segment, once the playlist that names it was asked for.
    async fn segment(&self, name: &str) -> Option<Bytes> {
        if !playlist::segment(name) {
            return None;
        }
        tokio::fs::read(self.folder.join(name)).await.ok().map(Bytes::from)
    }

    /// A spoken text as MP3.
    pub(crate) async fn speech(&self, text: &str) -> Result<Bytes, Error> {
        let text: String = text.chars().take(MAX_SPEECH).collect();
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let name = format!("speech-{:016x}.mp3", hasher.finish());
        self.kept(&name, make::Source::Speech(text), Format::Mp3).await
    }

    async fn kept(&self, name: &str, source: make::Source, format: Format) -> Result<Bytes, Error> {
        let path = self.folder.join(name);
        if let Ok(bytes) = tokio::fs::read(&path).await {
            return Ok(bytes.into());
        }
        let lock = {
            let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
            making.entry(name.to_owned()).or_default().clone()
        };
        let _guard = lock.lock().await;
        if let Ok(bytes) = tokio::fs::read(&path).await {
            return Ok(bytes.into());
        }
        let made = make::make(&self.folder, name, source, format).await;
        self.making.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(recipe("tone-440.mp3"), Some((Sound::Tone { hertz: 440, seconds: 30 }, Format::Mp3)));
        assert_eq!(
            recipe("tone-1000-5s.flac"),
            Some((Sound::Tone { hertz: 1000, seconds: 5 }, Format::Flac))
        );
        assert_eq!(recipe("demo-3.opus"), Some((Sound::Melody { number: 3 }, Format::Opus)));
        for wrong in
            ["", "tone-.mp3", "tone-5.mp3", "tone-440-0s.mp3", "demo-4.mp3", "../x.mp3", "tone-440.exe"]
        {
            assert_eq!(recipe(wrong), None, "{wrong}");
        }
        assert_eq!(album("demo", "B").unwrap().len(), 3);
        assert_eq!(album("Tone-660", "B").unwrap(), ["B/tone-660.mp3"]);
        assert_eq!(album("jazz", "B"), None);
    }
}
