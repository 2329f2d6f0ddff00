//! Tagged values: each begins with a letter that tells its type.

use thiserror::Error;

/// What stands for "none" among indices.
pub const NONE: u32 = u32::MAX;

/// A value that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadTags {
    /// The message ends within a value.
    #[error("a message ends too soon")]
    Short,
    /// Another type was to come.
    #[error("a value of type {found:?} came in place of {wanted:?}")]
    Type {
        /// The letter of the one expected.
        wanted: char,
        /// The letter that was there.
        found: char,
    },
    /// A text that is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
}

/// Reads values one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Tags<'a> {
    rest: &'a [u8],
}

impl<'a> Tags<'a> {
    /// Begins at the first value.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// A whole number of 32 bits.
    pub fn u32(&mut self) -> Result<u32, BadTags> {
        self.is(b'L')?;
        self.word()
    }

    /// A whole number of 64 bits with a sign.
    pub fn i64(&mut self) -> Result<i64, BadTags> {
        self.is(b'r')?;
        self.take().map(i64::from_be_bytes)
    }

    /// A time span, microseconds.
    pub fn micros(&mut self) -> Result<u64, BadTags> {
        self.is(b'U')?;
        self.take().map(u64::from_be_bytes)
    }

    /// Yes or no.
    pub fn flag(&mut self) -> Result<bool, BadTags> {
        match self.letter()? {
            b'1' => Ok(true),
            b'0' => Ok(false),
            found => Err(wrong(b'1', found)),
        }
    }

    /// A text, where there is one.
    pub fn text(&mut self) -> Result<Option<&'a str>, BadTags> {
        match self.letter()? {
            b'N' => Ok(None),
            b't' => {
                let end = self.rest.iter().position(|byte| *byte == 0).ok_or(BadTags::Short)?;
                let text = std::str::from_utf8(&self.rest[..end]).map_err(|_| BadTags::Text)?;
                self.rest = &self.rest[end + 1..];
                Ok(Some(text))
            }
            found => Err(wrong(b't', found)),
        }
    }

    /// A moment of somebody's wall clock, which we do not use.
    pub fn skip_moment(&mut self) -> Result<(), BadTags> {
        self.is(b'T')?;
        self.take::<8>().map(drop)
    }

    /// A sample format: its number, channels, frames a second.
    pub fn format(&mut self) -> Result<(u8, u8, u32), BadTags> {
        self.is(b'a')?;
        let [format, channels] = self.take()?;
        Ok((format, channels, self.word()?))
    }

    /// Where each channel stands, which we do not use.
    pub fn skip_channels(&mut self) -> Result<(), BadTags> {
        self.is(b'm')?;
        let [count] = self.take()?;
        self.bytes(usize::from(count)).map(drop)
    }

    /// The loudest of the channels' volumes; 65,536 leaves sound as it is.
    pub fn volume(&mut self) -> Result<u32, BadTags> {
        self.is(b'v')?;
        let [count] = self.take()?;
        let mut loudest = 0;
        for _ in 0..count {
            loudest = loudest.max(self.word()?);
        }
        Ok(loudest)
    }

    fn is(&mut self, wanted: u8) -> Result<(), BadTags> {
        let found = self.letter()?;
        if found == wanted { Ok(()) } else { Err(wrong(wanted, found)) }
    }

    fn letter(&mut self) -> Result<u8, BadTags> {
        self.take().map(|[letter]| letter)
    }

    fn word(&mut self) -> Result<u32, BadTags> {
        self.take().map(u32::from_be_bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], BadTags> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(BadTags::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], BadTags> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(BadTags::Short)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn wrong(wanted: u8, found: u8) -> BadTags {
    BadTags::Type { wanted: char::from(wanted), found: char::from(found) }
}

/// Writes values one after the other.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// A whole number of 32 bits.
    pub fn u32(mut self, value: u32) -> Self {
        self.0.push(b'L');
        self.word(value)
    }

    /// A byte.
    pub fn byte(mut self, value: u8) -> Self {
        self.0.extend([b'B', value]);
        self
    }

    /// Yes or no.
    pub fn flag(mut self, value: bool) -> Self {
        self.0.push(if value { b'1' } else { b'0' });
        self
    }

    /// The same several times.
    pub fn flags(mut self, values: &[bool]) -> Self {
        for value in values {
            self = self.flag(*value);
        }
        self
    }

    /// A text, or none. What follows a zero byte is left out, as the wire ends texts by one.
    pub fn text(mut self, text: Option<&str>) -> Self {
        let Some(text) = text else {
            self.0.push(b'N');
            return self;
        };
        self.0.push(b't');
        self.0.extend(text.bytes().take_while(|byte| *byte != 0));
        self.0.push(0);
        self
    }

    /// Bytes of any kind.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.push(b'x');
        self = self.word(bytes.len() as u32);
        self.0.extend(bytes);
        self
    }

    /// A moment of a wall clock that nobody reads.
    pub fn no_moment(mut self) -> Self {
        self.0.extend([b'T', 0, 0, 0, 0, 0, 0, 0, 0]);
        self
    }

    /// Names and their values.
    pub fn properties(mut self, properties: &[(&str, &str)]) -> Self {
        self.0.push(b'P');
        for (name, value) in properties {
            // Texts among properties end by a zero byte that counts.
            let mut bytes: Vec<u8> = value.bytes().take_while(|byte| *byte != 0).collect();
            bytes.push(0);
            self = self.text(Some(name)).u32(bytes.len() as u32).bytes(&bytes);
        }
        self.text(None)
    }

    /// Stereo of 16-bit little-endian samples: the format, then where its channels stand.
    pub fn stereo(mut self, rate: u32) -> Self {
        self.0.extend([b'a', 3, 2]);
        self = self.word(rate);
        self.0.extend([b'm', 2, 1, 2]);
        self
    }

    /// One volume for both channels; 65,536 leaves sound as it is.
    pub fn volume(mut self, volume: u32) -> Self {
        self.0.extend([b'v', 2]);
        self.word(volume).word(volume)
    }

    fn word(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }
}
