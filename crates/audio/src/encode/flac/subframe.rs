//! One channel of a frame: the predictor that leaves least, and what it leaves, Rice-coded (RFC 9639, sections 9.2).

use super::bits::Bits;

/// Predictors go back this far at most.
const ORDERS: usize = 5;

/// A block is parted into at most 2 to this power parts, each with its own parameter.
const PARTINGS: u32 = 5;

/// The parameter that fits four bits and is none of the codes with a meaning of its own.
const NARROW: u32 = 14;

/// One channel of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel<'a> {
    /// Its samples, without the zeros below them.
    pub(super) samples: &'a [i32],
    /// Bits of a sample.
    pub(super) depth: u32,
    /// How many zeros are below every sample.
    pub(super) wasted: u32,
}

impl Channel<'_> {
    /// Writes it in as few bits as can be had cheaply.
    pub(super) fn write(self, bits: &mut Bits) {
        Plan::new(self.samples, self.depth).write(self.samples, self.wasted, bits);
    }
}

/// How a channel is written.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// It never changes.
    Constant { depth: u32, value: i32 },
    /// As it is: prediction does not pay.
    Verbatim(u32),
    /// By a fixed predictor.
    Fixed { depth: u32, residual: Vec<u32>, order: usize, parting: u32, parameters: Vec<u32> },
}

/// What a predictor of the second order leaves, summed up.
pub(super) fn roughness(samples: &[i32]) -> u64 {
    samples.windows(3).map(|w| u64::from((w[2] - 2 * w[1] + w[0]).unsigned_abs())).sum()
}

impl Plan {
    /// The plan for samples of `depth` bits.
    fn new(samples: &[i32], depth: u32) -> Self {
        let Some(first) = samples.first() else { return Self::Verbatim(depth) };
        if samples.iter().all(|sample| sample == first) {
            return Self::Constant { depth, value: *first };
        }
        if samples.len() <= 4 * ORDERS {
            return Self::Verbatim(depth);
        }
        let order = best_order(samples);
        let residual = residual(samples, order);
        let (parting, parameters, bits) = parted(&residual, order);
        let warm_up = u64::from(depth) * order as u64;
        if bits + warm_up >= u64::from(depth) * samples.len() as u64 {
            return Self::Verbatim(depth);
        }
        Self::Fixed { depth, residual, order, parting, parameters }
    }

    /// Writes it; `wasted` bits below every sample are zeros.
    fn write(&self, samples: &[i32], wasted: u32, bits: &mut Bits) {
        let (kind, depth) = match self {
            Self::Constant { depth, .. } => (0, *depth),
            Self::Verbatim(depth) => (1, *depth),
            Self::Fixed { depth, order, .. } => (0b00_1000 | *order as u32, *depth),
        };
        bits.put(0, 1);
        bits.put(kind, 6);
        if wasted == 0 {
            bits.put(0, 1);
        } else {
            bits.put(1, 1);
            bits.unary(wasted - 1);
        }
        match self {
            Self::Constant { value, .. } => bits.put_signed(*value, depth),
            Self::Verbatim(_) => samples.iter().for_each(|sample| bits.put_signed(*sample, depth)),
            Self::Fixed { residual, order, parting, parameters, .. } => {
                samples[..*order].iter().for_each(|sample| bits.put_signed(*sample, depth));
                rice(residual, *order, *parting, parameters, samples.len(), bits);
            }
        }
    }
}

/// The order whose predictor leaves least. Samples of 17 bits leave at most 21, so nothing here overflows.
fn best_order(samples: &[i32]) -> usize {
    let mut sums = [0_u64; ORDERS];
    for w in samples.windows(ORDERS) {
        let of = [
            w[4],
            w[4] - w[3],
            w[4] - 2 * w[3] + w[2],
            w[4] - 3 * w[3] + 3 * w[2] - w[1],
            w[4] - 4 * w[3] + 6 * w[2] - 4 * w[1] + w[0],
        ];
        for (sum, left) in sums.iter_mut().zip(of) {
            *sum += u64::from(left.unsigned_abs());
        }
    }
    (0..ORDERS).min_by_key(|order| sums[*order]).unwrap_or(0)
}

