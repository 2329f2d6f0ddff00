//! Owns the sound the simulator has to offer: which albums there are, how tracks and speech are made.

use std::path::PathBuf;

use bytes::Bytes;

use crate::Error;

/// The made tracks.
pub(crate) struct Tracks {
    folder: PathBuf,
}

impl Tracks {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// MP3 of a spoken text.
    pub(crate) async fn speech(&self, text: &str) -> Result<Bytes, Error> {
        Err(Error::Media { name: text.to_owned(), why: format!("not made yet in {}", self.folder.display()) })
    }
}

/// The URLs which `play NAME` means.
pub(crate) fn album(name: &str, base: &str) -> Option<Vec<String>> {
    if name.starts_with("http://") || name.starts_with("https://") {
        return Some(vec![name.to_owned()]);
    }
    Some(vec![format!("{base}/{name}")])
}
