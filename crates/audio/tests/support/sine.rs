//! What is left when a sine is taken away: distortion and noise against the sine, dB.

use std::f64::consts::TAU;

/// A sine of 1 kHz, 1 dB below full scale, at the hub's rate; the other channel a quarter of a turn later.
pub fn one_kilohertz(frame: u64) -> [i16; 2] {
    let angle = TAU * 1_000.0 * frame as f64 / 44_100.0;
    [sample(angle.sin()), sample(angle.cos())]
}

fn sample(value: f64) -> i16 {
    (value * 32_767.0 * 10f64.powf(-1.0 / 20.0)).round() as i16
}

/// THD+N: everything but the best-fitting sine of `hertz`, against that sine, dB. A constant counts as noise.
pub fn thd_n(samples: &[f64], rate: f64, hertz: f64) -> f64 {
    let step = TAU * hertz / rate;
    let (mut ss, mut sc, mut cc, mut xs, mut xc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (index, x) in samples.iter().enumerate() {
        let (s, c) = (step * index as f64).sin_cos();
        ss += s * s;
        sc += s * c;
        cc += c * c;
        xs += x * s;
        xc += x * c;
    }
    let det = ss * cc - sc * sc;
    let (a, b) = ((xs * cc - xc * sc) / det, (xc * ss - xs * sc) / det);
    let (mut rest, mut whole) = (0.0, 0.0);
    for (index, x) in samples.iter().enumerate() {
        let (s, c) = (step * index as f64).sin_cos();
        let fit = a * s + b * c;
        rest += (x - fit) * (x - fit);
        whole += fit * fit;
    }
    10.0 * (rest / whole).log10()
}
