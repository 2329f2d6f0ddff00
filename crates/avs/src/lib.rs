//! Alexa Voice Service v20160207 as machines without I/O.
//!
//! `session` drives one AVS connection from bytes to directives; `device` turns directives and the world's signals
//! into effects. Sources of every rule: Amazon's AVS pages and the AVS Device SDK's behaviour, as noted at each item.

pub mod capability;
pub mod context;
pub mod device;
pub mod effect;
pub mod exception;
pub mod interfaces;
pub mod iso8601;
pub mod message;
pub mod multipart;
pub mod outbox;
pub mod picture;
pub mod sequencer;
pub mod session;
pub mod signal;