/// What the predictor leaves from sample `order` on, signs folded in: 0, -1, 1, -2, ... become 0, 1, 2, 3, ...
fn residual(samples: &[i32], order: usize) -> Vec<u32> {
    let fold = |left: i32| ((left << 1) ^ (left >> 31)).cast_unsigned();
    let windows = samples.windows(order + 1);
    match order {
        0 => samples.iter().map(|s| fold(*s)).collect(),
        1 => windows.map(|w| fold(w[1] - w[0])).collect(),
        2 => windows.map(|w| fold(w[2] - 2 * w[1] + w[0])).collect(),
        3 => windows.map(|w| fold(w[3] - 3 * w[2] + 3 * w[1] - w[0])).collect(),
        _ => windows.map(|w| fold(w[4] - 4 * w[3] + 6 * w[2] - 4 * w[1] + w[0])).collect(),
    }
}

/// The parting that needs fewest bits, its parameters, and how many bits that is.
fn parted(residual: &[u32], order: usize) -> (u32, Vec<u32>, u64) {
    let block = residual.len() + order;
    // The first part lacks what the predictor took to warm up.
    let finest = (0..=PARTINGS)
        .rev()
        .find(|parting| block.is_multiple_of(1 << parting) && block >> parting > order)
        .unwrap_or(0);
    let part = block >> finest;
    let mut sums: Vec<u64> = Vec::with_capacity(1 << finest);
    let (first, others) = residual.split_at(part - order);
    let sum = |part: &[u32]| part.iter().map(|value| u64::from(*value)).sum();
    sums.push(sum(first));
    sums.extend(others.chunks(part).map(sum));

    let mut best: Option<(u32, Vec<u32>, u64)> = None;
    for parting in (0..=finest).rev() {
        let length = (block >> parting) as u64;
        let mut parameters = Vec::with_capacity(sums.len());
        let mut bits = 2 + 4;
        for (at, sum) in sums.iter().enumerate() {
            let count = if at == 0 { length - order as u64 } else { length };
            let (parameter, cost) = parameter(count, *sum);
            parameters.push(parameter);
            bits += 5 + cost;
        }
        if best.as_ref().is_none_or(|(.., fewest)| bits < *fewest) {
            best = Some((parting, parameters, bits));
        }
        sums = sums.chunks(2).map(|pair| pair.iter().sum()).collect();
    }
    best.unwrap_or((0, vec![0], u64::MAX))
}

/// The parameter for `count` values with this sum, and the bits it takes, at most.
fn parameter(count: u64, sum: u64) -> (u32, u64) {
    // Close to the logarithm of the mean; its neighbours are tried.
    let mean = sum.checked_div(count).unwrap_or(0);
    let guess = (u64::BITS - mean.leading_zeros()).saturating_sub(1).min(29);
    let cost = |parameter: u32| count * u64::from(parameter + 1) + (sum >> parameter);
    let near = [guess.saturating_sub(1), guess, guess + 1];
    near.into_iter().map(|p| (p, cost(p))).min_by_key(|(_, cost)| *cost).unwrap_or((guess, cost(guess)))
}

fn rice(residual: &[u32], order: usize, parting: u32, parameters: &[u32], block: usize, bits: &mut Bits) {
    let wide = parameters.iter().any(|parameter| *parameter > NARROW);
    bits.put(u32::from(wide), 2);
    bits.put(parting, 4);
    let length = block >> parting;
    let mut rest = residual;
    for (at, parameter) in parameters.iter().enumerate() {
        let (part, others) = rest.split_at(if at == 0 { length - order } else { length });
        rest = others;
        bits.put(*parameter, if wide { 5 } else { 4 });
        for value in part {
            let high = value >> parameter;
            if high + 1 + parameter <= 32 {
                // One go: the zeros come by themselves.
                bits.put((1 << parameter) | (value & ((1 << parameter) - 1)), high + 1 + parameter);
            } else {
                bits.unary(high);
                bits.put(*value, *parameter);
            }
        }
    }
}
