//! The UDP packets: audio, sync, timing and resend. All numbers travel big-endian.
//!
//! Audio and resent packets go to the receiver's audio and control ports, sync packets to its control port; it sends
//! timing requests to ours and resend requests to our control port.

use antiphon_domain::HubTime;

use crate::wire::ntp::NtpTime;

/// Bytes of an audio packet before its payload.
pub const AUDIO_HEADER: usize = 12;

/// Bytes that go before a whole audio packet when it is sent again.
pub const RESENT_HEADER: usize = 4;

/// Bytes of a timing request and of its answer.
pub const TIMING_PACKET: usize = 32;

/// Frames a receiver adds to what a sync packet of type 7 says, by a habit as old as the AirPort Express (0.25 s, its
/// `Audio-Latency`); so a sender that means "now" must say "0.25 s ago".
pub const FIXED_LATENCY: u32 = 11_025;

const VERSION: u8 = 0x80;
const EXTENSION: u8 = 0x10;
const MARKER: u8 = 0x80;
const TYPE_AUDIO: u8 = 0x60;
const TYPE_TIMING_REQUEST: u8 = 0x52;
const TYPE_TIMING_ANSWER: u8 = 0x53;
const TYPE_SYNC: u8 = 0x54;
const TYPE_RESEND_REQUEST: u8 = 0x55;
const TYPE_RESENT: u8 = 0x56;

/// The header of an audio packet; `first` marks the first one after RECORD or FLUSH.
pub fn audio_header(first: bool, sequence: u16, timestamp: u32, source: u32) -> [u8; AUDIO_HEADER] {
    let kind = if first { TYPE_AUDIO | MARKER } else { TYPE_AUDIO };
    let [s0, s1] = sequence.to_be_bytes();
    let [t0, t1, t2, t3] = timestamp.to_be_bytes();
    let [i0, i1, i2, i3] = source.to_be_bytes();
    [VERSION, kind, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3]
}

/// What goes before an audio packet of `length` bytes in a stream (RFC 2326, 10.12): channel 0.
pub fn framed(length: usize) -> [u8; 4] {
    // Our packets have some 1,500 bytes at most.
    let [high, low] = (length as u16).to_be_bytes();
    [b'$', 0, high, low]
}

/// What goes before a whole audio packet, its header included, when a receiver asked for it again.
pub fn resent_header(sequence: u16) -> [u8; RESENT_HEADER] {
    let [s0, s1] = sequence.to_be_bytes();
    [VERSION, TYPE_RESENT | MARKER, s0, s1]
}

/// The anchor that tells a receiver when to play what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Whether it is the first after RECORD or FLUSH.
    pub first: bool,
    /// The moment of the anchor.
    pub at: HubTime,
    /// The frame that is heard at that moment.
    pub heard: u32,
    /// The frame that is sent at about that moment: the heard one plus the lead, which receivers take for the latency.
    pub sent: u32,
}

/// A sync packet.
pub fn sync(sync: Sync) -> [u8; 20] {
    let mut packet = [0; 20];
    packet[0] = if sync.first { VERSION | EXTENSION } else { VERSION };
    packet[1] = TYPE_SYNC | MARKER;
    // Length in 32-bit words less one would be 4; every sender since iTunes says 7, and receivers that see the 7
    // add FIXED_LATENCY.
    packet[3] = 7;
    packet[4..8].copy_from_slice(&sync.heard.wrapping_add(FIXED_LATENCY).to_be_bytes());
    packet[8..16].copy_from_slice(&NtpTime::of(sync.at).bytes());
    packet[16..20].copy_from_slice(&sync.sent.to_be_bytes());
    packet
}

/// Reads a timing request; `None` when it is not one.
pub fn timing_request(packet: &[u8]) -> Option<[u8; TIMING_PACKET]> {
    let request: [u8; TIMING_PACKET] = packet.get(..TIMING_PACKET)?.try_into().ok()?;
    let is_one = request[0] & 0xc0 == VERSION && request[1] & 0x7f == TYPE_TIMING_REQUEST;
    is_one.then_some(request)
}

