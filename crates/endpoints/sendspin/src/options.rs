//! What the configuration says of the kind.

use std::path::PathBuf;

/// Who may be played to without having been paired, where the receiver allows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unpaired {
    /// Those a person has approved.
    #[default]
    Ask,
    /// Everybody.
    Allow,
    /// Nobody.
    Never,
}

/// Settings of the kind; the defaults suit a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendspinOptions {
    /// The port receivers dial; 0 takes a free one. 8927 is the one connection.md recommends.
    pub port: u16,
    /// The name receivers show.
    pub name: String,
    /// The interfaces the door is open on (`None`: all).
    pub interfaces: Option<Vec<String>>,
    /// Where keys are kept; `None`: nowhere, so that they are new with each start.
    pub data_dir: Option<PathBuf>,
    /// Who plays without having been paired.
    pub unpaired: Unpaired,
    /// Whether a receiver that another server holds is taken over once something is to be played on it here.
    pub take_over: bool,
}

impl Default for SendspinOptions {
    fn default() -> Self {
        Self {
            port: 8927,
            name: "Antiphon".into(),
            interfaces: None,
            data_dir: None,
            unpaired: Unpaired::default(),
            take_over: false,
        }
    }
}
