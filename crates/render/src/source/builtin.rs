//! The hub's own tones as sources: made once a process, then shared.

use std::sync::{Arc, OnceLock};

use antiphon_audio::{BLOCK_FRAMES, CHANNELS, chime};
use antiphon_domain::sound::BuiltIn;

use super::{Piece, Source, line};

/// A source that is decoded already.
pub(super) fn open(tone: BuiltIn) -> Source {
    let blocks = blocks(tone);
    // Room for all of it and its end: sending waits for nobody.
    let (source, end) = line(blocks.len() + 1);
    for block in blocks {
        let _ = end.pieces.send(Piece::Samples(Arc::clone(block)));
    }
    end.end(None);
    source
}

fn blocks(tone: BuiltIn) -> &'static [Arc<[i16]>] {
    static MADE: [OnceLock<Vec<Arc<[i16]>>>; 9] = [const { OnceLock::new() }; 9];
    let made = &MADE[BuiltIn::ALL.iter().position(|other| *other == tone).unwrap_or(0)];
    made.get_or_init(|| chime::render(tone).chunks(BLOCK_FRAMES * CHANNELS).map(Arc::from).collect())
}
