//! What a recording says of a team: how far apart each pair is, chirp by chirp, and whether anybody dropped out.

use crate::phase::TONE;
use crate::support::analysis::{
    chirp_offsets_at, chirp_starts, gaps, jumps, quantile, sounding, total_level,
};
use crate::support::lab::rack::RATE;
use crate::support::lab::recording::Recording;
use crate::support::teams::{Make, Place, Sender};

/// How far apart two receivers may be to be found at all, seconds.
const REACH: f64 = 0.02;

/// The same where outputs have delays of their own.
const FAR: f64 = 0.08;

/// Two are in time when they are this close, seconds, ...
const IN_TIME: f64 = 0.001;
/// ... for so many chirps one after the other.
const STEADILY: usize = 5;

/// A pause of the tone that counts as a dropout, seconds: a receiver that keeps time drops or adds single samples.
const GAP: f64 = 0.001;
/// A jump of the tone's phase from one 20 ms to the next that counts as one, seconds.
const JUMP: f64 = 0.000_25;

/// How far apart two are.
pub struct PairFigures {
    pub names: (String, String),
    /// Seconds since measuring began, and by how much the second is later, seconds.
    pub offsets: Vec<(f64, f64)>,
    /// What was taken off the offsets because it belongs to the receivers' outputs, seconds.
    pub constant: f64,
    /// How fast the one runs away from the other, parts per million.
    pub drift_ppm: f64,
    /// From the first sound of both to when they are in time, seconds.
    pub in_time_after: Option<f64>,
}

/// What one receiver did.
pub struct MemberFigures {
    pub name: String,
    pub make: Make,
    /// Pauses and jumps of the tone while it was measured.
    pub dropouts: usize,
    /// The longest pause, seconds.
    pub longest_gap: f64,
}

/// A team's figures.
pub struct TeamFigures {
    pub sender: Sender,
    pub pairs: Vec<PairFigures>,
    pub members: Vec<MemberFigures>,
}

impl TeamFigures {
    /// The quantile of the absolute offset of all pairs, microseconds.
    pub fn quantile(&self, part: f64) -> f64 {
        quantile(self.pairs.iter().flat_map(|pair| &pair.offsets).map(|(_, offset)| *offset), part) * 1e6
    }

    /// How many receivers, and of which kind where they are all of one.
    pub fn label(&self) -> String {
        let mut kinds: Vec<&str> = self.members.iter().map(|member| member.make.kind()).collect();
        kinds.dedup();
        match kinds.as_slice() {
            [one] => format!("{one} x{}", self.members.len()),
            many => many.join("+"),
        }
    }

    /// All dropouts.
    pub fn dropouts(&self) -> usize {
        self.members.iter().map(|member| member.dropouts).sum()
    }

    /// The slowest pair to come in time, seconds; none where one never did.
    pub fn in_time_after(&self) -> Option<f64> {
        self.pairs.iter().map(|pair| pair.in_time_after).try_fold(0.0_f64, |most, one| Some(most.max(one?)))
    }

    /// The largest drift of a pair, parts per million.
    pub fn drift_ppm(&self) -> f64 {
        self.pairs.iter().map(|pair| pair.drift_ppm.abs()).fold(0.0, f64::max)
    }
}

impl PairFigures {
    /// The quantile of the absolute offset, microseconds.
    pub fn quantile(&self, part: f64) -> f64 {
        quantile(self.offsets.iter().map(|(_, offset)| *offset), part) * 1e6
    }

    /// The median of the signed offset, microseconds: how much later the second is as a rule.
    pub fn median(&self) -> f64 {
        let mut all: Vec<f64> = self.offsets.iter().map(|(_, offset)| *offset).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).map_or(f64::NAN, |offset| offset * 1e6)
    }
}

impl PairFigures {
    /// Takes the median off: whoever plays through an output with a delay of its own is judged by how it wanders.
    fn without_constant(&mut self) {
        let median = self.median() / 1e6;
        if median.is_finite() {
            self.constant = median;
            self.offsets.iter_mut().for_each(|(_, offset)| *offset -= median);
        }
    }
}

