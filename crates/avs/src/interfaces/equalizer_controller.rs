//! EqualizerController 1.0: the tone of the speaker's content ("EqualizerController 1.0"; where Amazon's page is silent,
//! the AVS Device SDK).
//!
//! Owns levels and mode, keeps both durably, and says every change. The tone is the room's, not the account's: it stays
//! when the account goes.

use antiphon_domain::equalizer::{Band, BandLevel, Equalizer, Mode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Handling, Interface, Known, Turn, View, payload, unlisted};
use crate::context::entry;
use crate::device::DeviceConfig;
use crate::effect::Effect;
use crate::exception::Refusal;
use crate::message::{ContextEntry, Directive, Event};
use crate::picture::Picture;
use crate::sequencer::Policy;
use crate::signal::{Signal, Wish};

const NAMESPACE: &str = "EqualizerController";
/// Kept when the account goes, as all that begins with `room.`.
const KEY: &str = "room.equalizer";
/// The step of AdjustBands without a levelDelta, dB (AVS Device SDK).
const STEP: u64 = 1;

#[derive(Debug)]
pub(super) struct EqualizerController {
    tone: Equalizer,
}

/// A list of bands; each directive's own entries.
#[derive(Deserialize)]
struct Bands<T> {
    bands: Vec<T>,
}

