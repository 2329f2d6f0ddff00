//! Alexa Voice Service v20160207 as machines without I/O.
//!
//! `session` drives one AVS connection from bytes to directives; `device` turns directives and the world's signals
//! into effects. Sources of every rule: Amazon's AVS pages and the AVS Device SDK's behaviour, as noted at each item.

pub mod message;
pub mod multipart;
pub mod session;
