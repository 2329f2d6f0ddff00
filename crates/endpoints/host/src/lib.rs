//! Endpoints of this machine and of its likes: virtual speakers, the sound card, sound servers.
//!
//! [`VirtualKind`] plays in real time to nothing or into a WAV file, [`LocalKind`] on the machine's own sound card,
//! [`PulseKind`] on PulseAudio and PipeWire servers found on the network. The latter two follow the output's own clock.

mod card;
mod front;
mod local;
pub mod metrics;
mod player;
pub mod pulse;
pub mod recording;
mod virtual_speaker;
mod wav;

pub use local::LocalKind;
pub use pulse::{PulseKind, PulseOptions};
pub use virtual_speaker::VirtualKind;
