//! The task of discovery: carries news to the merge and does what it says.
//!
//! Owns the mDNS daemon and the probes under way; ends when its [`crate::Discovery`] is dropped.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use antiphon_domain::SpeakerId;
use antiphon_endpoint::{Arrival, Clock, Kind, ServiceRecord};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time;

use crate::calls::Calls;
use crate::mdns::{Mdns, News};
use crate::merge::{Input, Merge, Output};
use crate::metrics::Metrics;
use crate::probe::probe_any;
use crate::{DiscoveryEvent, DiscoverySink, Status};

/// How long an address has to answer a probe.
const PROBE: Duration = Duration::from_secs(2);
/// How often to look whether the configured interfaces exist; the daemon looks as often.
const LOOK: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) enum Command {
    Lost(SpeakerId),
    Forget(SpeakerId),
}

pub(crate) struct Driver {
    merge: Merge,
    mdns: Option<Mdns>,
    /// Who dials us.
    calls: Calls,
    kinds: Vec<Arc<dyn Kind>>,
    clock: Arc<dyn Clock>,
    sink: DiscoverySink,
    metrics: Metrics,
    interfaces: Vec<String>,
    status: Arc<Mutex<Status>>,
    probes: JoinSet<Input>,
}

impl Driver {
    #[expect(
        clippy::too_many_arguments,
        reason = "built in one place, from parts that belong together only here"
    )]
    pub fn new(
        merge: Merge,
        mdns: Option<Mdns>,
        calls: Calls,
        kinds: Vec<Arc<dyn Kind>>,
        clock: Arc<dyn Clock>,
        sink: DiscoverySink,
        metrics: Metrics,
        interfaces: Vec<String>,
        status: Arc<Mutex<Status>>,
    ) -> Self {
        let probes = JoinSet::new();
        let mut driver = Self { merge, mdns, calls, kinds, clock, sink, metrics, interfaces, status, probes };
        driver.look();
        driver
    }

    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut look = time::interval(LOOK);
        look.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            self.act();
            let wake = self.merge.next_wake().map(|at| at.since(self.clock.now()));
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Lost(id)) => self.input(Input::Lost(id)),
                    Some(Command::Forget(id)) => self.input(Input::Forget(id)),
                    None => return,
                },
                arrival = self.calls.next() => self.input(match arrival {
                    Arrival::Here(descriptor) => Input::Called(descriptor),
                    Arrival::Gone(id) => Input::HungUp(id),
                    Arrival::Free(id) => Input::Free(id),
                }),
                news = next(&mut self.mdns) => self.hear(news),
                Some(done) = self.probes.join_next() => {
                    // A probe never panics and is only cancelled together with this task.
                    if let Ok(input) = done {
                        if let Input::Probed { answered, .. } = &input {
                            self.metrics.probed(*answered);
                        }
                        self.input(input);
                    }
                }
                () = time::sleep(wake.unwrap_or(LOOK)), if wake.is_some() => self.input(Input::Wake),
                _ = look.tick() => self.look(),
            }
        }
    }

    fn input(&mut self, input: Input) {
        let now = self.clock.now();
        self.merge.handle_input(input, now);
    }

    fn act(&mut self) {
        // Before the events go out, so that who hears one finds the figures agree.
        self.metrics.picture(&self.merge);
        while let Some(output) = self.merge.poll_output() {
            match output {
                Output::Event(event) => {
                    note(&event);
                    self.metrics.event(&event);
                    (self.sink)(event);
                }
                Output::Probe { id, attempt, addresses } => {
                    self.probes.spawn(async move {
                        let answered = probe_any(&addresses, PROBE).await;
                        Input::Probed { id, attempt, answered }
                    });
                }
                Output::Verify { instance } => {
                    if let Some(mdns) = &self.mdns {
                        mdns.verify(instance);
                    }
                }
                Output::Query { kind } => self.query(kind),
                Output::Refused(reason) => {
                    tracing::debug!(?reason, "mdns record refused");
                    self.metrics.refused(reason);
                }
            }
        }
    }

    fn query(&mut self, name: &str) {
        let Some(mdns) = &mut self.mdns else { return };
        for kind in self.kinds.iter().filter(|k| k.name() == name) {
            for service in kind.services() {
                mdns.query(service);
            }
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Queried { service } => self.metrics.queried(service),
            News::Removed { instance } => self.input(Input::Removed { instance }),
            News::Resolved { instance, record } => self.resolved(instance, &record),
            News::Trouble(trouble) => {
                let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
                if status.mdns_trouble.as_ref() != Some(&trouble) {
                    tracing::warn!(trouble, "mdns is in trouble");
                    status.mdns_trouble = Some(trouble);
                }
            }
        }
    }

    fn resolved(&mut self, instance: String, record: &ServiceRecord) {
        let looked_for =
            |kind: &&Arc<dyn Kind>| kind.services().iter().any(|s| s.eq_ignore_ascii_case(&record.service));
        for kind in self.kinds.iter().filter(looked_for) {
            if let Some(mut descriptor) = kind.recognise(record) {
                descriptor.kind = kind.name();
                return self.input(Input::Resolved { instance, descriptor });
            }
        }
        tracing::debug!(instance, "mdns record is of no kind of ours");
        // What was one of ours under this name is no more.
        self.input(Input::Removed { instance });
    }

    /// Compares the configured interfaces with those that are there.
    fn look(&mut self) {
        if let Some(mdns) = &mut self.mdns {
            mdns.repair();
        }
        if self.interfaces.is_empty() {
            return;
        }
        let there = match if_addrs::get_if_addrs() {
            Ok(there) => there,
            Err(error) => {
                tracing::warn!(%error, "interfaces cannot be listed");
                return;
            }
        };
        let missing: Vec<String> =
            self.interfaces.iter().filter(|name| there.iter().all(|i| i.name != **name)).cloned().collect();
        self.metrics.missing_interfaces(missing.len());
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.missing_interfaces == missing {
            return;
        }
        if missing.is_empty() {
            tracing::info!(interfaces = ?self.interfaces, "every configured interface is there");
        } else {
            tracing::warn!(
                ?missing,
                "configured interfaces do not exist or have no address; waiting for them"
            );
        }
        status.missing_interfaces = missing;
    }
}

fn note(event: &DiscoveryEvent) {
    match event {
        DiscoveryEvent::Appeared(d) => {
            tracing::info!(speaker = %d.id, name = d.name, kind = d.kind, addresses = ?d.addresses, "endpoint appeared");
        }
        DiscoveryEvent::Changed(d) => {
            tracing::info!(speaker = %d.id, name = d.name, addresses = ?d.addresses, "endpoint changed");
        }
        DiscoveryEvent::Unreachable { id, .. } => tracing::info!(speaker = %id, "endpoint unreachable"),
        DiscoveryEvent::Returned(d) => {
            tracing::info!(speaker = %d.id, addresses = ?d.addresses, "endpoint returned");
        }
    }
}

/// News of a daemon, or none for ever where there is no daemon.
async fn next(mdns: &mut Option<Mdns>) -> News {
    match mdns {
        Some(mdns) => mdns.next().await,
        None => std::future::pending().await,
    }
}
