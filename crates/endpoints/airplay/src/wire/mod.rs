//! RAOP on the wire, without I/O: what is written to a receiver and what is read from it.
//!
//! Owns every byte format of the protocol: RTSP, SDP, RTP audio, sync, timing and resend, encryption, the digest of a
//! password, what plays, the remote control, the volume scale, TXT records, and the arithmetic from the hub's time to
//! RTP timestamps. Everything is a function of bytes and of a
//! time handed in; `driver` moves the bytes. A parser here answers with an error or `None` to anything it does
//! not understand, and never keeps more than its stated bound.

pub mod crypt;
pub mod dacp;
pub mod digest;
pub mod dmap;
pub mod ntp;
pub mod rtp;
pub mod rtsp;
pub mod sdp;
pub mod timeline;
pub mod transport;
pub mod txt;
pub mod volume;
