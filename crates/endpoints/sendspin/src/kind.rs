//! The kind: which records and texts are Sendspin clients, who dials us, and sessions with them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use antiphon_domain::SpeakerId;
use antiphon_endpoint::{
    Advert, Answer, AnswerError, ArrivalSink, Ask, BadEndpoint, Caps, Clock, Descriptor, Endpoint,
    EndpointEvent, EventSink, HostPort, Kind, LostReason, Pace, ServiceRecord,
};
use antiphon_net::Standing;
use prometheus::Registry;
use tokio::runtime::Handle;
use tracing::error;

use crate::driver::dial::{HOST, PATH, spawn};
use crate::driver::door;
use crate::driver::inbox::{Inbox, SendspinEndpoint, Session};
use crate::hub::{Card, Command, Hub, NAME};
use crate::metrics::{Counted, Metrics};
use crate::options::{SendspinOptions, Unpaired};
use crate::roles::{Shared, batch, lead};
use crate::wire::pairing::Method;
use crate::wire::token::{self, Read};

const SERVICES: &[&str] = &["_sendspin._tcp.local."];
const ADVERT: &str = "_sendspin-server._tcp.local.";
const SCHEME: &str = "sendspin://";
const EXPECTED: &str = "sendspin://HOST:PORT or sendspin://HOST:PORT/PATH, e.g. sendspin://192.168.1.20:8928";
/// The path we serve, and the one clients use as a rule (connection.md).
const USUAL_PATH: &str = "/sendspin";
/// Longer paths are nobody's.
const LONGEST_PATH: usize = 128;

/// Sendspin clients, to whom we are the server.
pub struct SendspinKind {
    hub: Arc<Hub>,
    /// The port of the open doors; 0 while they are shut.
    port: AtomicU16,
    /// Who stands at the doors.
    standing: Standing,
}

impl SendspinKind {
    /// A kind whose connections run on `runtime` and count on `registry`.
    pub fn new(
        runtime: Handle,
        options: SendspinOptions,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new(registry)?;
        let roles = Shared::new(registry)?;
        let hub = Arc::new(Hub::new(runtime, options, metrics, roles));
        Ok(Self { hub, port: AtomicU16::new(0), standing: Standing::default() })
    }

    /// The port that receivers dial, once it is open.
    pub fn port(&self) -> Option<u16> {
        Some(self.port.load(Ordering::Acquire)).filter(|port| *port != 0)
    }

    /// Who we are to clients: the `server_id`.
    pub fn server_id(&self) -> String {
        self.hub.trust().identity().id().to_string()
    }

    /// Gives a connection a command; dials for it where there is none.
    fn command(&self, speaker: &SpeakerId, command: Command) -> Result<(), AnswerError> {
        let gone = || AnswerError::Wrong("it cannot be reached now".into());
        if let Some(connection) = self.hub.connection(speaker) {
            return connection.try_send(command).map_err(|_| gone());
        }
        let (descriptor, addresses) = self.hub.found(speaker).ok_or_else(gone)?;
        let clock = self.hub.clock().ok_or_else(gone)?;
        if addresses.is_empty() && !descriptor.properties.contains_key(HOST) {
            return Err(gone());
        }
        spawn(&self.hub, clock, descriptor, None, Some(command));
        Ok(())
    }

    fn code(&self, speaker: &SpeakerId, card: Card, read: Read) -> Result<(), AnswerError> {
        // What it does not pair by cannot be its code; before it was spoken to, anything may be.
        if let Some(methods) = card.offers.map(|offers| offers.methods()) {
            let (offered, what) = match &read {
                Read::Key(..) => (methods.token, "it pairs by no token"),
                Read::Code(_) => (methods.qr, "it shows no QR code"),
                Read::Dynamic(_) => (methods.digits, "it shows no code of six digits"),
                Read::Static(_) => (methods.fixed, "it has no printed code of eight digits"),
            };
            if !offered {
                return Err(AnswerError::Wrong(what.into()));
            }
        }
        match read {
            Read::Key(client, psk) => {
                if card.id.is_some_and(|id| id != client) {
                    return Err(AnswerError::Wrong("this token is another device's".into()));
                }
                self.command(speaker, Command::Token(psk))
            }
            Read::Code(code) => self.command(speaker, Command::Code(Method::Qr, code.to_vec())),
            Read::Dynamic(code) => self.command(speaker, Command::Code(Method::Digits, code.to_vec())),
            Read::Static(code) => self.command(speaker, Command::Code(Method::Fixed, code.to_vec())),
        }
    }