/// Answers a timing request that arrived at `received` by an answer leaving at `sent`.
pub fn timing_answer(request: &[u8; TIMING_PACKET], received: HubTime, sent: HubTime) -> [u8; TIMING_PACKET] {
    let mut answer = [0; TIMING_PACKET];
    answer[0] = VERSION;
    answer[1] = TYPE_TIMING_ANSWER | MARKER;
    answer[2..4].copy_from_slice(&request[2..4]);
    // The asker's own sending time comes back as the origin.
    answer[8..16].copy_from_slice(&request[24..32]);
    answer[16..24].copy_from_slice(&NtpTime::of(received).bytes());
    answer[24..32].copy_from_slice(&NtpTime::of(sent).bytes());
    answer
}

/// When a timing request left by the asker's own clock, where it says: nanoseconds since an epoch of its own.
/// shairport-sync leaves it 0.
pub fn asked_at(request: &[u8; TIMING_PACKET]) -> Option<i64> {
    let stamp = request.get(24..TIMING_PACKET)?;
    let stamp = u64::from_be_bytes(stamp.try_into().ok()?);
    let nanos = (u128::from(stamp) * 1_000_000_000) >> 32;
    // 2^32 s are below 2^63 ns.
    if stamp == 0 { None } else { i64::try_from(nanos).ok() }
}

/// A wish to have packets again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResendRequest {
    /// The first missing packet.
    pub first: u16,
    /// How many from there on, at least 1.
    pub count: u16,
}

/// Reads a resend request; `None` when it is not one.
pub fn resend_request(packet: &[u8]) -> Option<ResendRequest> {
    if packet.len() < 8 || packet[0] & 0xc0 != VERSION || packet[1] & 0x7f != TYPE_RESEND_REQUEST {
        return None;
    }
    let first = u16::from_be_bytes([packet[4], packet[5]]);
    let count = u16::from_be_bytes([packet[6], packet[7]]);
    if count == 0 { None } else { Some(ResendRequest { first, count }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_are_apples() {
        assert_eq!(
            audio_header(true, 0x0102, 0x0304_0506, 0x0708_090a),
            [0x80, 0xe0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
        );
        assert_eq!(audio_header(false, 0, 0, 0)[1], 0x60);
        assert_eq!(resent_header(0xabcd), [0x80, 0xd6, 0xab, 0xcd]);
    }

    #[test]
    fn a_sync_packet_says_what_is_heard_when() {
        let packet = sync(Sync { first: true, at: HubTime::EPOCH, heard: 1000, sent: 45_100 });
        assert_eq!(packet[..4], [0x90, 0xd4, 0, 7]);
        assert_eq!(packet[4..8], 12_025u32.to_be_bytes());
        assert_eq!(packet[8..12], 2_208_988_800u32.to_be_bytes());
        assert_eq!(packet[16..20], 45_100u32.to_be_bytes());
        assert_eq!(sync(Sync { first: false, at: HubTime::EPOCH, heard: 0, sent: 0 })[0], 0x80);
    }

    #[test]
    fn timing_requests_are_answered() {
        let mut request = [0u8; 32];
        request[..4].copy_from_slice(&[0x80, 0xd2, 0, 7]);
        request[24..32].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        let answer = timing_answer(&request, HubTime::EPOCH, HubTime::from_nanos(1_000_000_000));
        assert_eq!(timing_request(&request), Some(request));
        assert_eq!(answer[..4], [0x80, 0xd3, 0, 7]);
        assert_eq!(answer[8..16], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(answer[16..20], 2_208_988_800u32.to_be_bytes());
        assert_eq!(answer[24..28], 2_208_988_801u32.to_be_bytes());
        assert_eq!(asked_at(&request), Some(16_909_060_019_623_221));
        assert_eq!(asked_at(&[0; 32]), None);
        assert_eq!(timing_request(&request[..31]), None);
        request[1] = 0xd3;
        assert_eq!(timing_request(&request), None);
    }

    #[test]
    fn resend_requests_are_read() {
        let wish = resend_request(&[0x80, 0xd5, 0, 1, 0xff, 0xfe, 0, 4]);
        assert_eq!(wish, Some(ResendRequest { first: 0xfffe, count: 4 }));
        assert_eq!(resend_request(&[0x80, 0xd5, 0, 1, 0, 1, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn any_packet_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = resend_request(&bytes);
            if let Some(request) = timing_request(&bytes) {
                let _ = (asked_at(&request), timing_answer(&request, HubTime::EPOCH, HubTime::EPOCH));
            }
        }
    }
}
