//! The picture of who is reachable where: what appeared, changed, went and returned.
//!
//! A machine without a clock or a socket: [`Merge::handle_input`] takes news and the time, [`Merge::poll_output`] is
//! drained after each, [`Merge::next_wake`] says when to hand in [`Input::Wake`]. It promises that identity is the
//! descriptor's id alone, that no endpoint vanishes but by [`Input::Forget`], and that whatever is announced, at most
//! [`MAX_ENDPOINTS`] are kept.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use antiphon_domain::{HubTime, SpeakerId};
use antiphon_endpoint::Descriptor;

use crate::DiscoveryEvent;
pub use crate::config::Setting;
use crate::entry::{Entry, State};

/// Endpoints kept at most; a house has fewer, and who floods the network gets no further.
pub const MAX_ENDPOINTS: usize = 1024;
/// Complaints and queries closer together than this are one.
const TOO_SOON: Duration = Duration::from_secs(1);

/// News for the merge.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// A service instance was resolved and recognised.
    Resolved {
        /// Its full DNS-SD name.
        instance: String,
        /// What its kind made of it.
        descriptor: Descriptor,
    },
    /// A service instance said goodbye or expired.
    Removed {
        /// Its full DNS-SD name.
        instance: String,
    },
    /// A receiver dials us, and can be opened while it does.
    Called(Descriptor),
    /// It has hung up.
    HungUp(SpeakerId),
    /// What kept it from playing for us is settled.
    Free(SpeakerId),
    /// A speaker lost its session and wonders whether the endpoint is there.
    Lost(SpeakerId),
    /// What came of [`Output::Probe`].
    Probed {
        /// Who was probed.
        id: SpeakerId,
        /// The number of the probe.
        attempt: u64,
        /// Whether any of the addresses answered.
        answered: bool,
    },
    /// A person removed it.
    Forget(SpeakerId),
    /// The time of [`Merge::next_wake`] has come.
    Wake,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Tell the hub.
    Event(DiscoveryEvent),
    /// See whether anybody answers at one of these; [`Input::Probed`] brings the answer.
    Probe {
        /// Who.
        id: SpeakerId,
        /// The number to give back.
        attempt: u64,
        /// Where, best first; never empty.
        addresses: Vec<SocketAddr>,
    },
    /// Ask whether the record of this instance still holds (RFC 6762 section 10.4).
    Verify {
        /// Its full DNS-SD name.
        instance: String,
    },
    /// Ask afresh for the services of a kind.
    Query {
        /// The kind's name.
        kind: &'static str,
    },
    /// A record was not taken in; for the counters.
    Refused(Refusal),
}

/// Why a record was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There are [`MAX_ENDPOINTS`] already.
    TooMany,
    /// It leads nowhere.
    NoAddress,
    /// Its id is that of an endpoint of another kind.
    OtherKind,
}

/// The picture.
#[derive(Debug, Default)]
pub struct Merge {
    entries: BTreeMap<SpeakerId, Entry>,
    /// Configured names for endpoints yet to be discovered.
    names: BTreeMap<SpeakerId, String>,
    /// Announced ids that turned out to be a configured endpoint.
    aliases: BTreeMap<SpeakerId, SpeakerId>,
    /// When each kind was last asked for.
    queried: BTreeMap<&'static str, HubTime>,
    attempts: u64,
    outputs: VecDeque<Output>,
}

impl Merge {
    /// Begins with the configured endpoints, taken to be present until a session says otherwise, and the remembered
    /// ones, taken to be away.
    pub fn new(settings: Vec<Setting>, remembered: Vec<Descriptor>, now: HubTime) -> Self {
        let mut merge = Self::default();
        for Setting { id, name, fixed } in settings {
            if let Some(name) = &name {
                merge.names.insert(id.clone(), name.clone());
            }
            if let Some(descriptor) = fixed {
                let entry = Entry::fixed(descriptor, name);
                merge.tell(DiscoveryEvent::Appeared(entry.current.clone()));
                merge.entries.insert(id, entry);
            }
        }
        for descriptor in remembered {
            if merge.entries.contains_key(&descriptor.id) {
                continue;
            }
            let id = descriptor.id.clone();
            let name = merge.names.get(&id).cloned();
            merge.entries.insert(id, Entry::remembered(descriptor, name, now));
        }
        merge
    }

