//! The connection machine against scripted inputs, under a clock by hand.
#![allow(missing_docs, clippy::expect_used)]

mod bench;
mod events;
mod opening;
mod redeclare;
mod speech;
mod trouble;
mod walk;