/// Judges a team's outputs of the recording; its figures count from frame `settled` to frame `over`.
pub fn team(sender: Sender, places: &[Place], heard: &Recording, settled: usize, over: usize) -> TeamFigures {
    let name = |place: &Place| format!("{}-{}", place.make.kind(), place.output);
    let right = |place: &Place| heard.channel(place.output * 2 - 1);
    let compare = |a: &Place, b: &Place, starts: &[usize]| {
        let own_delay = [a, b].iter().any(|place| place.make == Make::Sendspin);
        let reach = if own_delay { FAR } else { REACH };
        let found = chirp_offsets_at(starts, right(a), right(b), RATE, reach);
        let found: Vec<(usize, f64)> = found.into_iter().map(|(at, offset)| (at, offset.seconds)).collect();
        let mut pair = pair((name(a), name(b)), &found, (right(a), right(b)), settled, over);
        if own_delay {
            pair.without_constant();
        }
        pair
    };
    // Minutes of work for one processor.
    let pairs = std::thread::scope(|scope| {
        let mut pairs = Vec::new();
        for (number, a) in places.iter().enumerate() {
            let others = &places[number + 1..];
            pairs.push(scope.spawn(move || {
                let starts = chirp_starts(right(a), RATE);
                others.iter().map(|b| compare(a, b, &starts)).collect::<Vec<PairFigures>>()
            }));
        }
        pairs.into_iter().flat_map(|thread| thread.join().expect("judged")).collect()
    });
    let members = places.iter().map(|place| {
        let tone = heard.output(place.output);
        member(name(place), place.make, tone.get(settled..over.min(tone.len())).unwrap_or_default())
    });
    TeamFigures { sender, pairs, members: members.collect() }
}

fn pair(
    names: (String, String),
    found: &[(usize, f64)],
    sounds: (&[f32], &[f32]),
    settled: usize,
    over: usize,
) -> PairFigures {
    let seconds = |frame: usize| frame as f64 / f64::from(RATE);
    let measured = found.iter().filter(|(at, _)| (settled..over).contains(at));
    let offsets: Vec<(f64, f64)> = measured.map(|(at, by)| (seconds(at - settled), *by)).collect();
    let begin = |sound: &[f32]| sounding(sound, -66.0).map(|range| range.start);
    let begun = begin(sounds.0).zip(begin(sounds.1)).map(|(a, b)| a.max(b));
    let good = found.windows(STEADILY).find(|some| some.iter().all(|(_, by)| by.abs() < IN_TIME));
    let in_time_after = begun
        .zip(good.and_then(|some| some.first()))
        .map(|(begun, first)| seconds(first.0.saturating_sub(begun)));
    PairFigures { names, drift_ppm: slope(&offsets) * 1e6, offsets, constant: 0.0, in_time_after }
}

/// The slope of a straight line through points, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |part: fn(&(f64, f64)) -> f64| points.iter().map(part).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let (mut above, mut below) = (0.0, 0.0);
    for point in points {
        above += (point.0 - x) * (point.1 - y);
        below += (point.0 - x).powi(2);
    }
    if below > 0.0 { above / below } else { 0.0 }
}

fn member(name: String, make: Make, tone: &[f32]) -> MemberFigures {
    let level = total_level(tone);
    let pauses = gaps(tone, level - 20.0, (GAP * f64::from(RATE)) as usize);
    let longest = pauses.iter().map(|(_, length)| *length).max().unwrap_or_default();
    // A pause makes the phase jump as well: it counts once.
    let near =
        |at: usize| pauses.iter().any(|(from, length)| at + 2_000 > *from && at < from + length + 2_000);
    let jumped = jumps(tone, RATE, TONE, JUMP).into_iter().filter(|(at, _)| !near(*at)).count();
    MemberFigures {
        name,
        make,
        dropouts: pauses.len() + jumped,
        longest_gap: longest as f64 / f64::from(RATE),
    }
}
