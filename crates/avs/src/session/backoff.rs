//! Delay tables and the jitter that keeps a house of speakers from knocking all at once.

use std::time::Duration;

/// A small seeded generator (splitmix64). Good for jitter, not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform in `low..high`.
    pub(super) fn between(&mut self, (low, high): (f64, f64)) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        // The upper 53 bits fill a double's mantissa exactly.
        low + (high - low) * ((z >> 11) as f64 / (1u64 << 53) as f64)
    }

    /// The delay after `failures` failures in a row (the first is 1), with a random factor from `range`.
    pub(super) fn delay(&mut self, table: &[Duration], failures: u32, range: (f64, f64)) -> Duration {
        let index = (failures.saturating_sub(1) as usize).min(table.len().saturating_sub(1));
        let base = table.get(index).copied().unwrap_or(Duration::from_secs(1));
        base.mul_f64(self.between(range).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_follow_the_table_and_its_last_entry_repeats() {
        let table = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(20)];
        let mut jitter = Jitter::new(7);
        for (failures, base) in [(0, 0.25), (1, 0.25), (2, 1.0), (3, 20.0), (4, 20.0), (u32::MAX, 20.0)] {
            for _ in 0..1000 {
                let delay = jitter.delay(&table, failures, (0.66, 1.5)).as_secs_f64();
                assert!(delay >= base * 0.659 && delay <= base * 1.501, "{delay} for {base}");
            }
        }
    }

    #[test]
    fn an_empty_table_does_not_spin() {
        assert_eq!(Jitter::new(1).delay(&[], 5, (1.0, 1.0)), Duration::from_secs(1));
    }
}
