//! Elligator 2 onto Curve25519's u-coordinates (RFC 9380, 6.7.1), which CPace needs and X25519 libraries keep to
//! themselves. The field is fiat-crypto's; nothing here branches on a secret.

use fiat_crypto::curve25519_64::{
    fiat_25519_add, fiat_25519_carry, fiat_25519_carry_mul, fiat_25519_carry_square, fiat_25519_from_bytes,
    fiat_25519_loose_field_element as Loose, fiat_25519_opp, fiat_25519_relax, fiat_25519_selectznz,
    fiat_25519_tight_field_element as Tight, fiat_25519_to_bytes,
};

/// The curve's coefficient: v^2 = u^3 + 486662 u^2 + u.
const J: u64 = 486_662;

/// A number modulo 2^255 - 19.
#[derive(Clone, Copy)]
struct Field(Tight);

impl Field {
    fn small(value: u64) -> Self {
        Self(Tight([value, 0, 0, 0, 0]))
    }

    fn read(mut bytes: [u8; 32]) -> Self {
        bytes[31] &= 0x7f;
        let mut out = Tight([0; 5]);
        fiat_25519_from_bytes(&mut out, &bytes);
        Self(out)
    }

    fn bytes(self) -> [u8; 32] {
        let mut out = [0; 32];
        fiat_25519_to_bytes(&mut out, &self.0);
        out
    }

    fn loose(self) -> Loose {
        let mut out = Loose([0; 5]);
        fiat_25519_relax(&mut out, &self.0);
        out
    }

    fn carried(loose: &Loose) -> Self {
        let mut out = Tight([0; 5]);
        fiat_25519_carry(&mut out, loose);
        Self(out)
    }

    fn plus(self, other: Self) -> Self {
        let mut sum = Loose([0; 5]);
        fiat_25519_add(&mut sum, &self.0, &other.0);
        Self::carried(&sum)
    }

    fn negative(self) -> Self {
        let mut out = Loose([0; 5]);
        fiat_25519_opp(&mut out, &self.0);
        Self::carried(&out)
    }

    fn times(self, other: Self) -> Self {
        let mut out = Tight([0; 5]);
        fiat_25519_carry_mul(&mut out, &self.loose(), &other.loose());
        Self(out)
    }

    fn squared(self) -> Self {
        let mut out = Tight([0; 5]);
        fiat_25519_carry_square(&mut out, &self.loose());
        Self(out)
    }

    /// To a public power: 2^255 - 19 shifted right by `shift`, less `less` (both small and known).
    fn power(self, exponent: &[u8; 32]) -> Self {
        let mut result = Self::small(1);
        for bit in (0..255).rev() {
            result = result.squared();
            // The exponent is public, so this branch tells nothing.
            if exponent[bit / 8] >> (bit % 8) & 1 == 1 {
                result = result.times(self);
            }
        }
        result
    }

    /// 1/x; 0 for 0.
    fn inverse(self) -> Self {
        // p - 2
        let mut exponent = [0xff; 32];
        exponent[0] = 0xeb;
        exponent[31] = 0x7f;
        self.power(&exponent)
    }

    /// 1 where it is no square, else 0 (0 is a square).
    fn is_no_square(self) -> u8 {
        // (p - 1) / 2
        let mut exponent = [0xff; 32];
        exponent[0] = 0xf6;
        exponent[31] = 0x3f;
        // The result is 0, 1 or -1 = 2^255 - 20, whose lowest byte is 0xec.
        let lowest = self.power(&exponent).bytes()[0];
        lowest >> 7
    }
}

/// The u-coordinate that 32 uniform bytes stand for (their highest bit is ignored).
pub fn map(bytes: [u8; 32]) -> [u8; 32] {
    let (one, j) = (Field::small(1), Field::small(J));
    let u = Field::read(bytes);
    let twice = u.squared().plus(u.squared());
    // 1 + 2 u^2 is never 0, as -1/2 is no square.
    let x1 = j.negative().times(one.plus(twice).inverse());
    // x^3 + J x^2 + x
    let gx1 = x1.squared().plus(j.times(x1)).plus(one).times(x1);
    let x2 = x1.negative().plus(j.negative());
    let mut chosen = Tight([0; 5]);
    fiat_25519_selectznz(&mut chosen.0, gx1.is_no_square(), &x1.0.0, &x2.0.0);
    Field(chosen).bytes()
}
