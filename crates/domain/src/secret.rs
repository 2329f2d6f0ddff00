//! Text that must not be seen: refresh tokens, client secrets, passwords.
//!
//! Whoever holds one shows it only on purpose, by [`Secret::expose`]: it has a blank debug form, no `Display` and is
//! not serialised.

use std::fmt;

use serde::Deserialize;

/// A text kept out of logs, metrics and debug output.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the wire and the store alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_form_is_blank() {
        let secret = Secret::new("Atzr|hush");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(..) Some(Secret(..))");
        assert_eq!(secret.expose(), "Atzr|hush");
    }
}
