//! Pairing tokens: `SP:`, a version, and base32 in which 9 stands for 2 (pairing.md, "Pairing Token").

use antiphon_domain::Secret;

use super::key::{PeerId, Psk, encode};

/// Longer text is no token: the longest, of version 0, has 107 characters; a later one may have something behind that.
const LONGEST: usize = 512;

/// What a person read from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Version 0: who the client is, and its pairing key.
    Key(PeerId, Psk),
    /// Version 1, shown as a QR code: the code of this attempt.
    Code([u8; 24]),
    /// Six digits: the code of this attempt.
    Dynamic([u8; 6]),
    /// Eight digits: the code printed on it.
    Static([u8; 8]),
}

/// Understands what a person typed or pasted: a token or a code, with the spaces and hyphens codes are shown with.
pub fn read(text: &Secret) -> Option<Read> {
    let text = text.expose().trim();
    if text.len() > LONGEST {
        return None;
    }
    let digits: Vec<u8> = text.bytes().filter(|b| !matches!(b, b' ' | b'-')).collect();
    if digits.iter().all(u8::is_ascii_digit) {
        if let Ok(code) = <[u8; 6]>::try_from(digits.as_slice()) {
            return Some(Read::Dynamic(code));
        }
        if let Ok(code) = <[u8; 8]>::try_from(digits.as_slice()) {
            return Some(Read::Static(code));
        }
    }
    let upper = text.to_ascii_uppercase();
    let token = upper.strip_prefix("SP:").unwrap_or(&upper);
    let payload = base32(token.get(1..)?)?;
    match token.as_bytes()[0] {
        b'0' => {
            let client: [u8; 32] = payload.get(..32)?.try_into().ok()?;
            let key: [u8; 32] = payload.get(32..64)?.try_into().ok()?;
            Some(Read::Key(PeerId::parse(&encode(&client))?, Psk::new(key)))
        }
        b'1' => Some(Read::Code(payload.get(..24)?.try_into().ok()?)),
        _ => None,
    }
}

/// RFC 4648 base32 without padding, in upper case, with 9 in place of 2.
fn base32(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 5 / 8);
    let (mut bits, mut held) = (0u32, 0u32);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'9' => 26,
            b'3'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        held = held << 5 | u32::from(value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    // What is left must be less than a letter, and nothing.
    (bits < 5 && held == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "SP:0AAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQTCQKRMFYYDENBWHA5DYP6BYPC4PSOLZXH5DU6V97M5XXO74HR6LZ7J5PW674PT6X37T6757Y";
    const CODE: &str = "SP:14DQ6FY7E4XTOP9HJ5LV6Z3PO57YPD4XT6T97N5Y";

    fn counted<const N: usize>(first: u8) -> [u8; N] {
        std::array::from_fn(|i| first + i as u8)
    }

    #[test]
    fn the_documents_tokens_are_read() {
        let client = PeerId::parse(&encode(&counted::<32>(0))).unwrap();
        let expected = Some(Read::Key(client, Psk::new(counted(0xe0))));
        assert_eq!(read(&Secret::new(KEY)), expected);
        assert_eq!(read(&Secret::new(format!("  {}\n", KEY.to_lowercase()))), expected);
        assert_eq!(read(&Secret::new(&KEY[3..])), expected);
        assert_eq!(read(&Secret::new(CODE)), Some(Read::Code(counted(0xe0))));
    }

    #[test]
    fn codes_are_read_however_they_are_grouped() {
        for text in ["123456", "123-456", " 123 456 "] {
            assert_eq!(read(&Secret::new(text)), Some(Read::Dynamic(*b"123456")), "{text}");
        }
        assert_eq!(read(&Secret::new("1234-5678")), Some(Read::Static(*b"12345678")));
    }

    #[test]
    fn what_is_neither_is_refused() {
        let cut = &KEY[..KEY.len() - 2];
        for text in
            ["", "SP:", "12345", "SP:2AAAA", "SP:0", "SP:1", cut, "SP:08888", "é", "0é", &"A".repeat(600)]
        {
            assert_eq!(read(&Secret::new(text)), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".*") {
            let _ = read(&Secret::new(text));
        }
    }
}
