//! Sender reports (RTCP, RFC 3550, 6.4.1): which moment of the wall clock a timestamp was, so that receivers can lay
//! streams of one sender side by side.

/// What a report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which sender.
    pub source: u32,
    /// Nanoseconds since 1970.
    pub unix_nanos: u64,
    /// The media clock at that moment.
    pub timestamp: u32,
    /// Packets sent so far; wraps.
    pub packets: u32,
    /// Bytes of samples sent so far; wraps.
    pub bytes: u32,
}

/// From 1900, where NTP counts from, to 1970 (RFC 5905).
const NTP_EPOCH: u64 = 2_208_988_800;

impl Report {
    /// The report with the name of its sender (an SDES CNAME), as a compound packet must have; with a BYE at the end.
    pub fn bytes(&self, cname: &str, bye: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend([0x80, 200, 0, 6]);
        bytes.extend(self.source.to_be_bytes());
        let seconds = (self.unix_nanos / 1_000_000_000 + NTP_EPOCH) as u32;
        let fraction = (u128::from(self.unix_nanos % 1_000_000_000) << 32) / 1_000_000_000;
        bytes.extend(seconds.to_be_bytes());
        bytes.extend((fraction as u32).to_be_bytes());
        for value in [self.timestamp, self.packets, self.bytes] {
            bytes.extend(value.to_be_bytes());
        }
        // A chunk: source, CNAME item, at least one zero, filled to whole words. A name has 255 bytes at most.
        let name = &cname.as_bytes()[..cname.len().min(255)];
        let words = 1 + (2 + name.len() + 1).div_ceil(4);
        let end = bytes.len() + 4 + words * 4;
        bytes.extend([0x81, 202]);
        bytes.extend((words as u16).to_be_bytes());
        bytes.extend(self.source.to_be_bytes());
        bytes.extend([1, name.len() as u8]);
        bytes.extend(name);
        bytes.resize(end, 0);
        if bye {
            bytes.extend([0x81, 203, 0, 1]);
            bytes.extend(self.source.to_be_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: Report =
        Report { source: 0x0102_0304, unix_nanos: 1_500_000_000, timestamp: 7, packets: 8, bytes: 9 };

    #[test]
    fn a_report_is_a_compound_packet() {
        let bytes = REPORT.bytes("hub", true);
        let mut rest = &bytes[..];
        let mut kinds = Vec::new();
        while rest.len() >= 4 {
            assert_eq!(rest[0] >> 6, 2);
            kinds.push(rest[1]);
            let length = 4 + 4 * usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            assert_eq!(rest[4..8], [1, 2, 3, 4]);
            rest = &rest[length..];
        }
        assert_eq!((kinds, rest.len()), (vec![200, 202, 203], 0));
        // 1.5 s after 1970.
        assert_eq!(bytes[8..12], 2_208_988_801u32.to_be_bytes());
        assert_eq!(bytes[12..16], [0x80, 0, 0, 0]);
        assert_eq!(bytes[16..28], [0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9]);
    }

    #[test]
    fn names_of_every_length_fit() {
        for length in 0..300 {
            let bytes = REPORT.bytes(&"x".repeat(length), false);
            assert_eq!(bytes.len() % 4, 0);
            let words = usize::from(u16::from_be_bytes([bytes[30], bytes[31]]));
            assert_eq!(bytes.len(), 28 + 4 + 4 * words);
            assert_eq!(bytes.last(), Some(&0));
        }
    }
}
