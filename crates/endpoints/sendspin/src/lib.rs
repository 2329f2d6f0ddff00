//! Sendspin: the hub is the server, whoever dialled.

pub mod roles;
pub mod wire;
