//! What the rows of `antiphon_endpoint::calibration::TABLE` should be, from a mixed group as it plays with the rows that
//! are there.
//!
//! What "heard on time" means is what the rack's PulseAudio says of its own delay: the `pulse` kind asks it, and its row is
//! 0; the others are how much later than it they are.

use antiphon_endpoint::calibration::TABLE;

use crate::phase::Case;
use crate::support::teams::{Make, Sender};

/// Prints a row for each kind that played together with a PulseAudio sink.
pub fn print(case: &Case) {
    for team in case.teams.iter().filter(|team| team.sender == Sender::Antiphon) {
        let reference = team.members.iter().find(|member| member.make == Make::Pulse);
        let Some(reference) = reference else { continue };
        for member in team.members.iter().filter(|member| member.make != Make::Pulse) {
            let later = team.pairs.iter().find_map(|pair| {
                let (a, b) = (&pair.names.0, &pair.names.1);
                match (a == &reference.name, b == &reference.name) {
                    (true, _) if b == &member.name => Some(pair.median()),
                    (_, true) if a == &member.name => Some(-pair.median()),
                    _ => None,
                }
            });
            let kind = member.make.kind();
            // The make in the lab is the only one of its kind that has a row.
            let row = TABLE.iter().find(|row| row.kind == kind).map_or(0, |row| row.latency_micros);
            match later {
                Some(later) if later.is_finite() => println!(
                    "sync: calibration of {kind}: has {row} us, heard {later:+.0} us later than the PulseAudio sink: \
                     should be {:.0} us",
                    row as f64 + later
                ),
                _ => println!("sync: calibration of {kind}: not heard within reach of the PulseAudio sink"),
            }
        }
    }
}
