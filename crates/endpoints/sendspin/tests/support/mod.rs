//! A hub of this kind alone, and clients of our own with real sockets.
#![allow(dead_code)] // each test program uses its part

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use antiphon_domain::{HubTime, SpeakerId};
use antiphon_endpoint::{Arrival, Clock, Descriptor, Endpoint, EndpointEvent, Kind, LostReason, Pace};
use antiphon_sendspin::wire::noise::Suite;
use antiphon_sendspin::wire::peer::{Got, Peer};
use antiphon_sendspin::wire::{Credential, Frame};
use antiphon_sendspin::{SendspinKind, SendspinOptions, Unpaired};
use prometheus::Registry;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, accept, client};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

struct Monotonic(Instant);

impl Clock for Monotonic {
    fn now(&self) -> HubTime {
        HubTime::from_nanos(1_000_000_000_000 + self.0.elapsed().as_nanos() as i64)
    }
}

/// A hub of this kind alone.
pub struct House {
    pub runtime: Runtime,
    pub kind: Arc<SendspinKind>,
    pub clock: Arc<dyn Clock>,
    pub registry: Registry,
    pub arrivals: Receiver<Arrival>,
    _folder: tempfile::TempDir,
}

impl House {
    pub fn new(unpaired: Unpaired) -> Self {
        Self::with(SendspinOptions { unpaired, ..SendspinOptions::default() })
    }

    pub fn with(options: SendspinOptions) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = SendspinOptions {
            port: 0,
            interfaces: Some(vec!["lo".into()]),
            data_dir: Some(folder.path().into()),
            ..options
        };
        let registry = Registry::new();
        let kind = Arc::new(SendspinKind::new(runtime.handle().clone(), options, &registry).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(Monotonic(Instant::now()));
        let (told, arrivals) = channel();
        let told = std::sync::Mutex::new(told);
        let adverts = kind.listen(
            Arc::clone(&clock),
            Arc::new(move |arrival| {
                // The test may have lost interest.
                let _ = told.lock().unwrap().send(arrival);
            }),
        );
        assert_eq!(adverts[0].service, "_sendspin-server._tcp.local.");
        Self { runtime, kind, clock, registry, arrivals, _folder: folder }
    }

    pub fn at(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.kind.port().unwrap()))
    }

    pub fn here(&self) -> Descriptor {
        loop {
            if let Arrival::Here(descriptor) = self.arrivals.recv_timeout(PATIENCE).unwrap() {
                return descriptor;
            }
        }
    }

    pub fn open(&self, descriptor: &Descriptor) -> (Box<dyn Endpoint>, Receiver<EndpointEvent>) {
        let (told, events) = channel();
        let told = std::sync::Mutex::new(told);
        let sink = Arc::new(move |event| {
            let _ = told.lock().unwrap().send(event);
        });
        (self.kind.open(descriptor, Pace::Steady, Arc::clone(&self.clock), sink), events)
    }

    /// The value of a counter or gauge, all labels together.
    pub fn count(&self, name: &str) -> f64 {
        let of = |metric: &prometheus::proto::Metric| {
            metric.get_counter().get_value() + metric.get_gauge().get_value()
        };
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.map_or(0.0, |family| family.get_metric().iter().map(of).sum())
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < until, "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

pub fn ready(events: &Receiver<EndpointEvent>) {
    loop {
        match events.recv_timeout(PATIENCE).unwrap() {
            EndpointEvent::Ready => return,
            EndpointEvent::Lost(why) => panic!("{why}"),
            _ => {}
        }
    }
}

pub fn lost(events: &Receiver<EndpointEvent>) -> LostReason {
    loop {
        if let EndpointEvent::Lost(why) = events.recv_timeout(PATIENCE).unwrap() {
            return why;
        }
    }
}

/// How a client of ours behaves.
#[derive(Clone)]
pub struct Manner {
    pub secret: [u8; 32],
    pub suite: Suite,
    pub hello: Value,
    pub keys: Vec<Credential>,
    /// What it says once it has roles: its state, or a goodbye.
    pub says: (&'static str, Value),
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            secret: [2; 32],
            suite: Suite::ChaChaPoly,
            hello: Peer::player(),
            keys: vec![Credential::sentinel()],
            says: ("client/state", Peer::state(true, 40, false)),
        }
    }
}

