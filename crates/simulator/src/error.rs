//! Owns what can go wrong for the one who drives a simulator (never what a device does wrong: that is a `Violation`).

use std::path::PathBuf;
use std::time::Duration;

/// Why a simulator could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A port could not be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: std::net::SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The certificate authority could not be made or read.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS set-up was refused.
    #[error("tls: {0}")]
    Tls(#[from] rustls::Error),
    /// A catalogue file is not what the schema checker understands.
    #[error("catalogue: {0}")]
    Catalogue(String),
    /// No device has this DSN or name.
    #[error("no device {0}")]
    UnknownDevice(String),
    /// The device has no open downchannel.
    #[error("device {0} has no downchannel")]
    NoDownchannel(String),
    /// The downchannel closed before the directive was written.
    #[error("device {0} went away before the directive was written")]
    Gone(String),
    /// No pending code pair has this user code.
    #[error("no pending user code {0}")]
    UnknownCode(String),
    /// `say` does not understand the words.
    #[error("not understood: {0:?}")]
    NotUnderstood(String),
    /// A fault's name or argument is wrong.
    #[error("fault {0:?}: {1}")]
    BadFault(String, &'static str),
    /// A speech script's form is wrong.
    #[error("script: {0}")]
    BadScript(String),
    /// An authorization request was refused, or could not be read.
    #[error("authorization: {0}")]
    Authorization(String),
    /// What was waited for did not happen.
    #[error("{what}: not within {after:?}")]
    Timeout {
        /// What was waited for, and what was seen instead.
        what: String,
        /// How long was waited.
        after: Duration,
    },
    /// A track or speech could not be made.
    #[error("media {name}: {why}")]
    Media {
        /// The file name asked for.
        name: String,
        /// What the maker said.
        why: String,
    },
}
