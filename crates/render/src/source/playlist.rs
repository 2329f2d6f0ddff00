//! Playlists as one stream: what a list names is played one after the other, decoded without a seam between.
//!
//! HLS is left to GStreamer; PLS and M3U, nested ones too, are resolved here, each list only when its turn comes. An
//! entry that cannot be played is passed over: in the lists of radio stations they are the same stream again.

use antiphon_domain::media::{Media, MediaError, MediaErrorKind, without_secrets};
use antiphon_domain::playlist::{self, Playlist};
use std::time::Duration;
use tracing::info;

use super::watch::{Manner, Work, play_one};
use crate::download::{self, Download};

/// The largest list that is read, in bytes.
const LARGEST: u64 = 256 * 1024;

/// Lists within lists, at most.
const DEPTH: usize = 4;

/// Entries of all lists of one stream, at most.
const ENTRIES: usize = 2_000;

/// Plays a URL, whatever it leads to. Why it ended too soon, if it did.
pub(super) fn play(work: &Work<'_>, media: &Media) -> Option<MediaError> {
    if !playlist::is_named_so(&media.url) {
        let before = frames(work);
        let error = play_one(work, media, Manner::default()).err()?;
        // A list that does not say so in its name is no sound to GStreamer.
        let nothing = frames(work) == before;
        if !nothing || error.kind != MediaErrorKind::InternalDeviceError || work.is_stopped() {
            return Some(error);
        }
        let Ok(Some(entries)) = read(work, media, &media.url) else { return Some(error) };
        return play_list(work, media, entries);
    }
    match read(work, media, &media.url) {
        Ok(Some(entries)) => play_list(work, media, entries),
        // HLS, or a stream by that name.
        Ok(None) => play_one(work, media, Manner::default()).err(),
        Err(error) => Some(error),
    }
}

fn frames(work: &Work<'_>) -> u64 {
    work.track.progress.pieces.load(std::sync::atomic::Ordering::Acquire)
}

fn play_list(work: &Work<'_>, media: &Media, entries: Vec<String>) -> Option<MediaError> {
    let alone = entries.len() == 1;
    let mut waiting: Vec<(String, usize)> = entries.into_iter().rev().map(|url| (url, 1)).collect();
    let mut known = waiting.len();
    let mut failure = Some(MediaError {
        kind: MediaErrorKind::InvalidRequest,
        message: "the playlist names nothing that can be played".into(),
    });
    let (mut first, mut heard) = (true, false);
    while let Some((url, depth)) = waiting.pop() {
        if work.is_stopped() || work.track.is_over() {
            return None;
        }
        let mut entry = media.entry(url);
        if playlist::is_named_so(&entry.url) {
            match read(work, &entry, &entry.url) {
                Ok(Some(entries)) if depth < DEPTH && known + entries.len() <= ENTRIES => {
                    known += entries.len();
                    waiting.extend(entries.into_iter().rev().map(|url| (url, depth + 1)));
                    continue;
                }
                Ok(Some(_)) => {
                    info!(url = %without_secrets(&entry.url), "a playlist leads too deep or too far");
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            }
        }
        // Where to begin and to end is counted over all that the list names.
        let manner = Manner { skip: !alone, ..Manner::default() };
        if !first {
            (entry.offset, entry.end) = (Duration::ZERO, None);
        }
        let before = frames(work);
        let played = play_one(work, &entry, manner);
        if frames(work) > before {
            first = false;
        }
        match played {
            Ok(()) => heard = true,
            Err(error) => failure = Some(error),
        }
    }
    failure.filter(|_| !heard)
}

/// The entries of a list; `None` when GStreamer can play it as it is.
fn read(work: &Work<'_>, media: &Media, url: &str) -> Result<Option<Vec<String>>, MediaError> {
    let order = Download {
        url,
        headers: &media.headers,
        user_agent: &work.settings.user_agent,
        most: LARGEST,
        time: work.settings.timeout,
    };
    let mut bytes = Vec::new();
    let fetched = download::run(&order, work.clock.as_ref(), &work.end.line.stop, &mut |part| {
        bytes.extend_from_slice(part);
        Ok(())
    });
    let end = match fetched {
        Ok(end) => end,
        // An endless stream by the name of a list: what came is enough to know.
        Err(error) if bytes.len() as u64 >= LARGEST => {
            info!(url = %without_secrets(url), message = %error.message, "not a list");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let base = end.url.as_deref().unwrap_or(url);
    Ok(match playlist::parse(&bytes) {
        Some(Playlist::Entries(entries)) => {
            Some(entries.iter().filter_map(|entry| playlist::resolve(base, entry)).collect())
        }
        Some(Playlist::Hls) | None => None,
    })
}
