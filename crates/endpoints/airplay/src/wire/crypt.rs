//! Encrypted sound (`et=1`): a key for each session, told to the receiver under Apple's public key.
//!
//! Each packet is AES-128 in CBC mode, begun anew with the session's vector; what is left over beyond whole blocks of 16
//! bytes travels in the clear. The key protects nothing today (the private half has been public since 2011); some
//! receivers just take nothing else.

use aes::Aes128;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockEncryptMut, InnerIvInit, KeyInit};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use rsa::rand_core::{CryptoRng, Error as RngError, RngCore};
use rsa::{BigUint, Oaep, RsaPublicKey};

/// Bytes of a key, a vector and a block.
pub const BLOCK: usize = 16;

/// The modulus of the public key that every AirPlay 1 receiver has the other half of (2,048 bits), as the iTunes of 2004
/// carries it and shairport-sync's private key confirms.
const MODULUS: &str = "59dE8qLieItsH1WgjrcFRKj6eUWqi+bGLOX1HL3U3GhC/j0Qg90u3sG/1CUtwC5vOYvfDmFI6oSFXi5ELabWJmT2dKHzBJKa\
     3k9ok+8t9ucRqMd6DZHJ2YCCLlDRKSKv6kDqnw4UwPdpOMXziC/AMj3Z/lUVX1G7WSHCAWKf1zNS1eLvqr+boEjXuBOitnZ/\
     bDzPHrTOZz0Dew0uowxf/+sG+NCK3eQJVxqcaJ/vEHKIVd2M+5qL71yJQ+87X6oV3eaYvt3zWZYD6z5vYTcrtij2VZ9Zmni/\
     UAaHqn9JdsBWLUEpVviYnhimNVvYFZeCXg/IdTQ+x4IRdiXNv5hEew==";

/// Its exponent.
const EXPONENT: u32 = 65_537;

/// A session's key.
#[derive(Clone)]
pub struct SessionKey {
    cipher: Aes128,
    vector: [u8; BLOCK],
    /// The key under the public key, and the vector, as the session description has them.
    told: (String, String),
}

impl SessionKey {
    /// A key of these random bytes, hidden with `random`; `None` if the public key cannot be used, which cannot happen.
    pub fn new(key: [u8; BLOCK], vector: [u8; BLOCK], random: &mut dyn FnMut(&mut [u8])) -> Option<Self> {
        let modulus = BigUint::from_bytes_be(&STANDARD.decode(MODULUS).ok()?);
        let public = RsaPublicKey::new(modulus, BigUint::from(EXPONENT)).ok()?;
        let hidden = public.encrypt(&mut Dice(random), Oaep::new::<sha1::Sha1>(), &key).ok()?;
        // Without the padding `=`, as receivers expect it.
        let told = (STANDARD_NO_PAD.encode(hidden), STANDARD_NO_PAD.encode(vector));
        Some(Self { cipher: Aes128::new(&key.into()), vector, told })
    }

    /// The values of the description's `rsaaeskey` and `aesiv` lines.
    pub fn told(&self) -> (&str, &str) {
        (&self.told.0, &self.told.1)
    }

    /// A packet's payload as it travels.
    pub fn encrypt(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = payload.to_vec();
        let mut chain = cbc::Encryptor::inner_iv_init(self.cipher.clone(), &self.vector.into());
        for block in out.chunks_exact_mut(BLOCK) {
            chain.encrypt_block_mut(GenericArray::from_mut_slice(block));
        }
        out
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey")
    }
}

/// Random bytes handed in, for a library that wants them by its own trait.
struct Dice<'a>(&'a mut dyn FnMut(&mut [u8]));

impl RngCore for Dice<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        (self.0)(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        (self.0)(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        (self.0)(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), RngError> {
        (self.0)(bytes);
        Ok(())
    }
}

impl CryptoRng for Dice<'_> {}

#[cfg(test)]
mod tests {
    use aes::cipher::{BlockDecryptMut, KeyIvInit};
    use proptest::prelude::*;

    use super::*;

    fn key() -> SessionKey {
        let mut next = 0u8;
        let mut random = |bytes: &mut [u8]| {
            for byte in bytes {
                next = next.wrapping_mul(181).wrapping_add(77);
                *byte = next;
            }
        };
        SessionKey::new([7; BLOCK], [9; BLOCK], &mut random).unwrap()
    }

    #[test]
    fn the_key_travels_as_256_hidden_bytes() {
        let key = key();
        let (hidden, vector) = key.told();
        assert_eq!(STANDARD_NO_PAD.decode(hidden).unwrap().len(), 256);
        assert_eq!(STANDARD_NO_PAD.decode(vector).unwrap(), [9; BLOCK]);
        assert_eq!(format!("{key:?}"), "SessionKey");
    }

    proptest! {
        #[test]
        fn whole_blocks_are_hidden_and_the_tail_is_not(payload in proptest::collection::vec(any::<u8>(), 0..1500)) {
            let sent = key().encrypt(&payload);
            prop_assert_eq!(sent.len(), payload.len());
            let whole = payload.len() / BLOCK * BLOCK;
            prop_assert_eq!(&sent[whole..], &payload[whole..]);
            let mut back = sent.clone();
            let mut chain = cbc::Decryptor::<Aes128>::new(&[7; BLOCK].into(), &[9; BLOCK].into());
            for block in back.chunks_exact_mut(BLOCK) {
                chain.decrypt_block_mut(GenericArray::from_mut_slice(block));
            }
            prop_assert_eq!(back, payload);
        }
    }
}
