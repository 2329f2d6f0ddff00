//! The server's volume scale: a cube, 65,536 where sound is left as it is.
//!
//! A volume of ours is made the very gain that the hub's own mixer would apply, so that a group of speakers of many
//! kinds keeps its balance.

use antiphon_domain::Volume;

/// Leaves sound as it is.
pub const UNITY: u32 = 0x1_0000;

/// The server's value for a volume.
pub fn to_server(volume: Volume) -> u32 {
    (f64::from(volume.gain().factor()).cbrt() * f64::from(UNITY)).round() as u32
}

/// The volume that sounds most like a value of the server's; all above [`UNITY`] is 100.
pub fn from_server(value: u32) -> Volume {
    let mut best = Volume::MIN;
    for step in 1..=100 {
        let Ok(volume) = Volume::new(step) else { continue };
        if to_server(volume).abs_diff(value) <= to_server(best).abs_diff(value) {
            best = volume;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_volume_comes_back_as_itself() {
        for step in 0..=100 {
            let volume = Volume::new(step).unwrap();
            assert_eq!(from_server(to_server(volume)), volume);
        }
        assert_eq!(to_server(Volume::MAX), UNITY);
        assert_eq!(to_server(Volume::MIN), 0);
        assert_eq!(from_server(u32::MAX), Volume::MAX);
    }
}
