//! The packets sent last, for receivers that missed some.

use bytes::Bytes;

use crate::wire::rtp::{AUDIO_HEADER, RESENT_HEADER, resent_header};

/// Packets kept: 8 s, as many as shairport-sync's own buffer holds. Payloads are shared within a group.
const KEPT: usize = 1024;

/// The last packets by their sequence numbers.
#[derive(Debug)]
pub struct Ring {
    slots: Vec<Option<(u16, [u8; AUDIO_HEADER], Bytes)>>,
}

impl Ring {
    /// Nothing sent yet.
    pub fn new() -> Self {
        Self { slots: vec![None; KEPT] }
    }

    /// Remembers a packet, in place of the one [`KEPT`] before.
    pub fn keep(&mut self, sequence: u16, header: [u8; AUDIO_HEADER], payload: Bytes) {
        self.slots[usize::from(sequence) % KEPT] = Some((sequence, header, payload));
    }

    /// The datagram that brings packet `sequence` again; `None` when it is not kept.
    pub fn again(&self, sequence: u16) -> Option<Vec<u8>> {
        let (kept, header, payload) = self.slots[usize::from(sequence) % KEPT].as_ref()?;
        if *kept != sequence {
            return None;
        }
        let mut packet = Vec::with_capacity(RESENT_HEADER + AUDIO_HEADER + payload.len());
        packet.extend_from_slice(&resent_header(sequence));
        packet.extend_from_slice(header);
        packet.extend_from_slice(payload);
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtp::audio_header;

    #[test]
    fn old_packets_give_way() {
        let mut ring = Ring::new();
        for sequence in 65_000..66_100u32 {
            let sequence = sequence as u16;
            ring.keep(sequence, audio_header(false, sequence, 1, 2), Bytes::from_static(b"sound"));
        }
        assert_eq!(ring.again(65_000), None);
        let newest = (66_099u32 % 65_536) as u16;
        let packet = ring.again(newest).unwrap();
        assert_eq!(packet[..2], [0x80, 0xd6]);
        assert_eq!(packet[2..4], newest.to_be_bytes());
        assert_eq!(packet[4..16], audio_header(false, newest, 1, 2));
        assert_eq!(&packet[16..], b"sound");
    }
}
