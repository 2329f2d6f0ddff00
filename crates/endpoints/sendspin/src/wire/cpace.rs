//! CPACE-X25519-SHA512, initiator and responder with mutual confirmation (draft-irtf-cfrg-cpace-21), with the inputs that
//! pairing.md ("PAKE") gives it: no channel identifier, associated data `server` and `client`.

use curve25519_dalek::montgomery::MontgomeryPoint;
use ring::digest::{SHA512, digest};
use ring::hmac::{HMAC_SHA512, Key, sign, verify};

use super::elligator;

/// The domain separator of this group.
const DSI: &[u8] = b"CPace255";
/// The block size of SHA-512, which the password is padded to.
const HASH_BLOCK: usize = 128;

/// Associated data of the side that begins.
pub const SERVER: &[u8] = b"server";
/// Associated data of the side that answers.
pub const CLIENT: &[u8] = b"client";

/// A text with its length before it (LEB128; ours are short).
fn prepend_length(into: &mut Vec<u8>, part: &[u8]) {
    let mut length = part.len();
    while length >= 0x80 {
        into.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    into.push(length as u8);
    into.extend_from_slice(part);
}

fn lengths_and(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        prepend_length(&mut out, part);
    }
    out
}

fn sha512(text: &[u8]) -> [u8; 64] {
    let mut out = [0; 64];
    out.copy_from_slice(digest(&SHA512, text).as_ref());
    out
}

/// The point both sides make of the code.
fn generator(password: &[u8], channel: &[u8], session: &[u8]) -> [u8; 32] {
    let before = lengths_and(&[password, DSI]).len();
    let padding = vec![0; HASH_BLOCK.saturating_sub(1 + before)];
    let hash = sha512(&lengths_and(&[DSI, password, &padding, channel, session]));
    let mut uniform = [0; 32];
    uniform.copy_from_slice(&hash[..32]);
    elligator::map(uniform)
}

/// One side of one run.
pub struct Cpace {
    scalar: [u8; 32],
    share: [u8; 32],
    session: Vec<u8>,
}

/// What a run yields.
pub struct Agreed {
    /// The intermediate session key.
    pub isk: [u8; 64],
    confirm: Key,
    server: Vec<u8>,
    client: Vec<u8>,
}

impl Cpace {
    /// Begins with the code, the session id and 32 random bytes.
    pub fn new(code: &[u8], session: Vec<u8>, random: [u8; 32]) -> Self {
        let base = MontgomeryPoint(generator(code, &[], &session));
        Self { scalar: random, share: base.mul_clamped(random).to_bytes(), session }
    }

    /// Our public share.
    pub fn share(&self) -> &[u8; 32] {
        &self.share
    }

    /// Ends, as the server, with the client's share; `None` when that encodes a point of low order.
    pub fn server_ends(self, client: &[u8; 32]) -> Option<Agreed> {
        let server = self.share;
        self.end(client, &server, client)
    }

    /// Ends, as the client (in tests), with the server's share.
    #[cfg(any(test, feature = "fake"))]
    pub fn client_ends(self, server: &[u8; 32]) -> Option<Agreed> {
        let client = self.share;
        self.end(server, server, &client)
    }

    fn end(self, other: &[u8; 32], server: &[u8; 32], client: &[u8; 32]) -> Option<Agreed> {
        let secret = MontgomeryPoint(*other).mul_clamped(self.scalar).to_bytes();
        if secret == [0; 32] {
            return None;
        }
        let server = lengths_and(&[server, SERVER]);
        let client = lengths_and(&[client, CLIENT]);
        let isk = session_key(&self.session, &secret, &server, &client);
        let mut key = b"CPaceMac".to_vec();
        key.extend_from_slice(&self.session);
        key.extend_from_slice(&isk);
        let confirm = Key::new(HMAC_SHA512, &sha512(&key));
        Some(Agreed { isk, confirm, server, client })
    }
}

/// ISK from the shared point and the two messages with their associated data.
fn session_key(session: &[u8], secret: &[u8; 32], server: &[u8], client: &[u8]) -> [u8; 64] {
    let mut text = lengths_and(&[b"CPace255_ISK", session, secret]);
    text.extend_from_slice(server);
    text.extend_from_slice(client);
    sha512(&text)
}

