//! GStreamer: sources decoded to the hub's format, feeds, mixers, outputs, all on one clock.
