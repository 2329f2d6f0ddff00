//! The list of endpoint kinds, one line each. A new kind is its crate and its line here.

use std::sync::Arc;

use antiphon_airplay::{AirplayKind, AirplayOptions};
use antiphon_domain::SpeakerId;
use antiphon_endpoint::Kind;
use antiphon_host::{LocalKind, VirtualKind};
use prometheus::Registry;

use crate::config::{Config, Encryption};

/// Every kind this hub speaks.
pub(crate) fn all(
    config: &Config,
    runtime: &tokio::runtime::Handle,
    registry: &Registry,
) -> Result<Vec<Arc<dyn Kind>>, prometheus::Error> {
    Ok(vec![
        Arc::new(AirplayKind::new(runtime.clone(), airplay(config), registry)?),
        Arc::new(VirtualKind::new()),
        Arc::new(LocalKind::new()),
    ])
}

fn airplay(config: &Config) -> AirplayOptions {
    let mut options = AirplayOptions::default();
    if let Some(lead) = config.airplay.lead() {
        options = options.with_lead(antiphon_domain::Lead(lead));
    }
    options.encrypt_always = config.airplay.encryption == Encryption::Always;
    options.interfaces = config.discovery.interfaces.clone();
    for speaker in &config.speakers {
        if let Some(password) = &speaker.password {
            options.passwords.insert(SpeakerId::new(speaker.id.clone()), password.clone());
        }
    }
    options
}
