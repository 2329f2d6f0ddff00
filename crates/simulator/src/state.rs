//! Owns everything the simulator remembers: devices, tokens, code pairs, transcripts. One lock; never held across an
//! await. Connection tasks and the `Simulator` handle are its only users.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use serde_json::Value;
use tokio::sync::{broadcast, mpsc, watch};

use crate::answers::Prepared;
use crate::catalogue::Catalogue;
use crate::downchannel::Down;
use crate::faults::Armed;
use crate::hearing::Hearing;
use crate::judge::{HandOver, Ledger};
use crate::lwa::Lwa;
use crate::options::Options;
use crate::provider::Player;
use crate::script::Script;
use crate::transcript::{Connection, Counts, DeviceView, Direction, Entry, Violation};

/// Most violations kept; a device that does nothing right must not fill the memory.
const MAX_VIOLATIONS: usize = 10_000;

/// What all tasks share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) catalogue: Catalogue,
    pub(crate) started: Instant,
    pub(crate) gateway: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) tracks: crate::media::Tracks,
    /// Every transcript entry as it is made, with its device's DSN.
    pub(crate) feed: broadcast::Sender<(Arc<str>, Arc<Entry>)>,
    /// Set when the simulator is going down.
    pub(crate) closing: OnceLock<()>,
    next_connection: AtomicU64,
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn new(
        options: Options,
        catalogue: Catalogue,
        gateway: SocketAddr,
        admin: SocketAddr,
    ) -> Self {
        let mut state = State::default();
        for known in &options.devices {
            state.lwa.grant_refresh(&known.refresh_token, &known.dsn);
            state.device(&known.dsn).name.clone_from(&known.name);
        }
        Self {
            tracks: crate::media::Tracks::new(
                options.media.clone().unwrap_or_else(|| options.folder.join("media")),
            ),
            options,
            catalogue,
            started: Instant::now(),
            gateway,
            admin,
            feed: broadcast::channel(16_384).0,
            closing: OnceLock::new(),
            next_connection: AtomicU64::new(1),
            state: Mutex::new(state),
        }
    }

    /// The state; a panic of another task while holding it leaves plain data, which stays usable.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// Where media are served.
    pub(crate) fn media(&self) -> String {
        format!("http://{}/media", self.admin)
    }

    /// Adds to a device's transcript and tells whoever waits.
    pub(crate) fn record(&self, dsn: &str, draft: Draft) -> Arc<Entry> {
        let mut state = self.lock();
        let device = state.device(dsn);
        let entry = device.record(draft, self.started, self.options.transcript_limit);
        let sender = device.changed.clone();
        let dsn = device.dsn.clone();
        drop(state);
        sender.send_modify(|version| *version += 1);
        // Nobody listening is the usual case.
        let _ = self.feed.send((dsn, entry.clone()));
        entry
    }

    /// Notes a directive that is about to be written: its answer may come before the writing is recorded.
    pub(crate) fn sending(&self, dsn: &str, connection: u64, message: &Value) {
        self.lock().device(dsn).ledger.sending(message, connection, Instant::now());
    }

    /// Tells whoever waits for this device that something other than its transcript changed.
    pub(crate) fn touch(&self, dsn: &str) {
        self.lock().device(dsn).changed.send_modify(|version| *version += 1);
    }

    /// Remembers a violation.
    pub(crate) fn violation(
        &self,
        dsn: Option<&str>,
        connection: u64,
        subject: &str,
        what: impl Into<String>,
    ) {
        let what = what.into();
        tracing::warn!(dsn, connection, subject, what, "violation");
        let violation =
            Violation { dsn: dsn.map(str::to_owned), connection, subject: subject.to_owned(), what };
        let mut state = self.lock();
        if let Some(dsn) = dsn {
            state.device(dsn).violations += 1;
        }
        if state.violations.len() < MAX_VIOLATIONS {
            state.violations.push(violation);
        }
    }
}

/// All that changes.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) devices: BTreeMap<String, Device>,
    pub(crate) lwa: Lwa,
    pub(crate) violations: Vec<Violation>,
    /// Streams begun by one device before another had ended them.
    pub(crate) hand_overs: Vec<HandOver>,
    /// The next TCP connections are refused.
    pub(crate) refuse: u32,
    /// LWA errors for whoever asks next, before it is known who asks.
    pub(crate) lwa_errors: VecDeque<String>,
    /// The same for requests of code pairs.
    pub(crate) pair_errors: VecDeque<String>,
}

impl State {
    /// The device, made if it is new.
    pub(crate) fn device(&mut self, dsn: &str) -> &mut Device {
        self.devices.entry(dsn.to_owned()).or_insert_with(|| Device::new(dsn))
    }

    /// Finds a device by DSN or by friendly name (in any case).
    pub(crate) fn find(&self, who: &str) -> Option<&Device> {
        let by_name = || self.devices.values().find(|device| device.name.eq_ignore_ascii_case(who));
        self.devices.get(who).or_else(by_name)
    }
}

/// What a device declared.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    /// By AddOrUpdateReport, else by the Capabilities API.
    pub(crate) modern: bool,
    pub(crate) interfaces: BTreeMap<String, String>,
}

/// The newest downchannel of a device.
pub(crate) struct Downchannel {
    pub(crate) connection: u64,
    pub(crate) sender: mpsc::UnboundedSender<Down>,
}

/// What a connection task can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    GoAway,
    TcpReset,
    HalfClose,
    Silence,
    Close,
}

