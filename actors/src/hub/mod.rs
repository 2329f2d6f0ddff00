//! The root of supervision: factories, heartbeats, restart budget.
//!
//! actix restarts nothing that panicked, so the hub watches: a child that is dead or silent is made anew by its
//! factory from the archived state. Over its budget it is left failed, visibly; its siblings play on. Surfaces reach
//! the coordinator through the hub, so that they outlive any one coordinator.

mod relay;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix::prelude::*;
use antiphon_discovery::DiscoveryEvent;
use antiphon_domain::house::House;
use antiphon_domain::{HubTime, SpeakerId};
use antiphon_endpoint::Descriptor;
use antiphon_store::{SpeakerRecord, StoreError};
use tracing::{error, info, warn};

use crate::archive::Archive;
use crate::coordinator::Coordinator;
use crate::discovery::Finder;
use crate::handle::HubHandle;
use crate::messages::*;
use crate::parts::Parts;
use crate::post;
use crate::speaker::{ArchiveRoads, Speaker};
use watch::{Verdict, Watch};

/// Messages that may wait for the hub.
const MAILBOX: usize = 4096;
/// How often children are looked after.
const LOOK: Duration = Duration::from_secs(1);
/// A look that comes so late was held up itself.
const LATE: Duration = Duration::from_secs(4);

/// The actor.
pub struct Hub {
    parts: Arc<Parts>,
    archive: Addr<Archive>,
    archive_watch: Watch,
    coordinator: Addr<Coordinator>,
    coordinator_watch: Watch,
    finder: Addr<Finder>,
    finder_watch: Watch,
    speakers: BTreeMap<SpeakerId, Child>,
    remembered: Vec<Descriptor>,
    /// When children were last looked after.
    looked: HubTime,
    /// The hub is ending: who dies now may rest.
    closing: bool,
}

struct Child {
    addr: Addr<Speaker>,
    watch: Watch,
    descriptor: Descriptor,
    present: bool,
}

impl Hub {
    /// Opens the archive and starts everything. Must be called on the actors' thread.
    pub fn begin(parts: Arc<Parts>) -> Result<HubHandle, StoreError> {
        let (archive, found) = Archive::open(&parts.database, &parts.registry)?;
        let archive = archive.begin();
        let remembered: Vec<Descriptor> =
            found.speakers.iter().filter_map(|record| descriptor_of(record, &parts)).collect();
        let kinds = parts.kinds.clone();
        let hub = Hub::create(|ctx| {
            // Before anybody knows the address: discovery tells of every configured speaker at once, from its own thread.
            ctx.set_mailbox_capacity(MAILBOX);
            let now = parts.now();
            let coordinator =
                Coordinator::new(parts.clone(), found.house, archive.clone().recipient()).start();
            let finder = Finder::new(parts.clone(), remembered.clone(), ctx.address().recipient()).start();
            Hub {
                parts,
                archive,
                archive_watch: Watch::new(now),
                coordinator,
                coordinator_watch: Watch::new(now),
                finder,
                finder_watch: Watch::new(now),
                speakers: BTreeMap::new(),
                remembered,
                looked: now,
                closing: false,
            }
        });
        Ok(HubHandle::new(hub, &kinds))
    }

    fn roads(&self) -> CoordinatorRoads {
        let c = &self.coordinator;
        CoordinatorRoads {
            enlist: c.clone().recipient(),
            levels: c.clone().recipient(),
            orders: c.clone().recipient(),
            publish: c.clone().recipient(),
            heard: c.clone().recipient(),
            distress: c.clone().recipient(),
            at_device: c.clone().recipient(),
            reaches: c.clone().recipient(),
        }
    }

    fn make_speaker(&self, descriptor: Descriptor, present: bool) -> Option<Addr<Speaker>> {
        let kind = self.parts.kind(descriptor.kind)?.clone();
        let archive = ArchiveRoads {
            recall: self.archive.clone().recipient(),
            secret: self.archive.clone().recipient(),
            device: self.archive.clone().recipient(),
            account: self.archive.clone().recipient(),
        };
        let finder = self.finder.clone().recipient();
        Some(
            Speaker::new(self.parts.clone(), descriptor, present, kind, self.roads(), archive, finder)
                .start(),
        )
    }

    fn raise(&mut self, descriptor: Descriptor, present: bool) {
        let id = descriptor.id.clone();
        let Some(addr) = self.make_speaker(descriptor.clone(), present) else { return };
        let watch = Watch::new(self.parts.now());
        self.speakers.insert(id, Child { addr, watch, descriptor, present });
    }

