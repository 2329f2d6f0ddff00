//! The GStreamer tail of the kind `local`.
