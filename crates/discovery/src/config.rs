//! What discovery is told: where to look, which endpoints are configured, whom the hub remembers.

use std::sync::Arc;

use antiphon_domain::SpeakerId;
use antiphon_endpoint::{Descriptor, Kind};

use crate::DiscoveryError;

/// What discovery is told. The default looks everywhere and knows nobody.
#[derive(Clone, Debug, Default)]
pub struct DiscoveryConfig {
    /// The names of the interfaces to use mDNS on; `None` for all, an empty list for no mDNS at all.
    pub interfaces: Option<Vec<String>>,
    /// Configured endpoints, and settings for discovered ones.
    pub configured: Vec<ConfiguredSpeaker>,
    /// Speakers of earlier runs. They start out unreachable, without an event, and are probed at once.
    pub remembered: Vec<Descriptor>,
}

/// One configured speaker: with an endpoint it exists by itself, without one it names a discovered one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredSpeaker {
    /// The id of the speaker, or of the discovered device it is about.
    pub id: SpeakerId,
    /// The name to show in place of the announced one.
    pub name: Option<String>,
    /// Where it is, as its kind writes it: `airplay://HOST:PORT`, `virtual:FILE.wav`.
    pub endpoint: Option<String>,
}

/// A configured speaker whose endpoint its kind understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The speaker's id.
    pub id: SpeakerId,
    /// The name to show in place of the announced one.
    pub name: Option<String>,
    /// The configured endpoint.
    pub fixed: Option<Descriptor>,
}

pub(crate) fn settings(
    configured: &[ConfiguredSpeaker],
    kinds: &[Arc<dyn Kind>],
) -> Result<Vec<Setting>, DiscoveryError> {
    let mut settings: Vec<Setting> = Vec::new();
    for speaker in configured {
        if settings.iter().any(|s| s.id == speaker.id) {
            return Err(DiscoveryError::ConfiguredTwice { id: speaker.id.clone() });
        }
        let fixed = match &speaker.endpoint {
            Some(text) => Some(fixed(speaker, text, kinds)?),
            None => None,
        };
        settings.push(Setting { id: speaker.id.clone(), name: speaker.name.clone(), fixed });
    }
    Ok(settings)
}

fn fixed(
    speaker: &ConfiguredSpeaker,
    text: &str,
    kinds: &[Arc<dyn Kind>],
) -> Result<Descriptor, DiscoveryError> {
    let name = speaker.name.as_deref().unwrap_or(speaker.id.as_str());
    for kind in kinds {
        match kind.configured(text, &speaker.id, name) {
            None => {}
            // Whatever the kind put there, the speaker is the one that was configured.
            Some(Ok(descriptor)) => return Ok(Descriptor { id: speaker.id.clone(), ..descriptor }),
            Some(Err(cause)) => return Err(DiscoveryError::BadEndpoint { id: speaker.id.clone(), cause }),
        }
    }
    Err(DiscoveryError::UnknownKind { id: speaker.id.clone(), text: text.to_owned() })
}
