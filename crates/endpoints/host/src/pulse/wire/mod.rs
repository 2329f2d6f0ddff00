//! PulseAudio's native protocol, as far as a player needs it: bytes to values and back, nothing else.
//!
//! Written from what PulseAudio 16.1 says on the wire (protocol version 35) and its document `PROTOCOL`; every number
//! here is one of that protocol. No sockets, no clock. What a server sends is checked, never trusted.

pub mod frame;
pub mod message;
pub mod tags;
pub mod txt;
pub mod volume;

#[cfg(test)]
mod tests;
