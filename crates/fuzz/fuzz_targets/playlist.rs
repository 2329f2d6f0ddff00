//! Playlists of the web: any bytes are a list or none, and its entries lead nowhere but into the web.
#![no_main]

use antiphon_domain::playlist::{self, MOST_ENTRIES, Playlist};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(Playlist::Entries(entries)) = playlist::parse(bytes) else { return };
    assert!(entries.len() <= MOST_ENTRIES);
    for entry in &entries {
        if let Some(url) = playlist::resolve("http://host:80/a/b.m3u?c", entry) {
            let url = url.to_ascii_lowercase();
            assert!(url.starts_with("http://") || url.starts_with("https://"), "{entry:?} leads to {url:?}");
        }
    }
});
