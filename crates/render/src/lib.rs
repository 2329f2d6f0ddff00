//! GStreamer: sources decoded to the hub's format, feeds, mixers, outputs, all on one clock.
//!
//! One render thread owns everything that sounds. Whoever directs (the actors) holds [`Renderer`], [`Feed`] and
//! [`Output`] handles, which only send it commands through a bounded channel; news comes back through sinks. A feed's
//! content is decoded once, cut into blocks, and each block is given the moment at which it must be heard; an output
//! takes those blocks through a mixer to an endpoint, early by the endpoint's own lead. No endpoint waits for another.

mod clock;
mod config;
mod engine;
mod error;
mod handle;
mod metrics;
mod news;
mod output;
mod priority;
mod source;
mod timeline;

pub use clock::HubClock;
pub use config::RenderConfig;
pub use error::RenderError;
pub use handle::{Feed, Output, Renderer};
pub use news::{FeedEvent, FeedId, FeedSink, OutputEvent, OutputSink, StreamAttributes, StreamTags};
