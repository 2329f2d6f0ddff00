//! What is wrong with what a peer sent, and the reasons it gives for leaving.

use thiserror::Error;

/// Why a connection cannot go on. The kinds are few, since each is a metric's label.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// Its first message is not one we can answer.
    #[error("its opening is {0}")]
    Opening(&'static str),
    /// Its first message is of the protocol of before encryption.
    #[error("it speaks the protocol of before encryption")]
    Outdated,
    /// The Noise handshake did not come about.
    #[error("the handshake failed: {0}")]
    Handshake(&'static str),
    /// Another client answers than was looked for.
    #[error("another client answers there")]
    Impostor,
    /// Something could not be decrypted.
    #[error("a message is not encrypted as agreed")]
    Cipher,
    /// Messages or fragments that do not hold together.
    #[error("a message is malformed: {0}")]
    Malformed(&'static str),
    /// Something longer than we keep.
    #[error("a message is too long")]
    TooLong,
    /// A message that has no place here.
    #[error("a message comes out of turn: {0}")]
    OutOfTurn(&'static str),
    /// A pairing that no honest peer produces.
    #[error("the pairing broke its protocol: {0}")]
    Pairing(&'static str),
}

impl Fault {
    /// The name in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Opening(_) => "opening",
            Self::Outdated => "outdated",
            Self::Handshake(_) => "handshake",
            Self::Impostor => "impostor",
            Self::Cipher => "cipher",
            Self::Malformed(_) => "malformed",
            Self::TooLong => "too_long",
            Self::OutOfTurn(_) => "out_of_turn",
            Self::Pairing(_) => "pairing",
        }
    }
}

/// Why a client says goodbye (messaging.md, `client/goodbye`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// It goes to another server.
    AnotherServer,
    /// It is switched off.
    Shutdown,
    /// It comes back at once.
    Restart,
    /// A person wants it so.
    UserRequest,
    /// We claimed more than it allows us.
    Unauthorized,
    /// It plays only for those it is paired with.
    PairingRequired,
    /// Another server has it.
    ConcurrentAttempt,
    /// It has forgotten us, as we asked.
    Unpaired,
    /// A reason this program does not know.
    Unknown,
}

impl Goodbye {
    /// Reads the reason.
    pub fn parse(text: &str) -> Self {
        match text {
            "another_server" => Self::AnotherServer,
            "shutdown" => Self::Shutdown,
            "restart" => Self::Restart,
            "user_request" => Self::UserRequest,
            "unauthorized" => Self::Unauthorized,
            "pairing_required" => Self::PairingRequired,
            "concurrent_attempt" => Self::ConcurrentAttempt,
            "unpaired" => Self::Unpaired,
            _ => Self::Unknown,
        }
    }
}
