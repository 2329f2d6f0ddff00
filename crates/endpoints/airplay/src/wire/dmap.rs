//! What plays, as receivers are told it: DMAP for words, a header for pictures, RTP timestamps for progress.
//!
//! Each travels as the body of a SET_PARAMETER request. `md` of the record says which of them a receiver takes
//! (0 words, 1 pictures, 2 progress).

use std::collections::BTreeMap;

use antiphon_endpoint::NowPlaying;

/// The media type of words.
pub const TAGGED: &str = "application/x-dmap-tagged";

/// The media type that takes a picture away.
pub const NO_PICTURE: &str = "image/none";

/// The most bytes of one text; cut between letters.
const MOST_TEXT: usize = 1024;

/// The most bytes of a picture; a receiver has to take it between two changes of volume.
pub const MOST_PICTURE: usize = 2 * 1024 * 1024;

/// `mikd`, the kind of item: music.
const MUSIC: u8 = 2;

/// What a receiver takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takes {
    /// Title, artist, album.
    pub words: bool,
    /// The picture.
    pub pictures: bool,
    /// How far the stream is.
    pub progress: bool,
}

impl Takes {
    /// What the record says. A record without `md` is of a receiver that takes nothing; one that was never seen (a configured
    /// receiver) may take all, and its answers tell.
    pub fn of(txt: &BTreeMap<String, String>) -> Self {
        let unseen = !["cn", "et", "md"].iter().any(|key| txt.contains_key(*key));
        let takes = |which: &str| match txt.get("md") {
            Some(list) => list.split(',').any(|entry| entry.trim() == which),
            None => unseen,
        };
        Self { words: takes("0"), pictures: takes("1"), progress: takes("2") }
    }
}

/// Title, artist and album, each possibly empty.
pub fn words(now: &NowPlaying) -> Vec<u8> {
    let mut item = Vec::new();
    push(&mut item, b"mikd", &[MUSIC]);
    for (tag, text) in [(b"minm", &now.title), (b"asar", &now.artist), (b"asal", &now.album)] {
        push(&mut item, tag, cut(text.as_deref().unwrap_or_default()).as_bytes());
    }
    let mut all = Vec::new();
    push(&mut all, b"mlit", &item);
    all
}

/// Whether a picture can be sent, by its media type and size.
pub fn is_picture(media_type: &str, bytes: usize) -> bool {
    matches!(media_type, "image/jpeg" | "image/png") && bytes <= MOST_PICTURE
}

/// The frames of a stream's begin, of what is heard, and of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The timestamp of its first frame, as if it had been sent.
    pub begin: u32,
    /// The timestamp of the frame that is heard.
    pub heard: u32,
    /// The timestamp after its last frame.
    pub end: u32,
}

impl Progress {
    /// The progress of a stream of `length` frames of which frame `position` is heard with the timestamp `heard`.
    pub fn new(heard: u32, position: u64, length: u64) -> Self {
        // Timestamps count modulo 2^32 by nature.
        let begin = heard.wrapping_sub(position as u32);
        Self { begin, heard, end: begin.wrapping_add(length as u32) }
    }

    /// The body that tells it (`text/parameters`).
    pub fn body(self) -> String {
        format!("progress: {}/{}/{}\r\n", self.begin, self.heard, self.end)
    }
}

fn push(out: &mut Vec<u8>, tag: &[u8; 4], value: &[u8]) {
    out.extend_from_slice(tag);
    // Values are a few KiB at most.
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(value);
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MOST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn txt(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| (String::from(*k), String::from(*v))).collect()
    }

    #[test]
    fn md_says_what_is_taken() {
        let all = Takes { words: true, pictures: true, progress: true };
        let none = Takes { words: false, pictures: false, progress: false };
        assert_eq!(Takes::of(&txt(&[("md", "0,1,2"), ("cn", "1")])), all);
        assert_eq!(Takes::of(&txt(&[("md", "0, 2")])), Takes { pictures: false, ..all });
        assert_eq!(Takes::of(&txt(&[("cn", "0,1")])), none);
        assert_eq!(Takes::of(&txt(&[("md", ""), ("cn", "1")])), none);
        assert_eq!(Takes::of(&txt(&[])), all);
    }

    #[test]
    fn words_are_a_listing_item() {
        let now =
            NowPlaying { title: Some("Ode".into()), artist: Some("LvB".into()), ..NowPlaying::default() };
        let bytes = words(&now);
        assert_eq!(bytes[..8], *b"mlit\x00\x00\x00\x27");
        assert_eq!(bytes.len(), 8 + 0x27);
        assert_eq!(
            bytes[8..],
            *b"mikd\x00\x00\x00\x01\x02minm\x00\x00\x00\x03Odeasar\x00\x00\x00\x03LvBasal\x00\x00\x00\x00"
        );
        let long = NowPlaying { title: Some("\u{1d11e}".repeat(1000)), ..NowPlaying::default() };
        assert_eq!(words(&long).len(), 8 + 9 + 8 + 1024 + 8 + 8);
    }

    #[test]
    fn progress_is_told_in_timestamps_that_wrap() {
        let progress = Progress::new(1000, 44_100, 441_000);
        assert_eq!(progress.begin, 1000u32.wrapping_sub(44_100));
        assert_eq!(progress.end, 1000 + 396_900);
        assert_eq!(Progress { begin: 1, heard: 2, end: 3 }.body(), "progress: 1/2/3\r\n");
    }

    #[test]
    fn only_pictures_of_a_size_are_sent() {
        assert!(is_picture("image/png", 100) && is_picture("image/jpeg", MOST_PICTURE));
        assert!(!is_picture("image/webp", 100) && !is_picture("image/png", MOST_PICTURE + 1));
    }
}
