//! Why rendering could not begin.

use thiserror::Error;

/// Why the renderer could not be started. All of them: give up, this machine lacks something.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RenderError {
    /// GStreamer cannot be used.
    #[error("gstreamer does not start")]
    GStreamer(#[from] gstreamer::glib::Error),
    /// An element that every source needs is not installed.
    #[error("gstreamer lacks the element {0}")]
    MissingElement(&'static str),
    /// The system gave no thread.
    #[error("no thread for rendering")]
    Thread(#[from] std::io::Error),
    /// The metrics are registered already: one registry, one renderer.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}
