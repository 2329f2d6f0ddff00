//! The actors that carry the hub's decisions.
