//! Fetched files: sounds of alerts that must be there without network and after a restart.
//!
//! Each speaker has a folder of its own; names are checked before they touch the disk, sizes are bounded. A few are
//! fetched at a time, each on a thread of its own; the rest wait in the order in which they were asked for.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::AssetId;
use antiphon_avs::signal::Signal;
use antiphon_domain::{HubTime, SpeakerId};
use antiphon_render::{Fetch, FetchLimits};
use tracing::{info, warn};

use super::Speaker;
use crate::messages::FetchNews;
use crate::post;

/// What the files of one speaker may take altogether, bytes.
const ROOM: u64 = 100_000_000;
/// Files fetched at a time.
const AT_ONCE: usize = 4;
/// The word of a fetch that has not come by then was lost: no fetch may take so long.
const LOST: Duration = Duration::from_secs(90);
/// The longest name, bytes.
const LONGEST: usize = 200;

/// What one speaker has fetched or is fetching.
pub(super) struct Assets {
    folder: PathBuf,
    /// With when they began.
    running: BTreeMap<AssetId, (Fetch, HubTime)>,
    /// With where they are fetched from; the machine asks for no more than its alerts have.
    waiting: VecDeque<(AssetId, String)>,
}

impl Assets {
    pub(super) fn new(root: &Path, speaker: &SpeakerId) -> Self {
        Self { folder: root.join(folder_name(speaker)), running: BTreeMap::new(), waiting: VecDeque::new() }
    }

    /// Where a file lies; `None` for a name that is not one.
    pub(super) fn path(&self, asset: &AssetId) -> Option<PathBuf> {
        is_sound(&asset.0).then(|| self.folder.join(&asset.0))
    }

    /// The `file` URL of one that is there.
    pub(super) fn url(&self, asset: &AssetId) -> Option<String> {
        let path = self.path(asset).filter(|p| p.is_file() && !self.running.contains_key(asset))?;
        Some(format!("file://{}", escaped(&path.to_string_lossy())))
    }

    /// Ends what runs and erases all files.
    pub(super) fn erase(&mut self) {
        self.running.clear();
        self.waiting.clear();
        match fs::remove_dir_all(&self.folder) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => warn!(folder = %self.folder.display(), error = %e, "fetched files could not be erased"),
        }
    }
}

impl Speaker {
    pub(super) fn fetch(&mut self, asset: AssetId, url: &str, ctx: &Context<Self>) {
        let now = self.parts.now();
        self.assets.running.retain(|_, (_, began)| now.since(*began) < LOST);
        if self.assets.url(&asset).is_some() {
            // What is there already waits behind nothing.
            return self.echoes.push_back(Signal::Fetched(asset, Ok(())));
        }
        let asked = self.assets.waiting.iter().any(|(waiting, _)| *waiting == asset);
        if !asked && !self.assets.running.contains_key(&asset) {
            self.assets.waiting.push_back((asset, url.to_owned()));
        }
        self.fetch_next(ctx);
    }

    fn fetch_next(&mut self, ctx: &Context<Self>) {
        while self.assets.running.len() < AT_ONCE
            && let Some((asset, url)) = self.assets.waiting.pop_front()
        {
            match self.begin_fetch(&asset, &url, ctx) {
                Ok(Some(fetch)) => {
                    self.assets.running.insert(asset, (fetch, self.parts.now()));
                }
                Ok(None) => self.echoes.push_back(Signal::Fetched(asset, Ok(()))),
                Err(why) => {
                    warn!(speaker = %self.id, asset = asset.0, why, "a file is not fetched");
                    self.echoes.push_back(Signal::Fetched(asset, Err(why)));
                }
            }
        }
    }

    /// Begins; `None` when it is there already.
    fn begin_fetch(&self, asset: &AssetId, url: &str, ctx: &Context<Self>) -> Result<Option<Fetch>, String> {
        let path = self.assets.path(asset).ok_or("its name is not one for a file")?;
        if path.is_file() {
            return Ok(None);
        }
        if size_of(&self.assets.folder) > ROOM {
            return Err("the folder of fetched files is full".into());
        }
        let parent = path.parent().ok_or("it has no folder")?;
        fs::create_dir_all(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
        let news = ctx.address().recipient();
        let metrics = self.parts.metrics.clone();
        let name = asset.clone();
        let sink = Box::new(move |result: Result<u64, antiphon_domain::media::MediaError>| {
            let result = result.map(drop).map_err(|e| e.message);
            // Counted when refused.
            let _ = post::tell(&news, FetchNews { asset: name, result }, &metrics);
        });
        Ok(Some(self.parts.renderer.fetch(url, &path, FetchLimits::default(), sink)))
    }

    pub(super) fn discard(&mut self, asset: &AssetId, ctx: &Context<Self>) {
        self.assets.running.remove(asset);
        self.assets.waiting.retain(|(waiting, _)| waiting != asset);
        self.fetch_next(ctx);
        let Some(path) = self.assets.path(asset) else { return };
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => warn!(file = %path.display(), error = %e, "a fetched file could not be erased"),
        }
    }
}

impl Handler<FetchNews> for Speaker {
    type Result = ();

    fn handle(&mut self, message: FetchNews, ctx: &mut Self::Context) {
        let FetchNews { asset, result } = message;
        if self.assets.running.remove(&asset).is_none() {
            return;
        }
        info!(speaker = %self.id, asset = asset.0, ok = result.is_ok(), "a file was fetched, or not");
        self.fetch_next(ctx);
        self.drive(DeviceInput::Signal(Signal::Fetched(asset, result)), ctx);
    }
}

/// Whether a name stays where it is put.
fn is_sound(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let sound = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(fits);
    name.len() <= LONGEST && name.split('/').all(sound)
}

/// A speaker's id as the name of a folder; two ids never give one name.
fn folder_name(speaker: &SpeakerId) -> String {
    let mut name = String::from("speaker-");
    for byte in speaker.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

fn escaped(path: &str) -> String {
    let mut url = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

/// What the files below a folder take; what cannot be read counts as nothing.
fn size_of(folder: &Path) -> u64 {
    let mut total = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        total += match entry.metadata() {
            Ok(m) if m.is_dir() => size_of(&entry.path()),
            Ok(m) => m.len(),
            Err(_) => 0,
        };
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_lead_outside() {
        for good in ["a", "alerts/x-1_2.mp3", "A/b/c"] {
            assert!(is_sound(good), "{good}");
        }
        let long = "a".repeat(201);
        for bad in ["", "/etc", "..", "a/../b", "a//b", "a/", ".hidden", "a b", "a\\b", "ä", "a\0", &long] {
            assert!(!is_sound(bad), "{bad:?}");
        }
        assert_eq!(folder_name(&SpeakerId::new("../a:b")), "speaker-%2E%2E%2Fa%3Ab");
        assert_eq!(escaped("/x y/speaker-%2E"), "/x%20y/speaker-%252E");
    }
}
