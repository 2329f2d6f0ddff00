//! What a configured text says: where to send to, and in which shape.
//!
//! `rtp://ADDRESS:PORT?format=L24&rate=48000&ptime=1&delay=100&ttl=1&clock=ptp&domain=0&announce=no`; everything behind
//! the port has a default.

use std::net::SocketAddr;
use std::time::Duration;

use antiphon_domain::SampleRate;

use crate::wire::rtp::Encoding;

/// What texts begin with.
pub const SCHEME: &str = "rtp://";

/// What is told to who wrote another.
pub const EXPECTED: &str = "rtp://ADDRESS:PORT?format=L16&rate=44100&ptime=5&delay=100&ttl=1&clock=hub&domain=0&announce=yes, \
    with format L16 or L24, rate 44100 or 48000, clock hub or ptp, in packets under 1,460 bytes";

/// The most bytes of samples in a packet: 1,460 with the header, which every path of a house takes unfragmented
/// (Ethernet's 1,500 less IPv6, UDP and RTP headers, and AES67's limit, 7.2).
const MOST: usize = 1_440;

/// The payload type of L16, 44.1 kHz, stereo (RFC 3551, table 4); all else is dynamic.
const STATIC_L16: u8 = 10;
/// Other L16: PulseAudio 16.1 takes no other number for it, whatever the description says.
const DYNAMIC_L16: u8 = 127;
/// L24, as AES67's own examples have it.
const DYNAMIC_L24: u8 = 96;

/// Where and how to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// A multicast group, or one receiver.
    pub to: SocketAddr,
    /// How samples are written.
    pub encoding: Encoding,
    /// Frames a second: 44,100 or 48,000.
    pub rate: SampleRate,
    /// Frames in a packet.
    pub frames: u32,
    /// How long after a packet's moment its receivers let it be heard.
    pub delay: Duration,
    /// Routers that a packet may pass.
    pub ttl: u8,
    /// The PTP domain that the media clock runs with; absent: the hub's clock.
    pub ptp: Option<u8>,
    /// Whether it is announced by SAP; otherwise receivers are told by hand.
    pub announce: bool,
}

impl Place {
    /// What a text behind the scheme says; `None` where it is not understood.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, settings) = text.split_once('?').unwrap_or((text, ""));
        let to: SocketAddr = address.trim_end_matches('/').parse().ok()?;
        let (mut encoding, mut rate, mut ptime) = (Encoding::L16, SampleRate::HUB, None);
        let (mut delay, mut ttl, mut ptp, mut domain) = (100, 1, false, 0);
        let mut announce = to.ip().is_multicast();
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once('=')?;
            match (key, value) {
                ("format", "L16") => encoding = Encoding::L16,
                ("format", "L24") => encoding = Encoding::L24,
                ("rate", "44100" | "48000") => rate = SampleRate::new(value.parse().ok()?)?,
                ("ptime", _) => ptime = Some(value.parse::<u32>().ok().filter(|ms| (1..=20).contains(ms))?),
                ("delay", _) => delay = value.parse::<u64>().ok().filter(|ms| *ms <= 2_000)?,
                ("ttl", _) => ttl = value.parse::<u8>().ok().filter(|ttl| *ttl > 0)?,
                ("clock", "hub") => ptp = false,
                ("clock", "ptp") => ptp = true,
                ("domain", _) => domain = value.parse::<u8>().ok().filter(|domain| *domain < 128)?,
                ("announce", "yes") => announce = true,
                ("announce", "no") => announce = false,
                _ => return None,
            }
        }
        // AES67, 7.2: receivers take packets of 1 ms at 48 kHz. Elsewhere fewer packets cost less.
        let ptime = ptime.unwrap_or(if rate == SampleRate::HUB { 5 } else { 1 });
        let frames = rate.hertz() * ptime / 1_000;
        let fits = frames as usize * encoding.frame() <= MOST && to.port() != 0;
        let delay = Duration::from_millis(delay);
        let ptp = ptp.then_some(domain);
        fits.then_some(Self { to, encoding, rate, frames, delay, ttl, ptp, announce })
    }

    /// How its payload is numbered.
    pub fn payload_type(&self) -> u8 {
        match self.encoding {
            Encoding::L16 if self.rate == SampleRate::HUB => STATIC_L16,
            Encoding::L16 => DYNAMIC_L16,
            Encoding::L24 => DYNAMIC_L24,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_read() {
        let place = Place::parse("239.69.1.1:5004?format=L24&rate=48000&ptime=1").unwrap();
        assert_eq!((place.frames, place.encoding, place.payload_type()), (48, Encoding::L24, 96));
        assert!(place.announce && place.ptp.is_none() && place.ttl == 1);
        let place = Place::parse("192.0.2.9:5004/?clock=ptp&domain=3&delay=20").unwrap();
        assert_eq!((place.frames, place.ptp, place.payload_type()), (220, Some(3), 10));
        assert!(!place.announce && place.delay == Duration::from_millis(20));
        assert_eq!(Place::parse("192.0.2.9:5004?rate=48000").unwrap().payload_type(), 127);
        assert!(Place::parse("[ff15::1]:5004").unwrap().announce);
        for bad in [
            "",
            "239.0.0.1",
            "kitchen:5004",
            "239.0.0.1:0",
            "239.0.0.1:5004?format=L8",
            "239.0.0.1:5004?rate=96000",
            "239.0.0.1:5004?ptime=0",
            "239.0.0.1:5004?ptime=9",
            "239.0.0.1:5004?format=L24&rate=48000&ptime=6",
            "239.0.0.1:5004?volume=11",
            "239.0.0.1:5004?ttl=0",
        ] {
            assert_eq!(Place::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_what_is_taken_fits_a_packet(text in "[0-9.]{0,9}:?[0-9]{0,5}[?a-zA-Z0-9&=]{0,40}") {
            if let Some(place) = Place::parse(&text) {
                prop_assert!(place.frames as usize * place.encoding.frame() <= MOST && place.frames > 0);
            }
        }
    }
}