    fn approve(&self, speaker: &SpeakerId) -> Result<(), AnswerError> {
        let card = self.hub.card(speaker).ok_or_else(|| AnswerError::Unknown(speaker.clone()))?;
        if card.code_wanted {
            return Err(AnswerError::NotAsked);
        }
        if let Some(offers) = card.offers
            && (card.mismatch || !offers.unpaired_access() || self.hub.options.unpaired == Unpaired::Never)
        {
            return match offers.methods().digits {
                true => self.command(speaker, Command::Pair(Method::Digits)),
                false => Err(AnswerError::NotAsked),
            };
        }
        let id = card.id.ok_or(AnswerError::NotAsked)?;
        self.kept(self.hub.trust().approve(id))?;
        if !self.weigh(speaker) {
            self.hub.free(speaker);
        }
        Ok(())
    }

    /// Lets a connection look again at whom we trust; false where there is none, or one that is too busy: it looks when
    /// its next session is opened.
    fn weigh(&self, speaker: &SpeakerId) -> bool {
        self.hub.connection(speaker).is_some_and(|connection| connection.try_send(Command::Weigh).is_ok())
    }

    fn kept(&self, result: std::io::Result<()>) -> Result<(), AnswerError> {
        result.map_err(|why| AnswerError::Wrong(format!("it cannot be kept: {why}")))
    }
}

