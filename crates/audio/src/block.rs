//! Stamped audio: what every feed produces, every mixer passes on and every endpoint takes.

use std::sync::Arc;

use antiphon_domain::{Frames, HubTime, SampleRate};

/// Frames in one block: 352, the packet of AirPlay 1 (7.98 ms at 44,100 Hz), so that a block is a packet there.
pub const BLOCK_FRAMES: usize = 352;

/// Channels in a block, interleaved left, right.
pub const CHANNELS: usize = 2;

/// [`BLOCK_FRAMES`] frames of 16-bit stereo at [`SampleRate::HUB`], and the moment its first frame must be heard.
///
/// The samples are shared: a mixer that changes nothing passes the same allocation on, so that endpoints can tell
/// by [`Block::same_samples`] that they were given the same sound and encode it once for a whole group.
#[derive(Clone, Debug)]
pub struct Block {
    /// When the first frame must be heard.
    pub due: HubTime,
    /// Interleaved samples, `BLOCK_FRAMES * CHANNELS` of them.
    pub samples: Arc<[i16]>,
}

impl Block {
    /// Whether two blocks hold the very same allocation of samples.
    pub fn same_samples(&self, other: &Block) -> bool {
        Arc::ptr_eq(&self.samples, &other.samples)
    }

    /// The frames in the block.
    pub fn frames(&self) -> Frames {
        Frames((self.samples.len() / CHANNELS) as u64)
    }

    /// The moment after its last frame.
    pub fn end(&self) -> HubTime {
        self.due + self.frames().duration(SampleRate::HUB)
    }
}
