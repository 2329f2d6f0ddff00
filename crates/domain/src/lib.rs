//! The words and rules of the hub: no I/O, no async, no clock.
