//! RTP and AES67 endpoints: the hub sends, whoever listens hears.
//!
//! Linear samples (L16, L24) to a multicast group or one host, announced by SAP so that receivers find the session by
//! themselves. There is no conversation: what receivers do is not known, so no error is reported. Packets leave when the
//! clock that the session runs with says so, [`place`] tells how long after that receivers let them be heard.

mod driver;
mod follow;
mod kind;
mod media;
mod metrics;
mod options;
pub mod place;
pub mod wire;

pub use kind::RtpKind;
pub use options::RtpOptions;
