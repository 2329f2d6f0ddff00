//! The session description of ANNOUNCE: 352-frame Apple Lossless, 44,100 Hz, 16 bits, stereo, in the clear or encrypted.

use std::net::IpAddr;

use antiphon_audio::block::BLOCK_FRAMES;

use crate::wire::crypt::SessionKey;

/// Its media type.
pub const CONTENT_TYPE: &str = "application/sdp";

/// The description, from us (`local`, session number `session`) to a receiver (`remote`).
///
/// The `fmtp` line is the decoder's set-up: frames a packet, version 0, bits, the Rice parameters 40, 10 and 14 that
/// every ALAC encoder uses, channels, run length, and the rate; sizes unknown are 0. Without a key there is no
/// `rsaaeskey` and no `aesiv` line: the audio is in the clear.
pub fn announce(session: u32, local: IpAddr, remote: IpAddr, key: Option<&SessionKey>) -> String {
    let family = |ip: IpAddr| if ip.is_ipv4() { "IP4" } else { "IP6" };
    let (from, to) = (family(local), family(remote));
    let hidden = key.map_or(String::new(), |key| {
        let (key, vector) = key.told();
        format!("a=rsaaeskey:{key}\r\na=aesiv:{vector}\r\n")
    });
    format!(
        "v=0\r\n\
         o=antiphon {session} 0 IN {from} {local}\r\n\
         s=antiphon\r\n\
         c=IN {to} {remote}\r\n\
         t=0 0\r\n\
         m=audio 0 RTP/AVP 96\r\n\
         a=rtpmap:96 AppleLossless\r\n\
         a=fmtp:96 {BLOCK_FRAMES} 0 16 40 10 14 2 255 0 0 44100\r\n\
         {hidden}"
    )
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn it_describes_what_is_sent() {
        let text = announce(7, Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), None);
        assert!(text.contains("o=antiphon 7 0 IN IP4 127.0.0.1\r\n"));
        assert!(text.contains("c=IN IP6 ::1\r\n"));
        assert!(text.ends_with("a=fmtp:96 352 0 16 40 10 14 2 255 0 0 44100\r\n"));
        let key = SessionKey::new([1; 16], [0; 16], &mut |bytes| bytes.fill(5));
        let text = announce(7, Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into(), key.as_ref());
        assert!(
            text.ends_with("a=aesiv:AAAAAAAAAAAAAAAAAAAAAA\r\n") && text.contains("a=rsaaeskey:"),
            "{text}"
        );
    }
}