impl Agreed {
    /// What proves to the client that we know the code.
    pub fn server_tag(&self) -> Vec<u8> {
        sign(&self.confirm, &self.server).as_ref().to_vec()
    }

    /// What proves to us that the client knows it.
    #[cfg(any(test, feature = "fake"))]
    pub fn client_tag(&self) -> Vec<u8> {
        sign(&self.confirm, &self.client).as_ref().to_vec()
    }

    /// Whether the client's proof holds.
    pub fn client_knows(&self, tag: &[u8]) -> bool {
        verify(&self.confirm, &self.client, tag).is_ok()
    }

    /// Whether the server's proof holds.
    #[cfg(any(test, feature = "fake"))]
    pub fn server_knows(&self, tag: &[u8]) -> bool {
        verify(&self.confirm, &self.server, tag).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    fn point(text: &str) -> [u8; 32] {
        hex(text).try_into().unwrap()
    }

    /// The vectors of the draft's appendix B.1.
    #[test]
    fn the_drafts_vectors_hold() {
        let session = hex("7e4b4791d6a8ef019b936c79fb7f2c57");
        let channel = hex("6f630b425f726573706f6e6465720b415f696e69746961746f72");
        let base = generator(b"Password", &channel, &session);
        assert_eq!(base, point("64e8099e3ea682cfdc5cb665c057ebb514d06bf23ebc9f743b51b82242327074"));
        let ya = point("21b4f4bd9e64ed355c3eb676a28ebedaf6d8f17bdc365995b319097153044080");
        let yb = point("848b0779ff415f0af4ea14df9dd1d3c29ac41d836c7808896c4eba19c51ac40a");
        let a = MontgomeryPoint(base).mul_clamped(ya);
        let b = MontgomeryPoint(base).mul_clamped(yb);
        assert_eq!(a.0, point("1b02dad6dbd29a07b6d28c9e04cb2f184f0734350e32bb7e62ff9dbcfdb63d15"));
        assert_eq!(b.0, point("20cda5955f82c4931545bcbf40758ce1010d7db4db2a907013d79c7a8fcf957f"));
        let secret = b.mul_clamped(ya).to_bytes();
        assert_eq!(secret, point("f97fdfcfff1c983ed6283856a401de3191ca919902b323c5f950c9703df7297a"));
        let (a, b) = (lengths_and(&[&a.0, b"ADa"]), lengths_and(&[&b.0, b"ADb"]));
        let isk = session_key(&session, &secret, &a, &b);
        let expected = "a051ee5ee2499d16da3f69f430218b8ea94a18a45b67f9e86495b382c33d14a5\
                        c38cecc0cc834f960e39e0d1bf7d76b9ef5d54eecc5e0f386c97ad12da8c3d5f";
        assert_eq!(isk.to_vec(), hex(expected));
    }

    #[test]
    fn one_code_agrees_and_two_do_not() {
        let session = b"sid".to_vec();
        let server = Cpace::new(b"123456", session.clone(), [3; 32]);
        let client = Cpace::new(b"123456", session.clone(), [4; 32]);
        let other = Cpace::new(b"123457", session, [5; 32]);
        let (from_server, from_client, from_other) = (*server.share(), *client.share(), *other.share());
        let theirs = client.client_ends(&from_server).unwrap();
        let wrong = other.client_ends(&from_server).unwrap();
        let ours = server.server_ends(&from_client).unwrap();
        assert_eq!(ours.isk, theirs.isk);
        assert!(theirs.server_knows(&ours.server_tag()) && ours.client_knows(&theirs.client_tag()));
        assert!(!wrong.server_knows(&ours.server_tag()) && !ours.client_knows(&wrong.client_tag()));
        let again = Cpace::new(b"123456", b"sid".to_vec(), [3; 32]);
        assert_ne!(again.server_ends(&from_other).unwrap().isk, ours.isk);
    }

    #[test]
    fn points_of_low_order_are_refused() {
        let one = {
            let mut one = [0; 32];
            one[0] = 1;
            one
        };
        for low in [[0; 32], one] {
            assert!(Cpace::new(b"123456", b"sid".to_vec(), [3; 32]).server_ends(&low).is_none());
        }
    }
}
