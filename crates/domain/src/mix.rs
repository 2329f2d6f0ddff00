//! Where loudness is applied.
//!
//! Volume goes to the last place that can do it, so that it is heard at once and not a buffer later; ducking and
//! equalizer stay in our mixer.

use crate::level::Level;
use crate::units::{Gain, Volume};

/// Where each part of a speaker's loudness is applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// What the receiver is told, when it has a volume of its own.
    pub receiver: Option<Level>,
    /// What our mixer applies to the whole mix.
    pub mixer: Gain,
}

/// Decides where a level is applied. `ceiling` bounds what is heard whatever the level says (product law 5).
pub fn place(level: Level, ceiling: Volume, receiver_has_volume: bool) -> Placement {
    let heard = Level { volume: level.volume.min(ceiling), muted: level.muted };
    if receiver_has_volume {
        return Placement { receiver: Some(heard), mixer: Gain::UNITY };
    }
    let mixer = if heard.muted { Gain::Silence } else { heard.volume.gain() };
    Placement { receiver: None, mixer }
}
