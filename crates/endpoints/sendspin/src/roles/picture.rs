//! What a picture file says of itself: its coding and its size.
//!
//! Pure, and wary: files come from anywhere.

/// How a picture is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
}

impl Kind {
    /// As in the protocol's messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
        }
    }
}

/// A picture's coding and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// How it is coded.
    pub kind: Kind,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// The size that the file tells; `None` for what is neither JPEG nor PNG, or ends too soon.
pub fn size(file: &[u8]) -> Option<Size> {
    png(file).or_else(|| jpeg(file))
}

/// PNG: the header chunk comes first (W3C PNG, 11.2.2).
fn png(file: &[u8]) -> Option<Size> {
    let header = file.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(4..16)?.strip_prefix(b"IHDR")?;
    let (width, height) = header.split_first_chunk::<4>()?;
    let height = height.first_chunk::<4>()?;
    Some(Size { kind: Kind::Png, width: u32::from_be_bytes(*width), height: u32::from_be_bytes(*height) })
}

/// JPEG: the first frame header among the segments (ITU-T T.81, B.2.2).
fn jpeg(file: &[u8]) -> Option<Size> {
    let mut rest = file.strip_prefix(b"\xff\xd8")?;
    loop {
        let [0xff, marker, after @ ..] = rest else { return None };
        rest = after;
        match marker {
            // Fill bytes before a marker.
            0xff => {
                rest = file.get(file.len() - after.len() - 1..)?;
                continue;
            }
            0x01 | 0xd0..=0xd9 => continue,
            _ => {}
        }
        let (length, _) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let segment = rest.get(2..length)?;
        // Frame headers, but for the three markers in their midst that are something else.
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let (height, more) = segment.get(1..)?.split_first_chunk::<2>()?;
            let width = more.first_chunk::<2>()?;
            return Some(Size {
                kind: Kind::Jpeg,
                width: u16::from_be_bytes(*width).into(),
                height: u16::from_be_bytes(*height).into(),
            });
        }
        rest = rest.get(length..)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\x2c\0\0\0\x64\x08\x02\0\0\0";
        assert_eq!(size(png), Some(Size { kind: Kind::Png, width: 300, height: 100 }));
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc2\0\x0b\x08\0\x20\x01\0\x03\x01\x22\0";
        assert_eq!(size(jpeg), Some(Size { kind: Kind::Jpeg, width: 256, height: 32 }));
        assert_eq!(size(b"\xff\xd8\xff\xe0\0\0"), None);
        assert_eq!(size(b"GIF89a"), None);
    }

    proptest! {
        #[test]
        fn anything_is_looked_at_safely(mut file in proptest::collection::vec(any::<u8>(), 0..200), jpeg in any::<bool>()) {
            if jpeg {
                file.splice(0..0, [0xff, 0xd8, 0xff]);
            }
            let _ = size(&file);
        }
    }
}
