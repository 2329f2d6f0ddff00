//! The machine against a client of its own under virtual time.

mod client;
mod screens;
mod sound;
