//! The device machine against directives, signals and a virtual clock. Every event it sends in any of these tests is
//! checked against the message catalogue.

mod audio_player;
mod catalogue;
mod dialogs;
mod speaker;
mod support;
mod system;
mod walks;
