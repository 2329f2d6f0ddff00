//! Tone: three bands and a mode on top of them (AVS EqualizerController 1.0). The speaker's mixer applies the sum to the
//! content; speech and alarms are not coloured.

use serde::{Deserialize, Serialize};

/// One band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Band {
    /// A low shelf.
    Bass,
    /// A bell in the middle.
    Midrange,
    /// A high shelf.
    Treble,
}

impl Band {
    /// All of them, low to high.
    pub const ALL: [Band; 3] = [Band::Bass, Band::Midrange, Band::Treble];

    /// The place of this band in [`Band::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A preset laid over the bands (AVS's five).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// Voices forward, deep bass.
    Movie,
    /// A gentle smile.
    Music,
    /// Little bass that would wake the house.
    Night,
    /// The commentator forward.
    Sport,
    /// Speech forward.
    Tv,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 5] = [Mode::Movie, Mode::Music, Mode::Night, Mode::Sport, Mode::Tv];

    /// What it adds to each band, in dB, in the order of [`Band::ALL`]. Our own taste: AVS names modes, not curves.
    pub const fn offsets(self) -> [i8; 3] {
        match self {
            Mode::Movie => [3, 1, 2],
            Mode::Music => [2, 0, 2],
            Mode::Night => [-6, 1, -2],
            Mode::Sport => [0, 3, 1],
            Mode::Tv => [-2, 3, 1],
        }
    }
}

/// A band's level: -6 to 6 dB (the AVS Device SDK's default range).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BandLevel(i8);

impl BandLevel {
    /// The lowest, dB.
    pub const MIN: i8 = -6;
    /// The highest, dB.
    pub const MAX: i8 = 6;

    /// The nearest level in range.
    pub fn clamped(db: i64) -> Self {
        Self(db.clamp(i64::from(Self::MIN), i64::from(Self::MAX)) as i8)
    }

    /// Decibels.
    pub const fn db(self) -> i8 {
        self.0
    }
}

/// The tone of a speaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equalizer {
    /// In the order of [`Band::ALL`].
    pub levels: [BandLevel; 3],
    /// The preset on top, where one is selected.
    pub mode: Option<Mode>,
}

impl Equalizer {
    /// What the mixer applies to each band, in dB, in the order of [`Band::ALL`]; within -12 to 12.
    pub fn gains(&self) -> [i8; 3] {
        let offsets = self.mode.map_or([0; 3], Mode::offsets);
        let mut gains = [0; 3];
        for (gain, (level, offset)) in gains.iter_mut().zip(self.levels.iter().zip(offsets)) {
            *gain = level.db() + offset;
        }
        gains
    }

    /// Whether it changes nothing.
    pub fn is_flat(&self) -> bool {
        self.gains() == [0; 3]
    }
}
