//! Pictures of what is heard: fetched once for the whole house, a few kept, each of bounded size.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use antiphon_domain::media::MediaError;
use antiphon_endpoint::Artwork;
use antiphon_render::{Fetch, FetchLimits};
use tracing::debug;

use super::Coordinator;
use crate::messages::PictureNews;
use crate::parts::Parts;
use crate::post;

/// What one may be, bytes: the largest of AVS' sizes is a few hundred KiB (ours).
const MOST: u64 = 2 * 1024 * 1024;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// So many are kept or on their way: what is heard and was heard just now.
const KEPT: usize = 12;
/// Fetched at a time.
const AT_ONCE: usize = 4;
/// The longest address of one, bytes.
const LONGEST: usize = 4_096;

/// All that are known.
#[derive(Default)]
pub(super) struct Pictures {
    known: BTreeMap<String, Known>,
    /// Grows with each that is wanted: the least was wanted longest ago.
    turn: u64,
    news: Option<Recipient<PictureNews>>,
}

struct Known {
    state: State,
    wanted: u64,
}

enum State {
    /// Dropping it ends it.
    Coming(#[expect(dead_code, reason = "held for as long as it is wanted")] Fetch),
    Here(Artwork),
    /// It is not asked for again while it is remembered.
    Failed,
}

impl Pictures {
    /// Where fetches tell how they went.
    pub(super) fn news_to(&mut self, news: Recipient<PictureNews>) {
        self.news = Some(news);
    }

    /// The picture of that address, where it is here.
    pub(super) fn get(&self, url: &str) -> Option<Artwork> {
        match &self.known.get(url)?.state {
            State::Here(artwork) => Some(artwork.clone()),
            State::Coming(_) | State::Failed => None,
        }
    }

    /// These are wanted now: what is not here is fetched, what nobody has wanted for long goes.
    pub(super) fn want(&mut self, urls: Vec<String>, parts: &Parts) {
        self.turn += 1;
        let mut coming = self.known.values().filter(|k| matches!(k.state, State::Coming(_))).count();
        for url in urls {
            if let Some(known) = self.known.get_mut(&url) {
                known.wanted = self.turn;
                continue;
            }
            // The next look asks again.
            if coming >= AT_ONCE || url.len() > LONGEST {
                continue;
            }
            let Some(news) = &self.news else { return };
            let state = match fetch(&url, news.clone(), parts) {
                Ok(fetch) => State::Coming(fetch),
                Err(why) => {
                    debug!(why, "no picture");
                    State::Failed
                }
            };
            coming += 1;
            self.known.insert(url, Known { state, wanted: self.turn });
        }
        while self.known.len() > KEPT {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.wanted);
            let Some((url, known)) = oldest.map(|(url, known)| (url.clone(), known.wanted)) else { break };
            if known == self.turn {
                // All of them are heard now.
                break;
            }
            self.known.remove(&url);
        }
    }

    /// One has come, or not. Whether somebody waits for it.
    fn take(&mut self, url: &str, artwork: Option<Artwork>) -> bool {
        let Some(known) = self.known.get_mut(url) else { return false };
        known.state = artwork.map_or(State::Failed, State::Here);
        true
    }
}

fn fetch(url: &str, news: Recipient<PictureNews>, parts: &Parts) -> Result<Fetch, String> {
    let folder = parts.assets.join("pictures");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let path = folder.join(format!("{}-{}", std::process::id(), number()));
    let (name, file, metrics) = (url.to_owned(), path.clone(), parts.metrics.clone());
    let sink = Box::new(move |fetched: Result<u64, MediaError>| {
        // On the fetch's own thread: the actors' must not read files.
        let artwork = fetched
            .map_err(|e| debug!(why = e.message, "a picture cannot be had"))
            .ok()
            .and_then(|_| read(&file));
        // Read or not, it is not needed any more.
        let _ = fs::remove_file(&file);
        // Counted when refused.
        let _ = post::tell(&news, PictureNews { url: name, artwork }, &metrics);
    });
    Ok(parts.renderer.fetch(url, &path, FetchLimits { bytes: MOST, time: PATIENCE }, sink))
}

fn number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

fn read(file: &Path) -> Option<Artwork> {
    let bytes: Arc<[u8]> = fs::read(file).ok()?.into();
    Some(Artwork { media_type: media_type(&bytes)?.into(), bytes })
}

/// What it is by its first bytes, whatever the server called it; `None`: nothing that receivers show.
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        _ => None,
    }
}

/// Erases what a hub that was killed left behind.
pub(super) fn tidy(assets: &Path) {
    let folder: PathBuf = assets.join("pictures");
    // It may never have been there.
    let _ = fs::remove_dir_all(folder);
}

impl Handler<PictureNews> for Coordinator {
    type Result = ();

    fn handle(&mut self, message: PictureNews, _: &mut Self::Context) {
        self.pictures.take(&message.url, message.artwork);
        // Whoever waits for its turn has it now.
        self.touch_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_receivers_show_is_a_picture() {
        assert_eq!(media_type(&[0xff, 0xd8, 0xff, 0xe0]), Some("image/jpeg"));
        assert_eq!(media_type(b"\x89PNG\r\n\x1a\n..."), Some("image/png"));
        assert_eq!(media_type(b"<html>"), None);
        assert_eq!(media_type(b""), None);
    }
}
