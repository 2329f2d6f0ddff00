//! GStreamer: sources decoded to the hub's format, feeds, mixers, outputs, all on one clock.
//!
//! One render thread owns everything that sounds. Whoever directs (the actors) holds [`Renderer`], [`Feed`] and
//! [`Output`] handles, which only send it commands through a bounded channel; news comes back through sinks. A feed's
//! content is decoded once, cut into blocks, and each block is given the moment at which it must be heard; an output
//! takes those blocks through a mixer to an endpoint, early by the endpoint's own lead. No endpoint waits for another.

mod capture;
mod clock;
mod config;
mod download;
mod engine;
mod error;
mod fetch;
mod grid;
mod handle;
mod metrics;
mod news;
mod output;
mod priority;
mod sound;
mod source;
mod timeline;

pub use capture::{Capture, CaptureEvent, CaptureFormat, CaptureSink, CaptureSource, Container};
pub use clock::HubClock;
pub use config::RenderConfig;
pub use error::RenderError;
pub use fetch::{Fetch, FetchLimits, FetchSink};
pub use handle::{Feed, Output, Renderer, Sound};
pub use news::{
    FeedEvent, FeedId, FeedSink, OutputEvent, OutputSink, SoundEvent, SoundSink, StreamAttributes, StreamTags,
};
pub use sound::{SoundKey, Start};
pub use source::StreamSource;
pub use source::bytes::{ByteReader, ByteWriter, byte_pipe};
