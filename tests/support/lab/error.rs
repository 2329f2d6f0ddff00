//! What can go wrong in the lab: this machine lacks something, or something failed.

use std::fmt;

/// The answer of everything in the lab.
pub type LabResult<T> = Result<T, LabError>;

/// Why the lab could not do it.
#[derive(Debug)]
#[non_exhaustive]
pub enum LabError {
    /// This machine lacks these: a reason to skip a test.
    Missing(Vec<String>),
    /// Something that should work did not: what was tried, and what was seen.
    Failed {
        /// What was tried.
        what: String,
        /// What was seen instead.
        seen: String,
    },
}

impl LabError {
    /// Something that should work did not.
    pub fn failed(what: impl Into<String>, seen: impl fmt::Display) -> Self {
        Self::Failed { what: what.into(), seen: seen.to_string() }
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(things) => write!(f, "this machine lacks {}", things.join(", ")),
            Self::Failed { what, seen } => write!(f, "{what}: {seen}"),
        }
    }
}

impl std::error::Error for LabError {}
