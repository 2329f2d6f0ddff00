//! One endpoint of the merge: the records that speak of it, what it is taken for, and when to probe it.

use std::net::SocketAddr;
use std::time::Duration;

use antiphon_domain::HubTime;
use antiphon_endpoint::Descriptor;

/// Addresses kept of one endpoint. A device has a few; more is noise, or malice.
pub(crate) const MAX_ADDRESSES: usize = 16;
/// Records kept of one endpoint (interfaces, old names).
const MAX_RECORDS: usize = 8;
/// The pause after the first failed probe; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause for one that will announce itself when it returns.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause for one that nothing but a probe can find, be it that it never announced itself or that its record
/// still holds: it is to play within 5 s of its return.
const LONGEST_PAUSE_SILENT: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Present,
    Unreachable,
}

#[derive(Debug)]
pub(crate) struct Entry {
    /// What was last told of it.
    pub current: Descriptor,
    pub state: State,
    /// The configured name.
    name: Option<String>,
    /// The configured endpoint.
    pub fixed: Option<Descriptor>,
    /// The records that are alive by instance, the newest first.
    records: Vec<(String, Descriptor)>,
    /// Whether it was ever seen by mDNS, now or in an earlier run.
    announced: bool,
    /// When to probe next.
    pub next_probe: Option<HubTime>,
    /// The probe under way.
    pub probing: Option<u64>,
    pause: Duration,
    /// When its speaker last complained.
    pub complained: Option<HubTime>,
}

impl Entry {
    pub fn new(descriptor: Descriptor, state: State, name: Option<String>) -> Self {
        let mut entry = Self {
            current: descriptor,
            state,
            name,
            fixed: None,
            records: Vec::new(),
            announced: false,
            next_probe: None,
            probing: None,
            pause: FIRST_PAUSE,
            complained: None,
        };
        if let Some(name) = &entry.name {
            entry.current.name.clone_from(name);
        }
        entry.current.addresses.truncate(MAX_ADDRESSES);
        entry
    }

    pub fn fixed(descriptor: Descriptor, name: Option<String>) -> Self {
        Self { fixed: Some(descriptor.clone()), ..Self::new(descriptor, State::Present, name) }
    }

    pub fn remembered(descriptor: Descriptor, name: Option<String>, now: HubTime) -> Self {
        let next_probe = (!descriptor.addresses.is_empty()).then_some(now);
        Self { announced: true, next_probe, ..Self::new(descriptor, State::Unreachable, name) }
    }

    pub fn holds(&self, instance: &str) -> bool {
        self.records.iter().any(|(i, _)| i == instance)
    }

    pub fn instances(&self) -> impl Iterator<Item = &str> {
        self.records.iter().map(|(instance, _)| instance.as_str())
    }

    pub fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    /// Whether a living record of it, or its configuration, names this address.
    pub fn claims(&self, address: &SocketAddr) -> bool {
        self.state == State::Present && self.current.addresses.contains(address)
    }

    /// Takes a record in; false when it was known word for word.
    pub fn take(&mut self, instance: String, descriptor: Descriptor) -> bool {
        self.announced = true;
        if let Some(at) = self.records.iter().position(|(i, _)| *i == instance) {
            if self.records[at].1 == descriptor {
                return false;
            }
            self.records.remove(at);
        }
        self.records.insert(0, (instance, descriptor));
        self.records.truncate(MAX_RECORDS);
        true
    }

    /// Drops a record.
    pub fn drop_record(&mut self, instance: &str) {
        self.records.retain(|(i, _)| i != instance);
    }

    /// Makes up anew what it is from what speaks of it; whether that differs from what was told. Without any record
    /// the last picture stays.
    pub fn update(&mut self) -> bool {
        let Some((_, newest)) = self.records.first() else { return false };
        let mut descriptor = Descriptor { id: self.current.id.clone(), ..newest.clone() };
        for (_, older) in &self.records[1..] {
            add_addresses(&mut descriptor, &older.addresses);
        }
        if let Some(fixed) = &self.fixed {
            add_addresses(&mut descriptor, &fixed.addresses);
            for (key, value) in &fixed.properties {
                descriptor.properties.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        descriptor.addresses.truncate(MAX_ADDRESSES);
        if let Some(name) = &self.name {
            descriptor.name.clone_from(name);
        }
        let differs = descriptor != self.current;
        self.current = descriptor;
        differs
    }

    /// It is there: nothing to probe.
    pub fn arrive(&mut self) {
        self.state = State::Present;
        self.next_probe = None;
        self.probing = None;
        self.pause = FIRST_PAUSE;
    }

    /// It is gone: probe it after the first pause.
    pub fn leave(&mut self, now: HubTime) {
        self.state = State::Unreachable;
        self.probing = None;
        self.pause = FIRST_PAUSE;
        self.postpone(now);
    }

    /// Probe as soon as possible, and quickly from then on.
    pub fn hurry(&mut self, now: HubTime) {
        self.pause = FIRST_PAUSE;
        if self.probing.is_none() {
            self.next_probe = Some(now);
        }
    }

    /// Probe again after the pause, which doubles.
    pub fn postpone(&mut self, now: HubTime) {
        self.next_probe = (!self.current.addresses.is_empty()).then_some(now + self.pause);
        let will_announce = self.announced && !self.has_records();
        let longest = if will_announce { LONGEST_PAUSE } else { LONGEST_PAUSE_SILENT };
        self.pause = (self.pause * 2).min(longest);
    }
}

fn add_addresses(descriptor: &mut Descriptor, addresses: &[SocketAddr]) {
    for address in addresses {
        if !descriptor.addresses.contains(address) {
            descriptor.addresses.push(*address);
        }
    }
}
