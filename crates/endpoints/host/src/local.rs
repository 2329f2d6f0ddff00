//! The kind `local`: the machine's own sound card.

/// The machine's own sound card.
pub struct LocalKind;