    fn found(&mut self, descriptor: Descriptor) {
        self.save(&descriptor);
        match self.speakers.get_mut(&descriptor.id) {
            Some(child) => {
                child.descriptor = descriptor.clone();
                child.present = true;
                if post::tell_addr(&child.addr, Whereabouts::Present(descriptor), &self.parts.metrics)
                    .is_err()
                {
                    warn!("a speaker did not take its new whereabouts");
                }
            }
            None => {
                info!(speaker = %descriptor.id, name = descriptor.name, kind = descriptor.kind, "a speaker appeared");
                self.raise(descriptor, true);
            }
        }
    }

    fn save(&self, descriptor: &Descriptor) {
        let now = SystemTime::now();
        let record = SpeakerRecord {
            id: descriptor.id.clone(),
            name: descriptor.name.clone(),
            kind: descriptor.kind.into(),
            addresses: descriptor.addresses.clone(),
            properties: descriptor.properties.clone(),
            serial_number: None,
            first_seen: now,
            last_seen: now,
        };
        if post::tell_addr(&self.archive, SaveSpeaker(record), &self.parts.metrics).is_err() {
            warn!(speaker = %descriptor.id, "the archive did not take a speaker");
        }
    }

    fn count(&self, actor: &str, verdict: Verdict) {
        if verdict == Verdict::GiveUp {
            error!(actor, "failed too often; it is left as it is. restart the hub after mending the cause");
            self.parts.metrics.failed.with_label_values(&[actor]).inc();
        } else {
            warn!(actor, "dead or silent; made anew");
            self.parts.metrics.restarts.with_label_values(&[actor]).inc();
        }
    }

    fn look_after(&mut self, ctx: &mut Context<Self>) {
        if self.closing {
            return;
        }
        let now = self.parts.now();
        if now.since(self.looked) > LATE {
            // It was us who stood still: nobody could have answered.
            self.pardon(now);
        }
        self.looked = now;
        self.look_after_archive(now, ctx);
        match self.finder_watch.judge(self.finder.connected(), now) {
            Verdict::Fine => {}
            verdict => {
                self.count("discovery", verdict);
                if verdict == Verdict::MakeAnew {
                    let known = self.speakers.values().map(|c| c.descriptor.clone()).collect();
                    self.finder = Finder::new(self.parts.clone(), known, ctx.address().recipient()).start();
                }
            }
        }
        match self.coordinator_watch.judge(self.coordinator.connected(), now) {
            Verdict::Fine => {}
            verdict => {
                self.count("coordinator", verdict);
                if verdict == Verdict::MakeAnew {
                    self.remake_coordinator(ctx);
                }
            }
        }
        self.look_after_speakers(now);
        self.ask(ctx);
    }

    /// Counts everybody as seen just now.
    fn pardon(&mut self, now: HubTime) {
        self.archive_watch.seen = now;
        self.coordinator_watch.seen = now;
        self.finder_watch.seen = now;
        for child in self.speakers.values_mut() {
            child.watch.seen = now;
        }
    }

    fn look_after_archive(&mut self, now: HubTime, ctx: &mut Context<Self>) {
        // One that waits for its disk is silent and not dead; a second one beside it would not help.
        if self.archive.connected() {
            self.archive_watch.seen = now;
        }
        let verdict = self.archive_watch.judge(self.archive.connected(), now);
        if verdict == Verdict::Fine {
            return;
        }
        self.count("archive", verdict);
        if verdict == Verdict::MakeAnew {
            match Archive::open(&self.parts.database, &self.parts.registry) {
                Ok((archive, _)) => {
                    self.archive = archive.begin();
                    // Everybody who holds a road to the old archive is given the new one.
                    self.remake_coordinator(ctx);
                    let ids: Vec<SpeakerId> = self.speakers.keys().cloned().collect();
                    ids.iter().for_each(|id| self.remake_speaker(id));
                }
                Err(e) => error!(error = %e, "the archive cannot be opened again"),
            }
        }
    }

    /// A new coordinator takes over the groups and levels as archived last; speakers introduce themselves to it.
    fn remake_coordinator(&mut self, ctx: &mut Context<Self>) {
        let recall = self.archive.send(RecallHouse);
        ctx.wait(recall.into_actor(self).map(|house, hub, _| {
            let house: House = house.unwrap_or_default();
            let archive = hub.archive.clone().recipient();
            // One that is only silent must not go on beside the new one.
            let _ = post::tell_addr(&hub.coordinator, Close, &hub.parts.metrics);
            hub.coordinator = Coordinator::new(hub.parts.clone(), house, archive).start();
            for child in hub.speakers.values() {
                if post::tell_addr(&child.addr, Meet(hub.roads()), &hub.parts.metrics).is_err() {
                    warn!(speaker = %child.descriptor.id, "a speaker did not meet the new coordinator");
                }
            }
        }));
    }