#[derive(Deserialize)]
struct Set {
    name: String,
    level: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Adjust {
    name: String,
    level_delta: Option<u64>,
    level_direction: Direction,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Direction {
    Up,
    Down,
}

#[derive(Deserialize)]
struct Reset {
    name: String,
}

#[derive(Deserialize)]
struct SetMode {
    mode: String,
}

impl EqualizerController {
    pub(super) fn new(config: &DeviceConfig) -> Self {
        let stored = config.stored.get(KEY).and_then(|value| Equalizer::deserialize(value).ok());
        let mut tone = stored.unwrap_or_default();
        // What is on disk may have been written by another hand.
        tone.levels = tone.levels.map(|level| BandLevel::clamped(level.db().into()));
        Self { tone }
    }

    /// Takes a new tone; says so in any case.
    fn set(&mut self, tone: Equalizer, turn: &mut Turn<'_>) {
        if tone != self.tone {
            self.tone = tone;
            turn.effect(Effect::Equalize(tone));
            turn.store(KEY, json!({ "levels": tone.levels, "mode": tone.mode }));
        }
        turn.send(Event::new(NAMESPACE, "EqualizerChanged", self.state()));
    }

    fn set_bands(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let wanted: Bands<Set> = payload(directive)?;
        let mut tone = self.tone;
        let mut amiss = Amiss::default();
        for Set { name, level } in wanted.bands {
            let Some(band) = amiss.band(&name) else { continue };
            let clamped = BandLevel::clamped(level);
            if i64::from(clamped.db()) != level {
                amiss.note(format!("{name} cannot be {level} dB"));
            }
            tone.levels[band.index()] = clamped;
        }
        self.set(tone, turn);
        amiss.tell(directive, turn);
        Ok(())
    }

    fn adjust_bands(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let wanted: Bands<Adjust> = payload(directive)?;
        let mut tone = self.tone;
        let mut amiss = Amiss::default();
        for Adjust { name, level_delta, level_direction } in wanted.bands {
            let Some(band) = amiss.band(&name) else { continue };
            let delta = i64::try_from(level_delta.unwrap_or(STEP)).unwrap_or(i64::MAX);
            let level = &mut tone.levels[band.index()];
            // Beyond the end of the scale is the end of the scale; the cloud does not know where we stand.
            *level = BandLevel::clamped(match level_direction {
                Direction::Up => i64::from(level.db()).saturating_add(delta),
                Direction::Down => i64::from(level.db()).saturating_sub(delta),
            });
        }
        self.set(tone, turn);
        amiss.tell(directive, turn);
        Ok(())
    }

    fn reset_bands(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let wanted: Bands<Reset> = payload(directive)?;
        let mut tone = self.tone;
        let mut amiss = Amiss::default();
        for Reset { name } in wanted.bands {
            let Some(band) = amiss.band(&name) else { continue };
            tone.levels[band.index()] = BandLevel::default();
        }
        self.set(tone, turn);
        amiss.tell(directive, turn);
        Ok(())
    }

    fn set_mode(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let wanted: SetMode = payload(directive)?;
        let Some(mode) = Mode::ALL.into_iter().find(|mode| mode_name(*mode) == wanted.mode) else {
            turn.effect(Effect::Redeclare);
            return Err(Refusal::unexpected(format!("there is no mode {:?} here", wanted.mode)));
        };
        self.set(Equalizer { mode: Some(mode), ..self.tone }, turn);
        Ok(())
    }

    /// The same in event and context.
    fn state(&self) -> Value {
        let mut bands = Vec::new();
        for band in Band::ALL {
            bands.push(json!({ "name": band_name(band), "level": self.tone.levels[band.index()].db() }));
        }
        let mut state = json!({ "bands": bands });
        if let Some(mode) = self.tone.mode {
            state["mode"] = json!(mode_name(mode));
        }
        state
    }
}

/// What of a directive cannot be done while the rest is.
#[derive(Default)]
struct Amiss {
    first: Option<String>,
}

impl Amiss {
    fn note(&mut self, what: String) {
        self.first.get_or_insert(what);
    }

    fn band(&mut self, name: &str) -> Option<Band> {
        let band = Band::ALL.into_iter().find(|band| band_name(*band) == name);
        if band.is_none() {
            self.note(format!("there is no band {name:?} here"));
        }
        band
    }

    /// Tells the cloud, and what can be done, because it seems not to know.
    fn tell(self, directive: &Directive, turn: &mut Turn<'_>) {
        if let Some(what) = self.first {
            turn.regret(&directive.raw, &Refusal::unexpected(what));
            turn.effect(Effect::Redeclare);
        }
    }
}

impl Interface for EqualizerController {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn configurations(&self) -> Option<Value> {
        let bands = Band::ALL.map(|band| json!({ "name": band_name(band) }));
        let modes = Mode::ALL.map(|mode| json!({ "name": mode_name(mode) }));
        Some(json!({
            "bands": { "supported": bands, "range": { "minimum": BandLevel::MIN, "maximum": BandLevel::MAX } },
            "modes": { "supported": modes },
        }))
    }

    fn directives(&self) -> &'static [Known] {
        const {
            &[
                Known::in_turn("SetBands", Policy::FREE),
                Known::in_turn("AdjustBands", Policy::FREE),
                Known::in_turn("ResetBands", Policy::FREE),
                Known::in_turn("SetMode", Policy::FREE),
            ]
        }
    }

    fn on_directive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        match directive.header.name.as_str() {
            "SetBands" => self.set_bands(directive, turn)?,
            "AdjustBands" => self.adjust_bands(directive, turn)?,
            "ResetBands" => self.reset_bands(directive, turn)?,
            "SetMode" => self.set_mode(directive, turn)?,
            _ => return Err(unlisted(directive)),
        }
        Ok(Handling::Done)
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        match signal {
            Signal::Wish(Wish::Bands(bands)) => {
                let mut tone = self.tone;
                for (band, db) in bands {
                    tone.levels[band.index()] = BandLevel::clamped(*db);
                }
                self.set(tone, turn);
            }
            Signal::Wish(Wish::EqualizerMode(mode)) => self.set(Equalizer { mode: *mode, ..self.tone }, turn),
            _ => {}
        }
    }

    fn context(&self, _view: &View<'_>) -> Option<ContextEntry> {
        Some(entry(NAMESPACE, "EqualizerState", self.state()))
    }

    fn show(&self, _view: &View<'_>, picture: &mut Picture) {
        picture.equalizer = self.tone;
    }
}

const fn band_name(band: Band) -> &'static str {
    match band {
        Band::Bass => "BASS",
        Band::Midrange => "MIDRANGE",
        Band::Treble => "TREBLE",
    }
}

const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Movie => "MOVIE",
        Mode::Music => "MUSIC",
        Mode::Night => "NIGHT",
        Mode::Sport => "SPORT",
        Mode::Tv => "TV",
    }
}
