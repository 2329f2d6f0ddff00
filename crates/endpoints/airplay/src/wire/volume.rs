//! The receiver's volume scale.
//!
//! RAOP knows -30.0 to 0.0 "dB" and -144.0 for silence. The first is not an attenuation but the place of Apple's
//! volume slider: each receiver lays its own loudness curve over those 30 steps (shairport-sync: 60 dB and more in
//! a curve of two slopes), made so that equal steps of the slider sound equal. So the hub's 0 to 100, whose steps
//! are meant to sound equal too, is laid on it in a straight line; a second curve on top would bend it twice.

use antiphon_domain::{Level, Volume};

/// What mutes a receiver.
pub const MUTE: f32 = -144.0;

/// The receiver's volume for a level: `MUTE` when muted or at 0, else -29.7 (volume 1) to 0.0 (volume 100).
pub fn db(level: Level) -> f32 {
    let volume = level.volume.get();
    if level.muted || volume == 0 { MUTE } else { 0.0 - 3.0 * f32::from(100 - volume) / 10.0 }
}

/// The volume that a receiver means by its scale, `Some(None)` when it is silent; `None` when that is no number of the
/// scale.
pub fn of_db(db: f32) -> Option<Option<Volume>> {
    if db == MUTE {
        return Some(None);
    }
    if !(-30.0..=0.0).contains(&db) {
        return None;
    }
    Volume::new((100.0 + db * 10.0 / 3.0).round() as i64).ok().map(Some)
}

/// The body of the SET_PARAMETER request that sets it (`text/parameters`).
pub fn body(level: Level) -> String {
    format!("volume: {:.1}\r\n", db(level))
}

#[cfg(test)]
mod tests {
    use antiphon_domain::Volume;

    use super::*;

    fn level(volume: i64, muted: bool) -> Level {
        Level { volume: Volume::new(volume).unwrap(), muted }
    }

    #[test]
    fn steps_are_even_and_the_ends_are_apples() {
        assert_eq!(db(level(100, false)), 0.0);
        assert_eq!(db(level(0, false)), MUTE);
        assert_eq!(db(level(70, true)), MUTE);
        for v in 1..100 {
            let step = db(level(v + 1, false)) - db(level(v, false));
            assert!((step - 0.3).abs() < 1e-4, "step {step} at {v}");
        }
        for v in 1..=100 {
            assert_eq!(of_db(db(level(v, false))), Some(Volume::new(v).ok()));
        }
        assert_eq!((of_db(MUTE), of_db(-100.0), of_db(f32::NAN)), (Some(None), None, None));
        assert_eq!(body(level(100, false)), "volume: 0.0\r\n");
        assert_eq!(body(level(50, false)), "volume: -15.0\r\n");
    }
}
