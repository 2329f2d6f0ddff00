//! A password told by HTTP digest (RFC 2617, MD5 without `qop`, as AirPlay 1 receivers ask for it).
//!
//! A receiver with a password answers 401 and a challenge; from then on each request carries a proof made of the
//! password, the challenge, the method and the address. The user is called `iTunes`, which all receivers take.

use antiphon_domain::Secret;
use md5::{Digest as _, Md5};

/// The user's name.
const USER: &str = "iTunes";

/// The most letters of a realm or nonce that are taken; receivers send some dozens.
const MOST: usize = 256;

/// What a receiver asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
    nonce: String,
}

impl Challenge {
    /// Reads a `WWW-Authenticate` header; `None` when it is no digest challenge that we could answer.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim_start().split_once(char::is_whitespace)?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let (mut realm, mut nonce) = (None, None);
        let mut rest = rest.trim_start();
        while !rest.is_empty() {
            let (key, after) = rest.split_once('=')?;
            let (value, after) = value(after)?;
            match key.trim() {
                key if key.eq_ignore_ascii_case("realm") => realm = Some(value),
                key if key.eq_ignore_ascii_case("nonce") => nonce = Some(value),
                key if key.eq_ignore_ascii_case("algorithm") && !value.eq_ignore_ascii_case("MD5") => {
                    return None;
                }
                _ => {}
            }
            rest = after.trim_start_matches([',', ' ', '\t']);
        }
        let fine = |text: &&str| text.len() <= MOST && text.chars().all(|c| !c.is_control() && c != '"');
        Some(Self {
            realm: realm.filter(fine).unwrap_or_default().to_owned(),
            nonce: nonce.filter(fine)?.to_owned(),
        })
    }

    /// The `Authorization` header of a request; `capitals` where the receiver compares digests in capitals.
    pub fn answer(&self, password: &Secret, method: &str, uri: &str, capitals: bool) -> String {
        let hash = |text: String| hex(&Md5::digest(text), capitals);
        let Self { realm, nonce } = self;
        let who = hash(format!("{USER}:{realm}:{}", password.expose()));
        let what = hash(format!("{method}:{uri}"));
        let proof = hash(format!("{who}:{nonce}:{what}"));
        format!(
            "Digest username=\"{USER}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{proof}\""
        )
    }
}

/// A value, quoted or not, and what follows it.
fn value(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"'),
        None => Some(match text.find([',', ' ']) {
            Some(end) => text.split_at(end),
            None => (text, ""),
        }),
    }
}

fn hex(bytes: &[u8], capitals: bool) -> String {
    let digit = |bits: u8| {
        let digit = char::from_digit(u32::from(bits), 16).unwrap_or('0');
        if capitals { digit.to_ascii_uppercase() } else { digit }
    };
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_challenge_is_answered_as_the_standard_says() {
        let header = "Digest realm=\"raop\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", algorithm=MD5";
        let challenge = Challenge::parse(header).unwrap();
        let answer =
            challenge.answer(&Secret::new("Circle Of Life"), "ANNOUNCE", "rtsp://192.0.2.1/5", false);
        // By hand with md5sum: of iTunes:raop:Circle Of Life, of ANNOUNCE:rtsp://192.0.2.1/5, and of both and the nonce.
        assert!(
            answer.ends_with("uri=\"rtsp://192.0.2.1/5\", response=\"79a4ce84dd127ad9970f92ccf35b6140\""),
            "{answer}"
        );
        assert!(
            answer.starts_with("Digest username=\"iTunes\", realm=\"raop\", nonce=\"dcd98b71"),
            "{answer}"
        );
    }

    #[test]
    fn capitals_are_capitals_all_the_way() {
        assert_eq!(hex(&[0xab, 0x01], true), "AB01");
        assert_eq!(hex(&[0xab, 0x01], false), "ab01");
    }

    #[test]
    fn what_is_no_digest_challenge_is_none() {
        for header in
            ["", "Basic realm=\"x\"", "Digest", "Digest realm=\"x\"", "Digest nonce=\"a", "Digest nonce"]
        {
            assert_eq!(Challenge::parse(header), None, "{header}");
        }
        assert_eq!(Challenge::parse("Digest nonce=\"1\", algorithm=SHA-256"), None);
        assert!(Challenge::parse("digest nonce=abc,realm=raop").is_some());
    }

    proptest! {
        #[test]
        fn any_header_is_read(header in "(Digest )?.*") {
            if let Some(challenge) = Challenge::parse(&header) {
                let answer = challenge.answer(&Secret::new("x"), "OPTIONS", "*", true);
                prop_assert_eq!(answer.matches('"').count(), 10);
                prop_assert!(!answer.contains('\n'));
            }
        }
    }
}
