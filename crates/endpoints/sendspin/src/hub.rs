//! Every client this hub has heard of, and what is known of each: shared by the kind, its doors and its connections.
//!
//! Nothing here waits. A client is known by the speaker it is: by its own id, or by the id a person configured for the
//! address it answers at.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use antiphon_domain::SpeakerId;
use antiphon_endpoint::{Arrival, ArrivalSink, Ask, Clock, Descriptor, Wants};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::driver::bell::Bell;
use crate::driver::dial::HOST;
use crate::driver::inbox::Session;
use crate::metrics::Metrics;
use crate::options::{SendspinOptions, Unpaired};
use crate::roles::{Shared, Told};
use crate::trust::{Standing, Trust};
use crate::wire::hello::PairMethods;
use crate::wire::pairing::Method;
use crate::wire::{ClientHello, PeerId, Psk};

/// The kind's name.
pub const NAME: &str = "sendspin";

/// Clients remembered at most, beside those that are here, configured or known to a person: others give way.
const MOST: usize = 1024;

/// What a connection is told.
pub enum Command {
    /// Play for this session.
    Open(Session),
    /// Whom we trust has changed.
    Weigh,
    /// Begin to pair: the client shows its code.
    Pair(Method),
    /// Pair by the key of its token.
    Token(Psk),
    /// The person's code, and how it pairs.
    Code(Method, Vec<u8>),
    /// Forget each other.
    Unpair,
    /// Another connection of the same client counts now.
    Replaced,
}

/// What a client offers, from its hello.
#[derive(Clone, Copy, Debug)]
pub struct Offers {
    unpaired_access: bool,
    methods: PairMethods,
}

/// One client.
pub struct Client {
    /// What it is to the hub.
    pub descriptor: Descriptor,
    /// Its key, once it is known.
    pub id: Option<PeerId>,
    offers: Option<Offers>,
    /// What it told of its player last.
    pub told: Told,
    connection: Option<(u64, mpsc::Sender<Command>)>,
    /// Whether it dialled us, so that only we can say when it comes and goes.
    dialled_us: bool,
    /// Whether a pairing waits for its code.
    code_wanted: bool,
    /// Whether it has forgotten a pairing of ours.
    mismatch: bool,
    /// When it was heard of last, to forget the oldest.
    heard: u64,
}

#[derive(Default)]
struct Known {
    clients: HashMap<SpeakerId, Client>,
    speakers: HashMap<PeerId, SpeakerId>,
    connections: u64,
    heard: u64,
    arrivals: Option<ArrivalSink>,
}

/// Everything shared.
pub struct Hub {
    /// Where connections run.
    pub runtime: Handle,
    /// What the configuration says.
    pub options: SendspinOptions,
    /// What is counted.
    pub metrics: Metrics,
    /// The roles' encoders and numbers.
    pub roles: Shared,
    /// Rung when a group's blocks are there.
    pub bell: Arc<Bell>,
    trust: OnceLock<Trust>,
    /// The hub's clock, from whoever handed it in first.
    clock: OnceLock<Arc<dyn Clock>>,
    known: Mutex<Known>,
}

impl Hub {
    /// Nobody known yet.
    pub fn new(runtime: Handle, options: SendspinOptions, metrics: Metrics, roles: Shared) -> Self {
        let (trust, clock, known) = (OnceLock::new(), OnceLock::new(), Mutex::default());
        let bell = Bell::hang(&runtime);
        Self { runtime, options, metrics, roles, bell, trust, clock, known }
    }

    /// The keys; the file is read when they are asked for first.
    pub fn trust(&self) -> &Trust {
        self.trust.get_or_init(|| Trust::open(self.options.data_dir.as_deref()))
    }

    /// Remembers the clock.
    pub fn set_clock(&self, clock: &Arc<dyn Clock>) {
        self.clock.get_or_init(|| Arc::clone(clock));
    }

