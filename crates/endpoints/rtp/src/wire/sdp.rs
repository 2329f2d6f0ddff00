//! The description of a session (SDP, RFC 8866) with its clock (RFC 7273), as AES67 receivers and PulseAudio read it.

use std::fmt::Write;
use std::net::IpAddr;

use antiphon_audio::CHANNELS;
use antiphon_domain::SampleRate;

use super::rtp::Encoding;

/// Which clock the media clock runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The hub's own, which nobody else knows.
    Sender,
    /// PTP (IEEE 1588-2008): the grandmaster's identity as `39-A7-94-FF-FE-07-CB-D0`, and the domain.
    Ptp {
        /// The grandmaster.
        grandmaster: String,
        /// 0 to 127.
        domain: u8,
    },
}

/// Everything a receiver must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session<'a> {
    /// Who sends.
    pub origin: IpAddr,
    /// A number that no other session of this sender has.
    pub id: u64,
    /// What people call it.
    pub name: &'a str,
    /// Where it is sent to.
    pub group: IpAddr,
    /// The port it is sent to.
    pub port: u16,
    /// How many routers it may pass.
    pub ttl: u8,
    /// 0 to 127.
    pub payload_type: u8,
    /// How samples are written.
    pub encoding: Encoding,
    /// Frames a second.
    pub rate: SampleRate,
    /// Frames in a packet.
    pub frames: u32,
    /// Which clock.
    pub reference: &'a Reference,
}

impl Session<'_> {
    /// The description.
    pub fn text(&self) -> String {
        // Whatever somebody called it, it is one line.
        let name: String = self.name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let name = if name.trim().is_empty() { "-" } else { name.trim() };
        let rate = self.rate.hertz();
        let mut text = String::new();
        let mut line = |arguments: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{arguments}\r\n");
        };
        line(format_args!("v=0"));
        line(format_args!("o=- {0} {0} IN {1}", self.id, address(self.origin)));
        line(format_args!("s={name}"));
        match self.group {
            IpAddr::V4(group) if group.is_multicast() => {
                line(format_args!("c=IN IP4 {group}/{}", self.ttl));
            }
            group => line(format_args!("c=IN {}", address(group))),
        }
        line(format_args!("t=0 0"));
        line(format_args!("m=audio {} RTP/AVP {}", self.port, self.payload_type));
        line(format_args!("a=rtpmap:{} {}/{rate}/{CHANNELS}", self.payload_type, self.encoding.name()));
        line(format_args!("a=ptime:{}", milliseconds(self.frames, rate)));
        line(format_args!("a=recvonly"));
        match self.reference {
            Reference::Sender => {
                line(format_args!("a=ts-refclk:local"));
                line(format_args!("a=mediaclk:sender"));
            }
            Reference::Ptp { grandmaster, domain } => {
                line(format_args!("a=ts-refclk:ptp=IEEE1588-2008:{grandmaster}:{domain}"));
                line(format_args!("a=mediaclk:direct=0"));
            }
        }
        text
    }
}

fn address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("IP4 {address}"),
        IpAddr::V6(address) => format!("IP6 {address}"),
    }
}

/// A packet's length: whole where it is, else to the microsecond.
fn milliseconds(frames: u32, rate: u32) -> String {
    let micros = u64::from(frames) * 1_000_000 / u64::from(rate);
    let text = format!("{}.{:03}", micros / 1_000, micros % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn session<'a>(name: &'a str, reference: &'a Reference) -> Session<'a> {
        Session {
            origin: IpAddr::from([192, 0, 2, 1]),
            id: 77,
            name,
            group: IpAddr::from([239, 69, 1, 1]),
            port: 5004,
            ttl: 1,
            payload_type: 96,
            encoding: Encoding::L24,
            rate: SampleRate::new(48_000).unwrap(),
            frames: 48,
            reference,
        }
    }

    #[test]
    fn an_aes67_session_reads_as_the_standards_have_it() {
        let reference = Reference::Ptp { grandmaster: "39-A7-94-FF-FE-07-CB-D0".into(), domain: 0 };
        let wanted = "v=0\r\no=- 77 77 IN IP4 192.0.2.1\r\ns=Kitchen\r\nc=IN IP4 239.69.1.1/1\r\nt=0 0\r\n\
            m=audio 5004 RTP/AVP 96\r\na=rtpmap:96 L24/48000/2\r\na=ptime:1\r\na=recvonly\r\n\
            a=ts-refclk:ptp=IEEE1588-2008:39-A7-94-FF-FE-07-CB-D0:0\r\na=mediaclk:direct=0\r\n";
        assert_eq!(session("Kitchen", &reference).text(), wanted);
    }

    #[test]
    fn lengths_of_packets() {
        assert_eq!(milliseconds(48, 48_000), "1");
        assert_eq!(milliseconds(220, 44_100), "4.988");
        assert_eq!(milliseconds(240, 48_000), "5");
        assert_eq!(milliseconds(6, 48_000), "0.125");
    }

    proptest! {
        #[test]
        fn any_name_is_one_line(name in any::<String>()) {
            let text = session(&name, &Reference::Sender).text();
            prop_assert_eq!(text.matches("\r\n").count(), 11);
            prop_assert!(text.lines().all(|line| line.as_bytes().get(1) == Some(&b'=')));
        }
    }
}
