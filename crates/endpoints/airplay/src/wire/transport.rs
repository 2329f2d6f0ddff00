//! The `Transport`, `RTP-Info` and `Audio-Latency` headers.

use std::time::Duration;

use antiphon_domain::{Frames, SampleRate};

/// Where a receiver listens, from its answer to SETUP; UDP ports, 0 where it said none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverPorts {
    /// Audio packets go here; never 0.
    pub audio: u16,
    /// Sync packets and resent packets go here.
    pub control: u16,
    /// Its own timing port; a receiver asks, we answer, so nothing is sent here unasked.
    pub timing: u16,
}

/// What we ask for in SETUP: the UDP ports on which we take resend and timing requests.
pub fn request(control: u16, timing: u16) -> String {
    format!("RTP/AVP/UDP;unicast;interleaved=0-1;mode=record;control_port={control};timing_port={timing}")
}

/// What we ask for where the receiver takes sound by TCP alone.
pub fn request_stream() -> &'static str {
    "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"
}

/// How long a receiver keeps what a stream brings before it is heard, by the frames of its `Audio-Latency`: what it says
/// is bounded to 3 s. Recalled of the AirPort Express (11,025 frames); no such receiver could be measured.
pub fn stream_latency(frames: u32) -> Duration {
    Frames(u64::from(frames.min(132_300))).duration(SampleRate::HUB)
}

impl ReceiverPorts {
    /// Where sync packets go. A receiver that gave no control port is told on its audio port, which costs nothing.
    pub fn sync(self) -> u16 {
        if self.control == 0 { self.audio } else { self.control }
    }
}

/// Reads the receiver's ports; `None` without a usable `server_port`.
pub fn parse(header: &str) -> Option<ReceiverPorts> {
    let mut ports = ReceiverPorts { audio: 0, control: 0, timing: 0 };
    for part in header.split(';') {
        let Some((key, value)) = part.split_once('=') else { continue };
        let field = match key.trim() {
            "server_port" => &mut ports.audio,
            "control_port" => &mut ports.control,
            "timing_port" => &mut ports.timing,
            _ => continue,
        };
        // Some receivers give a range `a-b`; the first is meant.
        let first = value.split('-').next().unwrap_or(value);
        *field = first.trim().parse().unwrap_or(0);
    }
    if ports.audio == 0 { None } else { Some(ports) }
}

/// The `RTP-Info` header of RECORD and FLUSH: the next packet's sequence number and timestamp.
pub fn rtp_info(sequence: u16, timestamp: u32) -> String {
    format!("seq={sequence};rtptime={timestamp}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_receiver_without_a_control_port_is_told_the_time_on_its_audio_port() {
        let of = |text: &str| parse(text).map(ReceiverPorts::sync);
        assert_eq!(of("RTP/AVP/UDP;server_port=6000;timing_port=6002"), Some(6000));
        assert_eq!(of("RTP/AVP/UDP;server_port=6000;control_port=6001"), Some(6001));
    }

    #[test]
    fn ports_are_read() {
        let text = "RTP/AVP/UDP;unicast;mode=record;server_port=6000;control_port=6001;timing_port=6002";
        assert_eq!(parse(text), Some(ReceiverPorts { audio: 6000, control: 6001, timing: 6002 }));
        assert_eq!(parse("server_port=53561-53562").map(|p| p.audio), Some(53561));
        assert_eq!(parse("RTP/AVP/UDP;control_port=1"), None);
        assert_eq!(parse("server_port=99999"), None);
    }

    proptest! {
        #[test]
        fn any_header_is_read(text in ".*") {
            if let Some(ports) = parse(&text) {
                prop_assert!(ports.audio != 0);
            }
        }

        #[test]
        fn our_own_request_is_well_formed(control in 1u16.., timing in 1u16..) {
            let text = format!("{};server_port=7", request(control, timing));
            prop_assert_eq!(parse(&text), Some(ReceiverPorts { audio: 7, control, timing }));
        }
    }
}