    /// The clock, once there is one.
    pub fn clock(&self) -> Option<Arc<dyn Clock>> {
        self.clock.get().cloned()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a client that a record tells of. What it said of itself before is added: that counts more than its record.
    pub fn noted(&self, mut descriptor: Descriptor) -> Descriptor {
        let mut known = self.known();
        let id = PeerId::parse(descriptor.id.as_str());
        let client = known.client(descriptor.clone(), id);
        if client.offers.is_some() {
            descriptor.name.clone_from(&client.descriptor.name);
            for (key, text) in &client.descriptor.properties {
                descriptor.properties.entry(key.clone()).or_insert_with(|| text.clone());
            }
        }
        client.descriptor = descriptor.clone();
        self.forget_some(&mut known);
        descriptor
    }

    /// What a client told of its player last.
    pub fn told(&self, speaker: &SpeakerId) -> Told {
        self.known().clients.get(speaker).map(|client| client.told).unwrap_or_default()
    }

    /// The addresses a client was found at, and the path.
    pub fn found(&self, speaker: &SpeakerId) -> Option<(Descriptor, Vec<SocketAddr>)> {
        let known = self.known();
        let descriptor = known.clients.get(speaker)?.descriptor.clone();
        let addresses = descriptor.addresses.clone();
        Some((descriptor, addresses))
    }

    /// The connection of a client, where it has one.
    pub fn connection(&self, speaker: &SpeakerId) -> Option<mpsc::Sender<Command>> {
        self.known().clients.get(speaker)?.connection.as_ref().map(|(_, commands)| commands.clone())
    }

    /// A client has introduced itself on a connection that we dialled for `dialled`, or that it dialled. Says which
    /// speaker it is, and the number of the connection. An older connection gives way.
    pub fn greeted(
        &self,
        id: PeerId,
        hello: &ClientHello,
        dialled: Option<&SpeakerId>,
        commands: mpsc::Sender<Command>,
    ) -> (SpeakerId, u64) {
        let mut known = self.known();
        known.connections += 1;
        let number = known.connections;
        let speaker = match dialled {
            Some(speaker) => speaker.clone(),
            None => known.speakers.get(&id).cloned().unwrap_or_else(|| SpeakerId::new(id.to_string())),
        };
        known.speakers.insert(id, speaker.clone());
        let mut properties = std::collections::BTreeMap::new();
        let texts = [
            ("product", &hello.device.product),
            ("manufacturer", &hello.device.manufacturer),
            ("version", &hello.device.version),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                properties.insert(key.to_owned(), text.clone());
            }
        }
        let fresh = Descriptor {
            id: speaker.clone(),
            name: hello.name.clone(),
            kind: NAME,
            addresses: Vec::new(),
            properties: properties.clone(),
        };
        let client = known.client(fresh, Some(id));
        client.id = Some(id);
        client.descriptor.name.clone_from(&hello.name);
        client.descriptor.properties.extend(properties);
        client.offers = Some(Offers { unpaired_access: hello.unpaired_access, methods: hello.pair_methods });
        client.dialled_us = dialled.is_none();
        client.code_wanted = false;
        if let Some((_, older)) = client.connection.replace((number, commands)) {
            // One that is too busy to hear this notices when its client hangs up.
            let _ = older.try_send(Command::Replaced);
        }
        let here = client.dialled_us.then(|| client.descriptor.clone());
        self.forget_some(&mut known);
        let arrivals = known.arrivals.clone();
        drop(known);
        if let (Some(arrivals), Some(mut here)) = (arrivals, here) {
            here.addresses.clear();
            arrivals(Arrival::Here(here));
        }
        (speaker, number)
    }

    /// Changes what is known of a client through its connection `number`, if that one counts still.
    pub fn update(&self, speaker: &SpeakerId, number: u64, change: impl FnOnce(&mut Client)) {
        let mut known = self.known();
        if let Some(client) = known.clients.get_mut(speaker)
            && client.connection.as_ref().is_some_and(|(counts, _)| *counts == number)
        {
            change(client);
        }
    }

    /// A connection is over.
    pub fn gone(&self, speaker: &SpeakerId, number: u64) {
        let mut known = self.known();
        let Some(client) = known.clients.get_mut(speaker) else { return };
        if client.connection.as_ref().is_none_or(|(counts, _)| *counts != number) {
            return;
        }
        client.connection = None;
        client.code_wanted = false;
        let gone = client.dialled_us;
        let arrivals = known.arrivals.clone();
        drop(known);
        if let (Some(arrivals), true) = (arrivals, gone) {
            arrivals(Arrival::Gone(speaker.clone()));
        }
    }

    /// Tells the hub that a client can be had now, which was refused before.
    pub fn free(&self, speaker: &SpeakerId) {
        let arrivals = self.known().arrivals.clone();
        if let Some(arrivals) = arrivals {
            arrivals(Arrival::Free(speaker.clone()));
        }
    }

    /// From now on news of those who dial go here; everybody who is here is told to it.
    pub fn set_arrivals(&self, arrivals: &ArrivalSink) {
        let mut known = self.known();
        known.arrivals = Some(Arc::clone(arrivals));
        let here = known.clients.values().filter(|client| client.dialled_us && client.connection.is_some());
        let here: Vec<Descriptor> =
            here.map(|client| Descriptor { addresses: Vec::new(), ..client.descriptor.clone() }).collect();
        drop(known);
        for descriptor in here {
            arrivals(Arrival::Here(descriptor));
        }
    }