/// One device.
pub(crate) struct Device {
    pub(crate) dsn: Arc<str>,
    pub(crate) name: String,
    pub(crate) declared: Option<Arc<Declared>>,
    pub(crate) entries: VecDeque<Arc<Entry>>,
    next_index: u64,
    /// Accepted ids, and the connection each came on.
    pub(crate) message_ids: HashMap<String, u64>,
    pub(crate) violations: usize,
    pub(crate) connections: BTreeMap<u64, Connection>,
    pub(crate) controls: HashMap<u64, mpsc::UnboundedSender<Control>>,
    pub(crate) downchannels: Vec<Downchannel>,
    pub(crate) counts: Counts,
    pub(crate) armed: Armed,
    pub(crate) scripts: VecDeque<Prepared>,
    /// Answers to coming Recognizes.
    pub(crate) speech: VecDeque<Script>,
    pub(crate) hearings: VecDeque<Hearing>,
    pub(crate) ledger: Ledger,
    /// Bluetooth devices it told of: name in lower case, id.
    pub(crate) bluetooth: BTreeMap<String, String>,
    /// Connections that were made to fall silent: nothing is owed on them.
    pub(crate) silenced: Vec<u64>,
    pub(crate) player: Player,
    pub(crate) changed: watch::Sender<u64>,
    volume: Option<u64>,
    muted: Option<bool>,
}

/// What `Device::record` needs to make an `Entry`.
pub(crate) struct Draft {
    pub(crate) direction: Direction,
    pub(crate) at: Instant,
    pub(crate) started: Instant,
    pub(crate) connection: u64,
    pub(crate) message: Value,
    pub(crate) attachment_bytes: u64,
    pub(crate) status: u16,
    pub(crate) violations: Vec<String>,
}

impl Device {
    fn new(dsn: &str) -> Self {
        Self {
            dsn: dsn.into(),
            name: dsn.to_owned(),
            declared: None,
            entries: VecDeque::new(),
            next_index: 0,
            message_ids: HashMap::new(),
            violations: 0,
            connections: BTreeMap::new(),
            controls: HashMap::new(),
            downchannels: Vec::new(),
            counts: Counts::default(),
            armed: Armed::default(),
            scripts: VecDeque::new(),
            speech: VecDeque::new(),
            hearings: VecDeque::new(),
            ledger: Ledger::default(),
            bluetooth: BTreeMap::new(),
            silenced: Vec::new(),
            player: Player::default(),
            changed: watch::channel(0).0,
            volume: None,
            muted: None,
        }
    }

    fn record(&mut self, draft: Draft, epoch: Instant, limit: usize) -> Arc<Entry> {
        let header = match draft.direction {
            Direction::Event => &draft.message["event"]["header"],
            Direction::Directive => &draft.message["directive"]["header"],
        };
        let text = |key: &str| header[key].as_str().unwrap_or_default().to_owned();
        let entry = Arc::new(Entry {
            index: self.next_index,
            direction: draft.direction,
            at: draft.at,
            started: draft.started,
            since_start: draft.at.saturating_duration_since(epoch),
            connection: draft.connection,
            namespace: text("namespace"),
            name: text("name"),
            message_id: text("messageId"),
            attachment_bytes: draft.attachment_bytes,
            status: draft.status,
            violations: draft.violations,
            message: draft.message,
        });
        self.next_index += 1;
        match entry.direction {
            Direction::Event => self.counts.events += 1,
            Direction::Directive => self.counts.directives += 1,
        }
        self.notice(&entry);
        self.entries.push_back(entry.clone());
        while self.entries.len() > limit {
            self.entries.pop_front();
        }
        entry
    }

    fn notice(&mut self, entry: &Entry) {
        let levels = match (entry.direction, entry.namespace.as_str()) {
            (Direction::Event, "Speaker") => Some(entry.payload()),
            (Direction::Event, _) => entry.context("Speaker", "VolumeState"),
            (Direction::Directive, _) => None,
        };
        if let Some(levels) = levels {
            self.volume = levels["volume"].as_u64().or(self.volume);
            self.muted = levels["muted"].as_bool().or(self.muted);
        }
        self.player.notice(entry);
        if entry.direction == Direction::Event {
            let told = entry.context("Bluetooth", "BluetoothState");
            let payload = (entry.namespace == "Bluetooth").then(|| entry.payload());
            for told in told.into_iter().chain(payload) {
                crate::skills::device::learn(&mut self.bluetooth, told);
            }
        }
    }

    /// Index which the next transcript entry will have.
    pub(crate) fn next_index(&self) -> u64 {
        self.next_index
    }

    /// Whether the device declared this interface.
    pub(crate) fn declares(&self, interface: &str) -> bool {
        self.declared.as_ref().is_some_and(|declared| declared.interfaces.contains_key(interface))
    }

    /// Whether a synchronised connection with an open downchannel is there.
    pub(crate) fn connected(&self) -> bool {
        self.connections.values().any(|c| c.closed.is_none() && c.downchannel && c.synchronised)
    }

    /// The downchannel directives go to: the newest that is open.
    pub(crate) fn newest(&self) -> Option<&Downchannel> {
        self.downchannels.iter().rev().find(|down| !down.sender.is_closed())
    }

    pub(crate) fn view(&self) -> DeviceView {
        let interfaces = self.declared.iter().flat_map(|declared| declared.interfaces.clone()).collect();
        DeviceView {
            dsn: self.dsn.to_string(),
            name: self.name.clone(),
            connected: self.connected(),
            interfaces,
            connections: self.connections.values().filter(|c| c.closed.is_none()).count(),
            counts: self.counts,
            violations: self.violations,
            volume: self.volume,
            muted: self.muted,
            player: self.player.activity().map(str::to_owned),
        }
    }
}
