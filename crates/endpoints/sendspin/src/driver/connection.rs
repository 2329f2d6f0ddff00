//! The task of one connection, from the WebSocket's handshake to its end.
//!
//! It alone owns the socket, the protocol's machine ([`Link`]) and the client's roles; what the hub wants comes through
//! commands and the session's inbox. It waits for whatever comes first and always ends: peers have a time limit for
//! each thing they owe us.

use std::sync::Arc;
use std::time::Duration;

use antiphon_domain::{HubTime, SpeakerId};
use antiphon_endpoint::{Clock, Descriptor, EndpointEvent, LostReason};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tracing::{debug, info};

use super::dial::spawn;
use super::inbox::Session;
use super::keeper::Keeper;
use super::socket::{Heard, Socket};
use crate::hub::{Command, Hub};
use crate::metrics::Counted;
use crate::roles::Roles;
use crate::wire::{Activity, ClientHello, Fault, Goodbye, Link, PeerId};

mod output;
mod session;
mod trust;

/// From the WebSocket's handshake to the hello.
const HELLO: Duration = Duration::from_secs(10);
/// From an activation with roles until the client says that it can be had: it must agree with us on the time first.
const STATE: Duration = Duration::from_secs(8);
/// How long something that was sent may wait for the system to take it: the client does not read.
const UNREAD: Duration = Duration::from_secs(5);
/// How long a change of keys may take.
const REKEY: Duration = Duration::from_secs(15);
/// How long a pairing may take altogether: the longest window the text recommends.
const PAIRING: Duration = Duration::from_secs(300);
/// How long a connection that we dialled is kept for a person's answer, or for the end of what else the client plays.
const LINGER: Duration = Duration::from_secs(90);
/// How long it is kept for a session, once the hub was told that there can be one.
const HANDOVER: Duration = Duration::from_secs(3);
/// Between two looks at what there is to do when nothing else comes.
const IDLE: Duration = Duration::from_millis(500);
/// How much later than blocks are complete we may be woken for them: by the bell, and on a machine that is busy.
const GRACE: Duration = Duration::from_millis(25);
/// How long a client may take to hang up once it was asked to forget us.
const PARTING: Duration = Duration::from_secs(5);
/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Frames we owe a client, at most: it asks faster than it reads.
const OWED: usize = 256;
/// Bytes written before the system is asked to take them.
const BATCH: usize = 64 * 1024;

/// Commands that may wait.
pub const COMMANDS: usize = 16;

/// Why a connection is over.
#[derive(Debug)]
enum End {
    /// We closed it.
    Ours,
    /// The client left, or failed.
    Lost(LostReason),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Lost(LostReason::Protocol(fault.to_string()))
    }
}

/// What a connection begins with.
pub struct Begin {
    /// Everything shared.
    pub hub: Arc<Hub>,
    /// The hub's clock.
    pub clock: Arc<dyn Clock>,
    /// The socket, its handshake done.
    pub socket: WebSocketStream<TcpStream>,
    /// Who was dialled; `None` when the client dialled.
    pub dialled: Option<Descriptor>,
    /// The session it was dialled for.
    pub session: Option<Session>,
    /// A first command.
    pub errand: Option<Command>,
}

/// One connection.
pub struct Connection {
    hub: Arc<Hub>,
    clock: Arc<dyn Clock>,
    socket: Socket,
    link: Link,
    commands: mpsc::Receiver<Command>,
    sender: mpsc::Sender<Command>,
    dialled: Option<Descriptor>,
    /// Who it is, once it said hello: its speaker, and the number of this connection.
    place: Option<(SpeakerId, u64)>,
    hello: Option<ClientHello>,
    roles: Option<Roles>,
    activity: Activity,
    session: Option<Session>,
    /// Whether the roles were given the session.
    begun: bool,
    ready: bool,
    /// Whether the hub was told that the client can be had now.
    freed: bool,
    /// The longest lead it was known to want when the hub looked last.
    wants: Duration,
    errand: Option<Command>,
    /// What must have happened by when.
    deadline: Option<(HubTime, Awaited)>,
    idle_since: HubTime,
    /// Since when something waits to be taken by the system.
    stuck: Option<HubTime>,
    keeper: Keeper,
    sent: Option<prometheus::IntCounter>,
    _counted: Counted,
}

