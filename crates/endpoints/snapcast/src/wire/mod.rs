//! Snapcast's binary protocol, without I/O: what clients say, what we answer.
//!
//! Every message is a base of 26 bytes and a body, all little endian (Snapcast's `doc/binary_protocol.md`). [`Reader`]
//! takes bytes as they come and gives whole messages; it never keeps more than one message's worth. The rest writes
//! messages. Driven by the connections.

pub mod headers;
mod hello;
mod reader;
mod stamp;
mod write;

pub use hello::{ClientInfo, Hello};
pub use reader::{Reader, Received, Request};
pub use stamp::{SERVER_EPOCH, Stamp};
pub use write::{
    CHUNK_HEAD, Settings, TIME_ANSWER, chunk_head, codec_header, error, server_settings, time_answer,
};

use thiserror::Error;

/// Bytes of the base of a message.
pub const BASE: usize = 26;

/// The body of a message from a client is at most this long; a hello is some 300 bytes.
pub const LONGEST: usize = 16 * 1024;

/// Message types (`doc/binary_protocol.md`).
pub(crate) mod kind {
    pub const CODEC_HEADER: u16 = 1;
    pub const WIRE_CHUNK: u16 = 2;
    pub const SERVER_SETTINGS: u16 = 3;
    pub const TIME: u16 = 4;
    pub const HELLO: u16 = 5;
    pub const CLIENT_INFO: u16 = 7;
    pub const ERROR: u16 = 8;
}

/// What a client sent against the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WireError {
    /// A body longer than any client has reason to send.
    #[error("a message of type {kind} with {size} bytes")]
    TooLong {
        /// Its type.
        kind: u16,
        /// Its announced size.
        size: u32,
    },
    /// A body that is shorter than its type needs.
    #[error("a message of type {kind} that ends too early")]
    TooShort {
        /// Its type.
        kind: u16,
    },
    /// A moment before the client's clock began, or with more microseconds than a second has.
    #[error("a time stamp of {sec} s and {usec} us")]
    Stamp {
        /// Its seconds.
        sec: i32,
        /// Its microseconds.
        usec: i32,
    },
    /// JSON that is none, or not what its type needs.
    #[error("a message of type {kind} with other JSON than its type needs")]
    Json {
        /// Its type.
        kind: u16,
    },
    /// A hello from which no identity can be made.
    #[error("a hello without a usable ID")]
    Nameless,
}
