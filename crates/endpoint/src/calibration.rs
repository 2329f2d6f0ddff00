//! The fixed latency of each make of receiver: how much later than told its sound comes out.
//!
//! Data, not code: a row is a measurement with its source. A make without a row is taken at its word. What a single
//! speaker needs beyond that is a person's setting ([`crate::Shift::offset_millis`]).

use crate::Descriptor;

/// One measured make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The kind ([`crate::Kind::name`]).
    pub kind: &'static str,
    /// The property of the descriptor that tells the make, and the beginning of its value; `None` for all of the kind.
    pub make: Option<(&'static str, &'static str)>,
    /// How much later than told it is heard, microseconds.
    pub latency_micros: i64,
    /// How it was measured.
    pub source: &'static str,
}

/// Every measured make; of two that fit, the first counts.
pub const TABLE: &[Row] = &[Row {
    kind: "pulse",
    make: None,
    latency_micros: 0,
    source: "PulseAudio 16.1, null sink behind a remap sink at 48 kHz: the first sample of three sessions on two outputs, \
             dated by the latency that the sink's monitor tells, lay 187 us before to 64 us after its due time",
}];

/// The row of a receiver, where its make was measured.
pub fn of(descriptor: &Descriptor) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.fits(descriptor))
}

impl Row {
    fn fits(&self, descriptor: &Descriptor) -> bool {
        let is_make = |(key, value): (&str, &str)| {
            descriptor.properties.get(key).is_some_and(|have| have.starts_with(value))
        };
        self.kind == descriptor.kind && self.make.is_none_or(is_make)
    }
}