/// What a client of ours is told to do.
pub enum Do {
    Say(&'static str, Value),
    Raw(Message),
    Freeze,
}

/// A client at work in a thread of its own; it hangs up when this is dropped.
pub struct Client {
    pub tells: Sender<Do>,
    pub got: Receiver<Got>,
}

impl Client {
    /// Dials the hub.
    pub fn dials(at: SocketAddr, manner: Manner) -> Self {
        let stream = TcpStream::connect(at).unwrap();
        let (socket, _) = client(format!("ws://{at}/sendspin"), stream).unwrap();
        Self::at_work(socket, manner)
    }

    fn at_work(socket: WebSocket<TcpStream>, manner: Manner) -> Self {
        let (tells, told) = channel();
        let (gets, got) = channel();
        std::thread::spawn(move || work(socket, &manner, &told, &gets));
        Self { tells, got }
    }

    pub fn tell(&self, what: Do) {
        self.tells.send(what).unwrap();
    }

    /// Waits for a message of this type.
    pub fn hears(&self, kind: &str) -> serde_json::Map<String, Value> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.got.recv_timeout(left) {
                Ok(Got::Json(has, payload)) if has == kind => return payload,
                Ok(_) => {}
                Err(why) => panic!("it never heard {kind}: {why}"),
            }
        }
    }

    /// Waits until the connection is over.
    pub fn hung_up(&self) {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.got.recv_timeout(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => panic!("the connection never ended"),
            }
        }
    }
}

fn work(mut socket: WebSocket<TcpStream>, manner: &Manner, told: &Receiver<Do>, gets: &Sender<Got>) {
    let mut peer = Peer::new(manner.secret, manner.suite, manner.hello.clone());
    peer.keys.clone_from(&manner.keys);
    let every = Duration::from_millis(5);
    socket.get_ref().set_read_timeout(Some(every)).unwrap();
    loop {
        loop {
            match told.try_recv() {
                Ok(Do::Say(kind, payload)) => {
                    let _ = peer.json(kind, &payload);
                }
                Ok(Do::Raw(message)) => {
                    let _ = socket.send(message);
                }
                Ok(Do::Freeze) => {
                    // Until the test is done with it.
                    while told.recv().is_ok() {}
                    return;
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => break,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
            }
        }
        while let Some(frame) = peer.frame() {
            let message = match frame {
                Frame::Text(text) => Message::text(text),
                Frame::Binary(bytes) => Message::Binary(bytes),
            };
            if socket.send(message).is_err() {
                return;
            }
        }
        let frame = match socket.read() {
            Ok(Message::Text(text)) => Frame::Text(text.as_str().to_owned()),
            Ok(Message::Binary(bytes)) => Frame::Binary(bytes),
            Ok(_) => continue,
            Err(Error::Io(error))
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                continue;
            }
            Err(_) => return,
        };
        let Ok(got) = peer.receive(&frame) else { return };
        for got in got {
            if let Got::Json(kind, payload) = &got
                && kind == "server/activate"
                && payload["active_roles"].as_array().is_some_and(|roles| !roles.is_empty())
            {
                let _ = peer.json(manner.says.0, &manner.says.1);
            }
            if gets.send(got).is_err() {
                return;
            }
        }
    }
}

/// A client that is dialled, again and again; each connection comes out of the receiver.
pub fn dialled(manner: Manner) -> (Descriptor, Receiver<Client>) {
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let id = Peer::new(manner.secret, manner.suite, Value::Null).id();
    let descriptor = Descriptor {
        id: SpeakerId::new(id.to_string()),
        name: "Fake".into(),
        kind: "sendspin",
        addresses: vec![door.local_addr().unwrap()],
        properties: [("path".to_owned(), "/sendspin".to_owned())].into(),
    };
    let (gives, clients) = channel();
    std::thread::spawn(move || {
        for stream in door.incoming().flatten() {
            let Ok(socket) = accept(stream) else { continue };
            if gives.send(Client::at_work(socket, manner.clone())).is_err() {
                return;
            }
        }
    });
    (descriptor, clients)
}