    /// Whether a client may play for us on a connection that proves nothing.
    pub fn allows_unpaired(&self, id: &PeerId) -> bool {
        let standing = self.trust().standing(id);
        match self.options.unpaired {
            Unpaired::Ask => standing.approved,
            Unpaired::Allow => !standing.refused,
            Unpaired::Never => false,
        }
    }

    /// Everybody, and what each wants of a person; or that a person's answer can be taken back.
    pub fn asks(&self) -> Vec<Ask> {
        let known = self.known();
        let asks = known.clients.iter().map(|(speaker, client)| {
            let (name, wants) = (client.descriptor.name.clone(), self.wants(client));
            Ask { speaker: speaker.clone(), name, wants }
        });
        let mut asks: Vec<Ask> = asks.collect();
        asks.sort_by(|a, b| a.speaker.cmp(&b.speaker));
        asks
    }

    fn wants(&self, client: &Client) -> Wants {
        let standing = client.id.map(|id| self.trust().standing(&id)).unwrap_or_default();
        if client.code_wanted {
            return Wants::Code;
        }
        if standing.paired && !client.mismatch {
            return Wants::Nothing;
        }
        if standing.refused {
            return Wants::Refused;
        }
        let allowed = client.id.is_some_and(|id| self.allows_unpaired(&id)) && !standing.paired;
        match client.offers {
            // It must be paired anew, whatever it allows.
            Some(offers) if client.mismatch && offers.methods.digits => Wants::Approval,
            Some(_) if client.mismatch => Wants::Code,
            Some(offers) if offers.unpaired_access && allowed => Wants::Nothing,
            Some(offers) if offers.unpaired_access && self.options.unpaired != Unpaired::Never => {
                Wants::Approval
            }
            // It shows its code once that is approved of; one that is printed can be read at any time.
            Some(offers) if offers.methods.digits => Wants::Approval,
            Some(_) => Wants::Code,
            None if allowed => Wants::Nothing,
            None => Wants::Approval,
        }
    }

    /// A client's key, what it offers, and whether it is known at all.
    pub fn card(&self, speaker: &SpeakerId) -> Option<Card> {
        let known = self.known();
        let client = known.clients.get(speaker)?;
        Some(Card {
            id: client.id,
            offers: client.offers,
            code_wanted: client.code_wanted,
            mismatch: client.mismatch,
        })
    }

    fn forget_some(&self, known: &mut Known) {
        if known.clients.len() <= MOST {
            return;
        }
        let is_trusted = |id: &PeerId| self.trust().standing(id) != Standing::default();
        let idle = known.clients.iter().filter(|(_, client)| {
            client.connection.is_none()
                && !client.descriptor.properties.contains_key(HOST)
                && !client.id.as_ref().is_some_and(is_trusted)
        });
        let oldest = idle.min_by_key(|(_, client)| client.heard).map(|(speaker, _)| speaker.clone());
        let Some(speaker) = oldest else { return };
        if let Some(id) = known.clients.remove(&speaker).and_then(|client| client.id) {
            known.speakers.remove(&id);
        }
        self.metrics.forget(speaker.as_str());
    }
}

/// What an answer is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Card {
    /// The client's key.
    pub id: Option<PeerId>,
    /// What it offers, once it was spoken to.
    pub offers: Option<Offers>,
    /// Whether a pairing waits for its code.
    pub code_wanted: bool,
    /// Whether it has forgotten a pairing of ours.
    pub mismatch: bool,
}

impl Offers {
    /// Whether it plays for servers it is not paired with.
    pub fn unpaired_access(&self) -> bool {
        self.unpaired_access
    }

    /// How it pairs.
    pub fn methods(&self) -> PairMethods {
        self.methods
    }
}

impl Client {
    /// A pairing waits for its code, or does not any more.
    pub fn set_code_wanted(&mut self, wanted: bool) {
        self.code_wanted = wanted;
    }

    /// It has forgotten a pairing of ours, or knows it.
    pub fn set_mismatch(&mut self, mismatch: bool) {
        self.mismatch = mismatch;
    }
}

impl Known {
    fn client(&mut self, descriptor: Descriptor, id: Option<PeerId>) -> &mut Client {
        self.heard += 1;
        let heard = self.heard;
        let client = self.clients.entry(descriptor.id.clone()).or_insert_with(|| Client {
            descriptor,
            id,
            offers: None,
            told: Told::default(),
            connection: None,
            dialled_us: false,
            code_wanted: false,
            mismatch: false,
            heard,
        });
        client.heard = heard;
        client
    }
}