/// What a peer owes us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Hello,
    State,
    Rekeyed,
    Paired,
    /// It was asked to forget us, and hangs up.
    Gone,
}

/// Serves a connection until it ends.
pub async fn serve(begin: Begin) {
    let Begin { hub, clock, socket, dialled, session, errand } = begin;
    let (sender, commands) = mpsc::channel(COMMANDS);
    let keys_of = Arc::clone(&hub);
    let keys = Arc::new(move |client: &PeerId| keys_of.trust().credential(client));
    let expected = dialled.as_ref().and_then(|dialled| PeerId::parse(dialled.id.as_str()));
    let link = Link::new(hub.trust().identity().clone(), hub.options.name.clone(), keys, expected);
    let now = clock.now();
    let connection = Connection {
        socket: Socket::new(socket),
        link,
        commands,
        sender,
        dialled,
        place: None,
        hello: None,
        roles: None,
        activity: Activity::Idle,
        session,
        begun: false,
        ready: false,
        freed: false,
        wants: Duration::ZERO,
        errand,
        deadline: Some((now + HELLO, Awaited::Hello)),
        idle_since: now,
        stuck: None,
        keeper: Keeper::new(now),
        sent: None,
        _counted: Counted::new(&hub.metrics.connections),
        hub,
        clock,
    };
    connection.run().await;
}

impl Connection {
    async fn run(mut self) {
        let end = self.talk().await;
        if let Some((speaker, number)) = &self.place {
            self.hub.gone(speaker, *number);
        }
        // Of a fault, the answer that is owed goes out; of anything else, what was sent before.
        let _ = self.push();
        let mut late = self.latecomer();
        if let End::Lost(why) = end {
            debug!(client = ?self.link.client(), %why, "a Sendspin connection is over");
            self.lose(why.clone());
            self.session = late.take();
            self.lose(why);
        }
        if timeout(FAREWELL, self.socket.close()).await.is_err() {
            debug!("a Sendspin client does not take its farewell");
        }
        let Some(session) = late else { return };
        match self.dialled {
            Some(descriptor) => {
                spawn(&self.hub, self.clock, descriptor, Some(session), None);
            }
            None => {
                let why = LostReason::Disconnected("it has hung up".into());
                (session.events)(EndpointEvent::Lost(why));
            }
        }
    }

