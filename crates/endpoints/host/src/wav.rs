//! A WAV file whose samples lie where they were due: written as it plays, readable at any moment.
//!
//! The first frame's place on the hub's clock is kept in a `bext` chunk (EBU Tech 3285, TimeReference: samples since
//! the epoch, here the hub's), so that files of several speakers can be laid over each other. Gaps are holes of silence.
//! The sizes in the header are brought up to date every [`HEADER_EVERY`] bytes and at the end, so that even after a kill
//! the file is a valid WAV that lacks at most its last quarter second.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use antiphon_audio::CHANNELS;
use antiphon_domain::SampleRate;

/// Bytes of a frame.
pub(crate) const FRAME: u64 = CHANNELS as u64 * 2;

const BEXT: u64 = 602;
/// RIFF header, `fmt ` chunk, `bext` chunk, header of `data`.
pub(crate) const HEADER: u64 = 12 + 24 + 8 + BEXT + 8;
/// Where TimeReference lies within a `bext` chunk's body.
pub(crate) const TIME_REFERENCE: usize = 338;

/// A quarter of a second.
const HEADER_EVERY: u64 = SampleRate::HUB.hertz() as u64 / 4 * FRAME;

/// More does not fit the format's 32-bit sizes (6.7 hours).
const MOST: u64 = u32::MAX as u64 - HEADER;

/// Writes one file.
#[derive(Debug)]
pub(crate) struct WavWriter {
    file: File,
    /// The hub frame of the file's first.
    origin: Option<u64>,
    /// Bytes of sound, holes included.
    length: u64,
    /// What the header says.
    told: u64,
    scratch: Vec<u8>,
}

impl WavWriter {
    /// Begins a new file in place of what may be there, which must be a plain file.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        // Opening a FIFO would wait for a reader, and truncating a device is not what anybody wanted.
        if let Ok(found) = path.metadata()
            && !found.is_file()
        {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is there and is not a plain file"));
        }
        let file = File::create(path)?;
        let mut writer = Self { file, origin: None, length: 0, told: 0, scratch: Vec::new() };
        writer.write_header()?;
        Ok(writer)
    }

    /// Writes interleaved samples where they belong; `frame` counts from the hub's epoch. What lies before the file's
    /// first frame is refused silently (it can only be late).
    pub(crate) fn write(&mut self, frame: u64, samples: &[i16]) -> io::Result<()> {
        if self.origin.is_none() {
            self.origin = Some(frame);
            self.write_header()?;
        }
        let Some(place) = frame.checked_sub(self.origin.unwrap_or(frame)) else { return Ok(()) };
        let place = place * FRAME;
        let end = place + samples.len() as u64 * 2;
        if end > MOST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a WAV file ends at 4 GiB"));
        }
        self.scratch.clear();
        self.scratch.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        self.file.write_all_at(&self.scratch, HEADER + place)?;
        self.length = self.length.max(end);
        if self.length - self.told >= HEADER_EVERY {
            self.write_header()?;
        }
        Ok(())
    }

    /// Makes the header tell all that was written.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if self.told == self.length { Ok(()) } else { self.write_header() }
    }

    fn write_header(&mut self) -> io::Result<()> {
        let rate = SampleRate::HUB.hertz();
        let length = self.length as u32;
        let mut header = Vec::with_capacity(HEADER as usize);
        header.extend(b"RIFF");
        header.extend((HEADER as u32 - 8 + length).to_le_bytes());
        header.extend(b"WAVEfmt ");
        header.extend(16u32.to_le_bytes());
        header.extend(1u16.to_le_bytes());
        header.extend((CHANNELS as u16).to_le_bytes());
        header.extend(rate.to_le_bytes());
        header.extend((rate * FRAME as u32).to_le_bytes());
        header.extend((FRAME as u16).to_le_bytes());
        header.extend(16u16.to_le_bytes());
        header.extend(b"bext");
        header.extend((BEXT as u32).to_le_bytes());
        let mut bext = [0u8; BEXT as usize];
        let words = b"antiphon virtual speaker; TimeReference counts from the hub's epoch";
        bext[..words.len()].copy_from_slice(words);
        bext[TIME_REFERENCE..TIME_REFERENCE + 8].copy_from_slice(&self.origin.unwrap_or(0).to_le_bytes());
        header.extend(bext);
        header.extend(b"data");
        header.extend(length.to_le_bytes());
        self.file.write_all_at(&header, 0)?;
        self.told = self.length;
        Ok(())
    }
}
