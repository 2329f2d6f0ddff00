//! An AVS of our own on loopback, for tests, demos and people without an account.
//!
//! `Simulator::start` opens two ports: one with TLS and HTTP/2 that plays the Alexa Voice Service, Login with Amazon
//! and the Capabilities API, and one with plain HTTP/1.1 for media and for people (the admin API, see `admin`). It
//! judges every event strictly and keeps a transcript; it sends any directive to any device; it injects faults while
//! running. It shares no code with the client crates: two readings of one protocol check each other.

mod act;
mod admin;
mod answers;
mod authorize;
mod ca;
mod catalogue;
mod clock;
mod connection;
mod downchannel;
mod emit;
mod error;
mod events;
mod faults;
mod follow;
mod form;
mod hearing;
mod judge;
mod login;
mod lwa;
mod media;
mod multipart;
mod options;
mod provider;
mod reception;
mod recognize;
mod reply;
mod respond;
mod say;
mod schema;
mod script;
mod simulator;
mod skills;
mod state;
mod strict;
mod transcript;
mod wire;

pub use answers::{Answer, Attachment, Outgoing};
pub use error::Error;
pub use faults::Fault;
pub use hearing::Hearing;
pub use judge::Owed;
pub use media::Fetched;
pub use options::{Client, Options, Registered};
pub use script::{Expect, Reply, Road, Script, Stop};
pub use simulator::Simulator;
pub use transcript::{Connection, Counts, DeviceView, Direction, Entry, Violation};
