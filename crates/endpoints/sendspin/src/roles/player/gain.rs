//! Levels applied to samples, for clients that have no volume of their own.

use std::sync::Arc;

use antiphon_audio::Block;

/// The block made louder or softer, in a straight line from one factor to another.
pub fn scaled(block: &Block, from: f32, to: f32) -> Block {
    let frames = block.samples.len().max(2) as f32 / 2.0;
    let scale = |(index, sample): (usize, &i16)| {
        let factor = from + (to - from) * ((index / 2) as f32 / frames);
        // The cast saturates.
        (f32::from(*sample) * factor).round() as i16
    };
    let samples: Arc<[i16]> = block.samples.iter().enumerate().map(scale).collect();
    Block { due: block.due, samples }
}
