//! The sockets: dialling clients, taking their calls, and the one task of each connection.

pub mod bell;
pub mod connection;
pub mod dial;
pub mod door;
pub mod inbox;
mod keeper;
mod socket;
