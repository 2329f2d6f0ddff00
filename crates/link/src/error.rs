//! What can go wrong, each with its class: repeat, authorise again, give up.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Try again later, with a growing delay.
    Retry,
    /// Only a person can help, by linking the speaker anew.
    Authorise,
    /// Useless until the configuration changes.
    GiveUp,
}

/// Why a link or its context could not be made, or a connection attempt failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The file with extra roots cannot be read.
    #[error("cannot read the roots in {path}: {source}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds no certificate, or a wrong one.
    #[error("{path} holds no usable certificate")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// TLS cannot be set up at all.
    #[error("tls: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP client cannot be set up.
    #[error("http client: {0}")]
    Http(reqwest::Error),
    /// A metric of the same name exists already.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The gateway is not `https://host[:port]`.
    #[error("`{0}` is not a gateway")]
    Gateway(String),
    /// The TCP or TLS connection failed.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The server does not speak HTTP/2.
    #[error("the gateway does not speak HTTP/2")]
    NotHttp2,
    /// The HTTP/2 connection failed.
    #[error("http/2: {0}")]
    Http2(#[from] h2::Error),
}

impl LinkError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Connect(_) | Self::NotHttp2 | Self::Http2(_) => Class::Retry,
            _ => Class::GiveUp,
        }
    }
}

/// Why Login with Amazon gave no token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LwaError {
    /// An OAuth error, e.g. `authorization_pending`.
    #[error("login with amazon: {code}")]
    Refused {
        /// The value of `error`.
        code: String,
        /// HTTP status.
        status: u16,
    },
    /// A status without a readable error.
    #[error("login with amazon: status {0}")]
    Status(u16),
    /// No answer.
    #[error("login with amazon cannot be reached")]
    Unreachable,
    /// An answer that lacks what it must have.
    #[error("login with amazon gave an unusable answer")]
    Unusable,
}

impl LwaError {
    /// The OAuth error code, empty when there is none.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }

    /// What to do about it while refreshing (table of the AVS Device SDK's LWA adapter).
    pub fn class(&self) -> Class {
        match self.code() {
            "invalid_grant" => Class::Authorise,
            "invalid_code_pair"
            | "invalid_client"
            | "InvalidValue"
            | "invalid_request"
            | "unauthorized_client"
            | "unsupported_grant_type" => Class::GiveUp,
            _ => Class::Retry,
        }
    }
}
