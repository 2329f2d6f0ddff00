//! Finds endpoints: mDNS and configuration, merged into what appeared, changed and went.
//!
//! Owns the mDNS daemon and the picture of who is reachable where. mDNS is a hint, the session is the truth: a goodbye
//! makes a speaker unreachable, never unknown. Driven by one task of the runtime it is started on; the thinking is in
//! [`merge`], which has no clock and no socket.

mod calls;
mod config;
mod driver;
mod entry;
mod error;
mod mdns;
pub mod merge;
mod metrics;
mod probe;

use std::sync::{Arc, Mutex, PoisonError};

use antiphon_domain::{HubTime, SpeakerId};
use antiphon_endpoint::{Clock, Descriptor, Kind};
use tokio::sync::mpsc;

pub use config::{ConfiguredSpeaker, DiscoveryConfig};
pub use error::DiscoveryError;
pub use probe::probe;

use calls::Calls;
use driver::{Command, Driver};
use mdns::Mdns;
use merge::Merge;
use metrics::Metrics;

/// Commands waiting for the task, which takes them at once; only a task that is gone could fill this.
const COMMANDS: usize = 1024;

/// What happened to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiscoveryEvent {
    /// It was configured, or is seen for the first time and was not remembered.
    Appeared(Descriptor),
    /// It is there still; its name, addresses or properties are others now.
    Changed(Descriptor),
    /// It said goodbye, its record expired or nobody answers at its addresses. A hint: a session that plays goes on.
    Unreachable {
        /// Who.
        id: SpeakerId,
        /// Since when.
        since: HubTime,
    },
    /// It can be used again, maybe under a new name or address. Worth an attempt at once, whatever the backoff says.
    Returned(Descriptor),
}

/// Where events go. Called in order from one task; must not block.
pub type DiscoverySink = Arc<dyn Fn(DiscoveryEvent) + Send + Sync>;

/// What keeps discovery from seeing everything it was told to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Configured interfaces that do not exist or have no address; used as soon as they have one.
    pub missing_interfaces: Vec<String>,
    /// The last trouble the mDNS daemon reported, in its words.
    pub mdns_trouble: Option<String>,
}

/// Running discovery. Dropping it ends the task and the mDNS daemon.
#[derive(Debug)]
pub struct Discovery {
    commands: mpsc::Sender<Command>,
    status: Arc<Mutex<Status>>,
}

impl Discovery {
    /// Begins to look for the services of `kinds` on the configured interfaces. Events go to `sink`, the configured
    /// endpoints' [`DiscoveryEvent::Appeared`] first.
    pub fn start(
        config: DiscoveryConfig,
        kinds: Vec<Arc<dyn Kind>>,
        clock: Arc<dyn Clock>,
        runtime: &tokio::runtime::Handle,
        sink: DiscoverySink,
        registry: &prometheus::Registry,
    ) -> Result<Discovery, DiscoveryError> {
        let settings = config::settings(&config.configured, &kinds)?;
        let metrics = Metrics::register(registry, &kinds)?;
        let merge = Merge::new(settings, config.remembered, clock.now());
        let calls = Calls::default();
        let mut adverts = Vec::new();
        for kind in &kinds {
            adverts.extend(kind.listen(Arc::clone(&clock), calls.sink()));
        }
        let mdns = Mdns::start(config.interfaces.as_deref(), &kinds, &adverts)?;
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let status = Arc::new(Mutex::new(Status::default()));
        let driver = Driver::new(
            merge,
            mdns,
            calls,
            kinds,
            clock,
            sink,
            metrics,
            config.interfaces.unwrap_or_default(),
            Arc::clone(&status),
        );
        runtime.spawn(driver.run(receiver));
        Ok(Discovery { commands, status })
    }

    /// A hint from a speaker whose session ended because nobody answered or the connection was lost. Its addresses are
    /// probed at once; if that fails it is unreachable and asked for anew.
    pub fn lost(&self, id: &SpeakerId) {
        self.tell(Command::Lost(id.clone()));
    }

    /// A person removed the speaker. It appears again only if it announces itself anew.
    pub fn forget(&self, id: &SpeakerId) {
        self.tell(Command::Forget(id.clone()));
    }

    /// What is wrong, if anything.
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, command: Command) {
        if let Err(refused) = self.commands.try_send(command) {
            tracing::warn!(%refused, "discovery does not take commands");
        }
    }
}