    async fn talk(&mut self) -> End {
        loop {
            let now = self.clock.now();
            if let Err(end) = self.walk(now) {
                return end;
            }
            let wake = self.wake(now);
            let inbox = self.session.as_ref().map(|session| Arc::clone(&session.inbox));
            let woken = async {
                match inbox {
                    Some(inbox) => inbox.woken().await,
                    None => std::future::pending().await,
                }
            };
            let done = tokio::select! {
                heard = self.socket.hear() => self.heard(heard),
                Some(command) = self.commands.recv() => self.command(command),
                () = woken => Ok(()),
                () = sleep(wake) => Ok(()),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// How long nothing needs to be done unless something comes.
    fn wake(&self, now: HubTime) -> Duration {
        let mut wake = IDLE;
        if let Some(session) = self.session.as_ref().filter(|_| self.begun) {
            if self.activity == Activity::Playback {
                // Whole batches of blocks wake us; what is less than one, as no more comes, is found a little later.
                wake = wake.min(session.inbox.every() + GRACE);
            }
            if let Some(at) = session.inbox.worth_taking_at() {
                wake = wake.min(at.since(now));
            }
        }
        if let Some(at) = self.roles.as_ref().and_then(Roles::wake) {
            wake = wake.min(at.since(now));
        }
        if let Some((at, _)) = self.deadline {
            wake = wake.min(at.since(now));
        }
        // Less cannot be told apart by the timer.
        wake.max(Duration::from_millis(1))
    }

    fn heard(&mut self, heard: Heard) -> Result<(), End> {
        let now = self.clock.now();
        match heard {
            Heard::Nothing => return Ok(()),
            Heard::Over(why) => {
                let why = why.unwrap_or_else(|| "it hung up".into());
                return Err(End::Lost(LostReason::Disconnected(why)));
            }
            Heard::Pong(mark) => self.keeper.pong(&mark, now),
            Heard::Frame(frame) => {
                if let Err(fault) = self.link.receive(&frame, now) {
                    self.hub.metrics.fault(fault.label());
                    if fault == Fault::Outdated {
                        info!(
                            "a Sendspin client speaks the protocol of before encryption: it needs an update"
                        );
                    }
                    return Err(fault.into());
                }
                while let Some(news) = self.link.news() {
                    self.news(news, now)?;
                }
            }
        }
        self.keeper.heard(now);
        Ok(())
    }

    /// Does all that is to be done now.
    fn walk(&mut self, now: HubTime) -> Result<(), End> {
        self.check(now)?;
        self.take(now)?;
        if self.link.is_open() {
            self.speak(now)?;
        }
        self.push()?;
        self.report(now);
        Ok(())
    }

    /// Sees to the time limits.
    fn check(&mut self, now: HubTime) -> Result<(), End> {
        if let Some((at, what)) = self.deadline
            && now >= at
        {
            self.deadline = None;
            match what {
                Awaited::Paired => self.stop_pairing(now)?,
                Awaited::State => self.not_available()?,
                Awaited::Gone => return Err(End::Ours),
                _ => {
                    self.hub.metrics.fault("silent");
                    return Err(End::Lost(LostReason::Protocol(format!("it owes us its {what:?}"))));
                }
            }
        }
        match (self.socket.is_clear(), self.stuck) {
            (true, _) => self.stuck = None,
            (false, None) => self.stuck = Some(now),
            (false, Some(since)) if now.since(since) > UNREAD => {
                self.hub.metrics.fault("unread");
                return Err(End::Lost(LostReason::Disconnected("it does not read what it is sent".into())));
            }
            (false, Some(_)) => {}
        }
        if self.keeper.is_dead(now) {
            return Err(End::Lost(LostReason::Disconnected("it does not answer any more".into())));
        }
        let lingers = self.session.is_some() || self.link.pairing().is_some() || self.errand.is_some();
        if lingers || self.dialled.is_none() {
            self.idle_since = now;
        }
        let patience = match &self.roles {
            // One that plays something else says when that is over.
            Some(roles) if roles.told().available == Some(false) => LINGER,
            Some(_) if self.freed => HANDOVER,
            Some(_) => Duration::ZERO,
            None => LINGER,
        };
        if self.dialled.is_some()
            && self.place.is_some()
            && !lingers
            && now.since(self.idle_since) >= patience
        {
            return Err(End::Ours);
        }
        Ok(())
    }

    /// The client leaves; why the session is lost by that.
    fn left(reason: Goodbye) -> LostReason {
        info!(?reason, "a Sendspin client says goodbye");
        match reason {
            Goodbye::AnotherServer | Goodbye::ConcurrentAttempt => LostReason::Busy,
            Goodbye::Shutdown => LostReason::Unavailable("it was switched off".into()),
            Goodbye::UserRequest => LostReason::Unavailable("somebody disconnected it".into()),
            Goodbye::Restart | Goodbye::Unknown => LostReason::Disconnected("it restarts".into()),
            Goodbye::Unauthorized | Goodbye::PairingRequired => {
                LostReason::Unpaired("it plays only for hubs it is paired with".into())
            }
            Goodbye::Unpaired => LostReason::Unpaired("it has forgotten this hub".into()),
        }
    }
}
