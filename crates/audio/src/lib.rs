//! Pure sound and time: blocks, formats, ramps, meters, clocks.