    fn remake_speaker(&mut self, id: &SpeakerId) {
        let Some(child) = self.speakers.get(id) else { return };
        let Some(addr) = self.make_speaker(child.descriptor.clone(), child.present) else { return };
        if let Some(child) = self.speakers.get_mut(id) {
            let old = std::mem::replace(&mut child.addr, addr);
            // One that is only silent must not go on beside the new one.
            let _ = post::tell_addr(&old, Close, &self.parts.metrics);
        }
    }

    fn look_after_speakers(&mut self, now: HubTime) {
        let mut anew = Vec::new();
        for (id, child) in &mut self.speakers {
            let verdict = child.watch.judge(child.addr.connected(), now);
            if verdict != Verdict::Fine {
                anew.push((id.clone(), verdict));
            }
        }
        for (id, verdict) in anew {
            self.count("speaker", verdict);
            if verdict == Verdict::MakeAnew {
                self.remake_speaker(&id);
            }
        }
    }

    /// Asks every child for a sign of life.
    fn ask(&self, ctx: &mut Context<Self>) {
        let archive = self.archive.send(Heartbeat).into_actor(self);
        ctx.spawn(archive.map(|r, hub, _| {
            if r.is_ok() {
                hub.archive_watch.seen = hub.parts.now();
            }
        }));
        let finder = self.finder.send(Heartbeat).into_actor(self);
        ctx.spawn(finder.map(|r, hub, _| {
            if r.is_ok() {
                hub.finder_watch.seen = hub.parts.now();
            }
        }));
        let coordinator = self.coordinator.send(Heartbeat).into_actor(self);
        ctx.spawn(coordinator.map(|r, hub, _| {
            if r.is_ok() {
                hub.coordinator_watch.seen = hub.parts.now();
            }
        }));
        for (id, child) in &self.speakers {
            let id = id.clone();
            let speaker = child.addr.send(Heartbeat).into_actor(self);
            ctx.spawn(speaker.map(move |r, hub, _| {
                let now = hub.parts.now();
                if let (Ok(()), Some(child)) = (r, hub.speakers.get_mut(&id)) {
                    child.watch.seen = now;
                }
            }));
        }
    }
}

/// The endpoint a record remembers; `None` when its kind is gone or needs the configuration to exist.
fn descriptor_of(record: &SpeakerRecord, parts: &Parts) -> Option<Descriptor> {
    let kind = parts.kind(&record.kind).filter(|kind| kind.remembers())?;
    Some(Descriptor {
        id: record.id.clone(),
        name: record.name.clone(),
        kind: kind.name(),
        addresses: record.addresses.clone(),
        properties: record.properties.clone(),
    })
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for descriptor in std::mem::take(&mut self.remembered) {
            self.raise(descriptor, false);
        }
        let database: &PathBuf = &self.parts.database;
        info!(speakers = self.speakers.len(), database = %database.display(), "the hub remembers");
        ctx.run_interval(LOOK, |hub, ctx| hub.look_after(ctx));
    }
}

impl Handler<Discovered> for Hub {
    type Result = ();

    fn handle(&mut self, message: Discovered, _: &mut Self::Context) {
        match message.0 {
            DiscoveryEvent::Appeared(d) | DiscoveryEvent::Changed(d) | DiscoveryEvent::Returned(d) => {
                self.found(d)
            }
            DiscoveryEvent::Unreachable { id, since } => {
                info!(speaker = %id, "unreachable");
                if let Some(child) = self.speakers.get_mut(&id) {
                    child.present = false;
                    if post::tell_addr(&child.addr, Whereabouts::Unreachable(since), &self.parts.metrics)
                        .is_err()
                    {
                        warn!(speaker = %id, "a speaker was not told that it is not found");
                    }
                }
            }
            _ => {}
        }
    }
}

/// The tree ends backwards: speakers say farewell to their receivers, the archive is last.
impl Handler<Close> for Hub {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: Close, _: &mut Self::Context) -> Self::Result {
        self.closing = true;
        let speakers: Vec<_> = self.speakers.values().map(|c| c.addr.send(message)).collect();
        let (finder, coordinator) = (self.finder.send(message), self.coordinator.send(message));
        let archive = self.archive.clone();
        Box::pin(async move {
            for farewell in speakers {
                let _ = farewell.await;
            }
            let _ = finder.await;
            let _ = coordinator.await;
            let _ = archive.send(message).await;
        })
    }
}
