//! The list of endpoint kinds, one line each. A new kind is its crate and its line here.

use std::sync::Arc;

use antiphon_airplay::{AirplayKind, AirplayOptions};
use antiphon_endpoint::Kind;
use antiphon_host::{LocalKind, VirtualKind};
use prometheus::Registry;

use crate::config::Config;

/// Every kind this hub speaks.
pub(crate) fn all(
    config: &Config,
    runtime: &tokio::runtime::Handle,
    registry: &Registry,
) -> Result<Vec<Arc<dyn Kind>>, prometheus::Error> {
    let mut airplay = AirplayOptions::default();
    if let Some(lead) = config.airplay.lead() {
        airplay = airplay.with_lead(antiphon_domain::Lead(lead));
    }
    Ok(vec![
        Arc::new(AirplayKind::new(runtime.clone(), airplay, registry)?),
        Arc::new(VirtualKind::new()),
        Arc::new(LocalKind::new()),
    ])
}
