//! The discovery actor: holds the search for endpoints and passes its news to the hub.

use std::sync::Arc;

use actix::prelude::*;
use antiphon_discovery::{Discovery, DiscoveryConfig};
use antiphon_domain::SpeakerId;
use antiphon_endpoint::Descriptor;
use tracing::{error, warn};

use crate::messages::{Close, Discovered, Forget, Heartbeat, SessionLost};
use crate::parts::Parts;
use crate::post;

/// The actor.
pub struct Finder {
    parts: Arc<Parts>,
    remembered: Vec<Descriptor>,
    hub: Recipient<Discovered>,
    discovery: Option<Discovery>,
}

impl Finder {
    /// Searches as the parts say, and probes the remembered ones.
    pub fn new(parts: Arc<Parts>, remembered: Vec<Descriptor>, hub: Recipient<Discovered>) -> Self {
        Self { parts, remembered, hub, discovery: None }
    }
}

impl Actor for Finder {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(1024);
        let hub = self.hub.clone();
        let metrics = self.parts.metrics.clone();
        let sink = Arc::new(move |event| {
            if post::tell(&hub, Discovered(event), &metrics).is_err() {
                warn!("news of discovery was refused by the hub");
            }
        });
        let config = DiscoveryConfig {
            interfaces: self.parts.discovery.interfaces.clone(),
            configured: self.parts.discovery.configured.clone(),
            remembered: std::mem::take(&mut self.remembered),
        };
        let started = Discovery::start(
            config,
            self.parts.kinds.clone(),
            self.parts.clock.clone(),
            &self.parts.runtime,
            sink,
            &self.parts.registry,
        );
        match started {
            Ok(discovery) => self.discovery = Some(discovery),
            Err(e) => error!(error = %e, "discovery could not start; configured speakers only by restart"),
        }
    }
}

impl Handler<SessionLost> for Finder {
    type Result = ();

    fn handle(&mut self, message: SessionLost, _: &mut Self::Context) {
        if let Some(discovery) = &self.discovery {
            discovery.lost(&message.0);
        }
    }
}

impl Handler<Forget> for Finder {
    type Result = Result<(), antiphon_domain::house::HouseError>;

    fn handle(&mut self, message: Forget, _: &mut Self::Context) -> Self::Result {
        let Forget(speaker): Forget = message;
        if let Some(discovery) = &self.discovery {
            discovery.forget(&speaker as &SpeakerId);
        }
        Ok(())
    }
}

impl Handler<Heartbeat> for Finder {
    type Result = ();

    fn handle(&mut self, _: Heartbeat, _: &mut Self::Context) {}
}

impl Handler<Close> for Finder {
    type Result = ();

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        self.discovery = None;
        ctx.stop();
    }
}
