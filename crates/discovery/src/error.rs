//! What can keep discovery from starting.

use antiphon_domain::SpeakerId;
use antiphon_endpoint::BadEndpoint;
use thiserror::Error;

/// Why discovery could not start. All of these are mistakes in the configuration or of this machine; whatever peers
/// send is counted, never an error.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// A configured endpoint names a kind that is not in the list.
    #[error("speaker {id}: no kind of endpoint is called {text:?}")]
    UnknownKind {
        /// The speaker it is configured for.
        id: SpeakerId,
        /// The text as configured.
        text: String,
    },
    /// A configured endpoint that its kind cannot use.
    #[error("speaker {id}: {cause}")]
    BadEndpoint {
        /// The speaker it is configured for.
        id: SpeakerId,
        /// What is wrong with it.
        cause: BadEndpoint,
    },
    /// Two configured speakers have the same id.
    #[error("speaker {id} is configured twice")]
    ConfiguredTwice {
        /// The id both have.
        id: SpeakerId,
    },
    /// The mDNS daemon could not be started.
    #[error("mdns cannot be started: {0}")]
    Mdns(String),
    /// A metric could not be registered.
    #[error("discovery's metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}
