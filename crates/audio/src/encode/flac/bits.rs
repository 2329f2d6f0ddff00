//! Bits, highest first, and the checks over them (RFC 9639, section 9).

/// Bits as they are written.
#[derive(Debug, Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    /// Bits that are no whole byte yet, in the lowest places.
    rest: u64,
    count: u32,
}

impl Bits {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.rest = 0;
        self.count = 0;
    }

    /// Writes the lowest `width` bits of `value`, 32 at most.
    pub(super) fn put(&mut self, value: u32, width: u32) {
        let mask = (1_u64 << width) - 1;
        self.rest = (self.rest << width) | (u64::from(value) & mask);
        self.count += width;
        // Never more than 31 bits are left before, so at most 63 are here.
        if self.count >= 32 {
            self.count -= 32;
            self.bytes.extend_from_slice(&((self.rest >> self.count) as u32).to_be_bytes());
        }
    }

    /// Writes a number of which the sign matters.
    pub(super) fn put_signed(&mut self, value: i32, width: u32) {
        self.put(value.cast_unsigned(), width);
    }

    /// Writes `zeros` zeros and a one.
    pub(super) fn unary(&mut self, zeros: u32) {
        let mut left = zeros;
        while left >= 31 {
            self.put(0, 31);
            left -= 31;
        }
        self.put(1, left + 1);
    }

    /// Everything, filled up with zeros to a whole byte.
    pub(super) fn whole_bytes(&mut self) -> &[u8] {
        if !self.count.is_multiple_of(8) {
            self.put(0, 8 - self.count % 8);
        }
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.rest >> self.count) as u8);
        }
        &self.bytes
    }
}

const CRC8: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u8;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 0x80 == 0 { value << 1 } else { (value << 1) ^ 0x07 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 0x8000 == 0 { value << 1 } else { (value << 1) ^ 0x8005 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

/// The check of a frame's header: polynomial x^8 + x^2 + x + 1.
pub(super) fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| CRC8[usize::from(crc ^ byte)])
}

/// The check of a frame: polynomial x^16 + x^15 + x^2 + 1.
pub(super) fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)])
}
