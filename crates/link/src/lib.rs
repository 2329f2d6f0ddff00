//! AVS over real wires: TLS, HTTP/2, Login with Amazon.
//!
//! One task a speaker ([`spawn`]) owns the speaker's `avs::session::Session`, its tokens and its HTTP/2 connections. It is
//! driven by its sockets, its timer and the commands of its [`LinkHandle`]; news leaves through the sink given to `spawn`.
//! What all links share (TLS settings, HTTP client, clock, metrics) is in [`LinkContext`].

mod answers;
mod authorization;
mod calls;
mod capabilities;
mod config;
mod connection;
mod connector;
mod context;
mod credentials;
mod error;
mod event;
mod handle;
mod login;
mod lwa;
mod metrics;
mod outputs;
mod settings;
mod tokens;
mod upload;
mod wire;

pub use antiphon_avs::session::{EventOutcome, Secret, Stack, Timers, WaitReason};
pub use authorization::{AuthorizationAnswer, AuthorizationRequest, Grant, LoginError};
pub use config::{LinkConfig, Region};
pub use context::{LinkContext, Now};
pub use error::{Class, LinkError, LwaError};
pub use event::{Chunk, LinkEvent, LinkState, LoginReason};
pub use handle::{LinkHandle, LinkStart, Persist, PostError, Sink, spawn};
pub use settings::{AvsSettings, ConfigError, TimerSettings};
pub use tokens::TokenTimers;
