//! What goes over the wire, as bytes: RTP packets, RTCP sender reports, session descriptions and their announcements.
//!
//! Writers only: nothing is ever received here.

pub mod rtcp;
pub mod rtp;
pub mod sap;
pub mod sdp;