impl Kind for SendspinKind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn services(&self) -> &'static [&'static str] {
        SERVICES
    }

    fn recognise(&self, record: &ServiceRecord) -> Option<Descriptor> {
        let service = record.service.trim_end_matches('.').trim_end_matches(".local");
        if !service.eq_ignore_ascii_case("_sendspin._tcp") || record.instance.is_empty() {
            return None;
        }
        let path = record.txt.get(PATH).map_or(USUAL_PATH, String::as_str);
        if !is_path(path) {
            return None;
        }
        let name = record.txt.get("name").filter(|name| !name.trim().is_empty()).unwrap_or(&record.instance);
        let descriptor = Descriptor {
            id: SpeakerId::new(record.instance.clone()),
            name: name.clone(),
            kind: NAME,
            addresses: record.addresses.clone(),
            properties: BTreeMap::from([(PATH.to_owned(), path.to_owned())]),
        };
        Some(self.hub.noted(descriptor))
    }

    fn configured(&self, text: &str, id: &SpeakerId, name: &str) -> Option<Result<Descriptor, BadEndpoint>> {
        let place = text.strip_prefix(SCHEME)?;
        let (host, path) = match place.find('/') {
            Some(at) if place.len() > at + 1 => place.split_at(at),
            _ => (place.trim_end_matches('/'), USUAL_PATH),
        };
        let Some(host) = HostPort::read(host, None).filter(|_| is_path(path)) else {
            return Some(Err(BadEndpoint { text: text.to_owned(), expected: EXPECTED }));
        };
        let mut descriptor = Descriptor {
            id: id.clone(),
            name: name.to_owned(),
            kind: NAME,
            addresses: Vec::new(),
            properties: BTreeMap::from([(PATH.to_owned(), path.to_owned())]),
        };
        match host {
            HostPort::Address(address) => descriptor.addresses.push(address),
            HostPort::Name(name) => {
                descriptor.properties.insert(HOST.to_owned(), name);
            }
        }
        Some(Ok(self.hub.noted(descriptor)))
    }

    fn caps(&self, descriptor: &Descriptor, pace: Pace) -> Caps {
        // Clients without a volume of their own are given quieter samples by the player role.
        Caps { lead: lead(&self.hub.told(&descriptor.id), pace), own_volume: true }
    }

    fn open(
        &self,
        descriptor: &Descriptor,
        pace: Pace,
        clock: Arc<dyn Clock>,
        events: EventSink,
    ) -> Box<dyn Endpoint> {
        self.hub.set_clock(&clock);
        let caps = self.caps(descriptor, pace);
        let session = Session {
            inbox: Inbox::new(batch(pace), caps.lead, Arc::clone(&self.hub.bell)),
            events,
            pace,
            caps,
            counted: Counted::new(&self.hub.metrics.sessions),
        };
        let refused = self.hub.metrics.refused.with_label_values(&[descriptor.id.as_str()]);
        let endpoint = Box::new(SendspinEndpoint::new(&session, refused));
        let session = match self.hub.connection(&descriptor.id) {
            Some(connection) => match connection.try_send(Command::Open(session)) {
                Ok(()) => return endpoint,
                // That connection is just ending.
                Err(refused) => match refused.into_inner() {
                    Command::Open(session) => session,
                    _ => return endpoint,
                },
            },
            None => session,
        };
        if descriptor.addresses.is_empty() && !descriptor.properties.contains_key(HOST) {
            let cause = "it has to connect by itself, and has not".to_owned();
            let why = LostReason::Unreachable { address: descriptor.name.clone(), cause };
            let Session { events, counted, .. } = session;
            drop(counted);
            self.hub.runtime.spawn(async move { events(EndpointEvent::Lost(why)) });
            return endpoint;
        }
        spawn(&self.hub, clock, descriptor.clone(), Some(session), None);
        endpoint
    }

    fn listen(&self, clock: Arc<dyn Clock>, arrivals: ArrivalSink) -> Vec<Advert> {
        self.hub.set_clock(&clock);
        self.hub.set_arrivals(&arrivals);
        if self.port().is_none() {
            let options = &self.hub.options;
            let doors = match antiphon_net::listen(options.port, options.interfaces.as_deref()) {
                Ok(doors) => doors,
                Err(why) => {
                    self.hub.metrics.door_failures.inc();
                    error!(port = options.port, %why, "no port for Sendspin receivers that dial: those we find \
                           are not concerned");
                    return Vec::new();
                }
            };
            let Some(port) = doors.first().and_then(|door| door.local_addr().ok()).map(|at| at.port()) else {
                return Vec::new();
            };
            self.port.store(port, Ordering::Release);
            door::open(&self.hub, &clock, doors, &self.standing);
        }
        let Some(port) = self.port() else { return Vec::new() };
        let name = self.hub.options.name.clone();
        vec![Advert {
            service: ADVERT,
            instance: name.clone(),
            port,
            txt: BTreeMap::from([(PATH.to_owned(), USUAL_PATH.to_owned()), ("name".to_owned(), name)]),
        }]
    }

    fn asks(&self) -> Vec<Ask> {
        self.hub.asks()
    }

    fn answer(&self, speaker: &SpeakerId, answer: &Answer) -> Result<(), AnswerError> {
        let card = self.hub.card(speaker).ok_or_else(|| AnswerError::Unknown(speaker.clone()))?;
        match answer {
            Answer::Approve => self.approve(speaker),
            Answer::Refuse => {
                let id = card.id.ok_or(AnswerError::NotAsked)?;
                if self.hub.trust().standing(&id).paired {
                    // A pairing is ended by unpairing, which the device is told of.
                    return Err(AnswerError::NotAsked);
                }
                self.kept(self.hub.trust().refuse(id))?;
                self.weigh(speaker);
                Ok(())
            }
            Answer::Code(text) => {
                let read = token::read(text);
                let read =
                    read.ok_or_else(|| AnswerError::Wrong("this is neither a code nor a token".into()))?;
                self.code(speaker, card, read)
            }
            Answer::Unpair => {
                let id = card.id.ok_or(AnswerError::NotAsked)?;
                if let Some(connection) = self.hub.connection(speaker)
                    && connection.try_send(Command::Unpair).is_ok()
                {
                    return Ok(());
                }
                // The client keeps its half, which opens nothing without ours.
                self.kept(self.hub.trust().forget(id))
            }
            _ => Err(AnswerError::NotAsked),
        }
    }
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.len() <= LONGEST_PATH && path.bytes().all(|b| b.is_ascii_graphic())
}