    /// Takes news in at `now`.
    pub fn handle_input(&mut self, input: Input, now: HubTime) {
        match input {
            Input::Resolved { descriptor, .. } if descriptor.addresses.is_empty() => {
                self.outputs.push_back(Output::Refused(Refusal::NoAddress));
            }
            Input::Resolved { instance, descriptor } => self.resolved(instance, descriptor, now),
            // One that calls needs no address: nobody could reach it there, so it is never probed.
            Input::Called(descriptor) => self.resolved(call(&descriptor.id), descriptor, now),
            Input::HungUp(id) => self.removed(&call(&id), now),
            Input::Free(id) => self.freed(&id, now),
            Input::Removed { instance } => self.removed(&instance, now),
            Input::Lost(id) => self.lost(&id, now),
            Input::Probed { id, attempt, answered } => self.probed(&id, attempt, answered, now),
            Input::Forget(id) => {
                self.entries.remove(&id);
                self.aliases.retain(|_, target| *target != id);
            }
            Input::Wake => self.wake(now),
        }
    }

    /// The next thing to do, `None` when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to hand in [`Input::Wake`] next.
    pub fn next_wake(&self) -> Option<HubTime> {
        self.entries.values().filter_map(|e| e.next_probe).min()
    }

    /// Every endpoint, and whether it is reachable as far as we know.
    pub fn endpoints(&self) -> impl Iterator<Item = (&Descriptor, bool)> {
        self.entries.values().map(|e| (&e.current, e.state == State::Present))
    }

    fn resolved(&mut self, instance: String, descriptor: Descriptor, now: HubTime) {
        let id = self.whose(&descriptor);
        // The same instance name under another id: somebody put a new device in the place of the old one.
        let former =
            self.entries.iter().find(|(i, e)| **i != id && e.holds(&instance)).map(|(i, _)| i.clone());
        if let Some(former) = former {
            self.drop_record(&former, &instance, now);
        }
        let Some(entry) = self.entries.get_mut(&id) else {
            return self.appear(id, instance, descriptor);
        };
        if entry.current.kind != descriptor.kind {
            return self.outputs.push_back(Output::Refused(Refusal::OtherKind));
        }
        let new = entry.take(instance, descriptor);
        let differs = entry.update();
        let event = match entry.state {
            State::Present if differs => DiscoveryEvent::Changed(entry.current.clone()),
            State::Present => return,
            State::Unreachable if new => {
                entry.arrive();
                DiscoveryEvent::Returned(entry.current.clone())
            }
            // Known word for word: it may come from a cache, while the device is off. Worth a look, no more.
            State::Unreachable => return entry.hurry(now),
        };
        self.tell(event);
    }

    /// The id of the entry a record is about.
    fn whose(&mut self, descriptor: &Descriptor) -> SpeakerId {
        if self.entries.contains_key(&descriptor.id) {
            return descriptor.id.clone();
        }
        if let Some(id) = self.aliases.get(&descriptor.id) {
            return id.clone();
        }
        for (id, entry) in &self.entries {
            let Some(fixed) = &entry.fixed else { continue };
            let same_place = fixed.addresses.iter().any(|a| descriptor.addresses.contains(a));
            // One that is known by a record already is another device, which had the address once.
            if same_place && fixed.kind == descriptor.kind && !entry.has_records() {
                let id = id.clone();
                self.aliases.insert(descriptor.id.clone(), id.clone());
                return id;
            }
        }
        descriptor.id.clone()
    }

    fn appear(&mut self, id: SpeakerId, instance: String, descriptor: Descriptor) {
        if self.entries.len() >= MAX_ENDPOINTS {
            return self.outputs.push_back(Output::Refused(Refusal::TooMany));
        }
        let name = self.names.get(&id).cloned();
        let mut entry = Entry::new(Descriptor { id: id.clone(), ..descriptor.clone() }, State::Present, name);
        entry.take(instance, descriptor);
        entry.update();
        self.tell(DiscoveryEvent::Appeared(entry.current.clone()));
        self.entries.insert(id, entry);
    }

