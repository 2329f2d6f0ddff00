//! Announcements of sessions (SAP, RFC 2974): a session description behind a small header, again every few seconds.

use std::net::IpAddr;

/// The port of all announcements.
pub const PORT: u16 = 9875;

const MEDIA_TYPE: &[u8] = b"application/sdp\0";

/// What an announcement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The session is there.
    Announce,
    /// It is over.
    Delete,
}

/// The announcement of a description that is sent from `source`. Its hash tells versions of a description apart.
pub fn packet(act: Act, source: IpAddr, description: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(24 + MEDIA_TYPE.len() + description.len());
    let six = u8::from(source.is_ipv6()) << 4;
    let delete = u8::from(act == Act::Delete) << 2;
    // Version 1, no encryption, no compression, no authentication.
    bytes.extend([0x20 | six | delete, 0]);
    bytes.extend(hash(description).to_be_bytes());
    match source {
        IpAddr::V4(source) => bytes.extend(source.octets()),
        IpAddr::V6(source) => bytes.extend(source.octets()),
    }
    bytes.extend(MEDIA_TYPE);
    bytes.extend(description.as_bytes());
    bytes
}

/// Never 0, which would mean that nobody counts (FNV-1a folded to 16 bits).
fn hash(description: &str) -> u16 {
    let mut hash = 0x811c_9dc5u32;
    for byte in description.bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    ((hash >> 16) ^ hash) as u16 | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_the_rfc() {
        let source = IpAddr::from([192, 0, 2, 7]);
        let packet = packet(Act::Announce, source, "v=0\r\n");
        assert_eq!(packet[..2], [0x20, 0]);
        assert_eq!(packet[4..8], [192, 0, 2, 7]);
        assert_eq!(&packet[8..24], b"application/sdp\0");
        assert_eq!(&packet[24..], b"v=0\r\n");
        let gone = super::packet(Act::Delete, source, "v=0\r\n");
        assert_eq!(gone[0], 0x24);
        assert_eq!(gone[1..], packet[1..]);
        assert_ne!(super::packet(Act::Announce, source, "v=1\r\n")[2..4], packet[2..4]);
        let six = super::packet(Act::Announce, "::1".parse().unwrap(), "v=0\r\n");
        assert_eq!((six[0], six.len()), (0x30, 20 + 16 + 5));
    }
}
