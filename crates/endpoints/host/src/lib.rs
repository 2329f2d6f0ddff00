//! Endpoints on this machine: virtual speakers and the sound card.
//!
//! Two kinds: [`VirtualKind`] plays in real time to nothing or into a WAV file, [`LocalKind`] plays on the machine's own
//! sound card by GStreamer. Both are configured, never discovered.

mod card;
mod front;
mod local;
mod player;
pub mod recording;
mod virtual_speaker;
mod wav;

pub use local::LocalKind;
pub use virtual_speaker::VirtualKind;