    fn removed(&mut self, instance: &str, now: HubTime) {
        let held = self.entries.iter().find(|(_, e)| e.holds(instance)).map(|(id, _)| id.clone());
        if let Some(id) = held {
            self.drop_record(&id, instance, now);
        }
    }

    fn freed(&mut self, id: &SpeakerId, now: HubTime) {
        let id = self.aliases.get(id).unwrap_or(id);
        let Some(entry) = self.entries.get_mut(id) else { return };
        match entry.state {
            State::Present => {
                let event = DiscoveryEvent::Returned(entry.current.clone());
                self.tell(event);
            }
            // Nobody can be asked at no address: it calls.
            State::Unreachable if entry.current.addresses.is_empty() => {}
            State::Unreachable => entry.hurry(now),
        }
    }

    fn drop_record(&mut self, id: &SpeakerId, instance: &str, now: HubTime) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.drop_record(instance);
        if entry.state == State::Unreachable {
            return;
        }
        if entry.has_records() {
            if entry.update() {
                let event = DiscoveryEvent::Changed(entry.current.clone());
                self.tell(event);
            }
            return;
        }
        self.leave(id, now);
    }

    fn leave(&mut self, id: &SpeakerId, now: HubTime) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.leave(now);
        let kind = entry.current.kind;
        let instances: Vec<String> = entry.instances().map(str::to_owned).collect();
        self.tell(DiscoveryEvent::Unreachable { id: id.clone(), since: now });
        for instance in instances {
            self.outputs.push_back(Output::Verify { instance });
        }
        if self.queried.get(kind).is_none_or(|last| now.since(*last) >= TOO_SOON) {
            self.queried.insert(kind, now);
            self.outputs.push_back(Output::Query { kind });
        }
    }

    fn lost(&mut self, id: &SpeakerId, now: HubTime) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let nowhere = entry.current.addresses.is_empty();
        if nowhere || entry.complained.is_some_and(|last| now.since(last) < TOO_SOON) {
            return;
        }
        entry.complained = Some(now);
        entry.hurry(now);
        self.wake(now);
    }

    fn probed(&mut self, id: &SpeakerId, attempt: u64, answered: bool, now: HubTime) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        // One that was begun before something else settled the matter counts no more.
        if entry.probing != Some(attempt) {
            return;
        }
        entry.probing = None;
        match (entry.state, answered) {
            (State::Present, true) => {}
            (State::Present, false) => self.leave(id, now),
            (State::Unreachable, false) => entry.postpone(now),
            (State::Unreachable, true) => {
                entry.arrive();
                let event = DiscoveryEvent::Returned(entry.current.clone());
                self.tell(event);
            }
        }
    }

    fn wake(&mut self, now: HubTime) {
        let due: Vec<SpeakerId> = self
            .entries
            .iter()
            .filter(|(_, e)| e.next_probe.is_some_and(|at| at <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            let addresses = self.free_addresses(&id);
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            entry.next_probe = None;
            if addresses.is_empty() {
                entry.postpone(now);
                continue;
            }
            self.attempts += 1;
            entry.probing = Some(self.attempts);
            self.outputs.push_back(Output::Probe { id, attempt: self.attempts, addresses });
        }
    }

    /// Where to probe: of one that is away, only addresses that nobody else is known to live at now, where an answer
    /// would prove nothing.
    fn free_addresses(&self, id: &SpeakerId) -> Vec<SocketAddr> {
        let Some(entry) = self.entries.get(id) else { return Vec::new() };
        if entry.state == State::Present {
            return entry.current.addresses.clone();
        }
        let taken = |a: &SocketAddr| self.entries.iter().any(|(other, e)| other != id && e.claims(a));
        entry.current.addresses.iter().filter(|a| !taken(a)).copied().collect()
    }

    fn tell(&mut self, event: DiscoveryEvent) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// What stands for a DNS-SD name where a receiver calls; no service is called so.
fn call(id: &SpeakerId) -> String {
    format!("call from {id}")
}
