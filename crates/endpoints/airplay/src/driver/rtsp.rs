//! One RTSP connection: requests in order, each answered within a time, and every failure as the reason it means. Where
//! the receiver asks for a password, each request is proven by it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use antiphon_domain::Secret;
use antiphon_endpoint::LostReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::driver::Target;
use crate::wire::digest::Challenge;
use crate::wire::rtsp::{Request, Response, ResponseParser};

/// How long the next address waits for the one before it.
const STAGGER: Duration = Duration::from_millis(250);

/// Addresses tried at most.
const ADDRESSES: usize = 6;

/// How we call ourselves. No `AirPlay/NNN` in it: shairport-sync would take us for a certain sender of Apple's.
const USER_AGENT: &str = concat!("Antiphon/", env!("CARGO_PKG_VERSION"));

/// Who we are to a receiver.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The hub, in 16 digits: the instance of the client, and of its remote control.
    pub hub: String,
    /// The number by which the remote control knows the session, where there is one.
    pub remote: Option<u32>,
}

/// What proves that we may.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The password, where one is configured.
    pub password: Option<Secret>,
    /// The receiver compares digests in capitals.
    pub capitals: bool,
}

/// A connection.
pub struct Rtsp {
    stream: TcpStream,
    parser: ResponseParser,
    uri: String,
    identity: Identity,
    remote: Option<String>,
    session: Option<String>,
    cseq: u32,
    patience: Duration,
    pass: Pass,
    challenge: Option<Challenge>,
    /// Whether the last request has gone out as a whole.
    sent: bool,
    /// The shortest time in which a request was answered.
    round_trip: Option<Duration>,
}

/// Connects to the first address that takes us within `patience`.
pub async fn connect(target: &Target, patience: Duration) -> Result<TcpStream, LostReason> {
    let unreachable = |address: String, cause: String| LostReason::Unreachable { address, cause };
    let shown = match (&target.host, target.addresses.first()) {
        (Some(host), _) => host.clone(),
        (None, Some(address)) => address.to_string(),
        (None, None) => {
            return Err(unreachable(target.speaker.to_string(), "no address is known".to_owned()));
        }
    };
    match timeout(patience, race(target)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(unreachable(shown, error.to_string())),
        Err(_) => Err(unreachable(shown, format!("no answer in {} s", patience.as_secs_f32()))),
    }
}

/// Tries the addresses a little after one another; the first that connects wins, dropping the rest.
async fn race(target: &Target) -> io::Result<TcpStream> {
    let mut addresses: Vec<SocketAddr> = target.addresses.clone();
    if let Some(host) = &target.host {
        addresses.extend(tokio::net::lookup_host(host.as_str()).await?);
    }
    let mut attempts = JoinSet::new();
    for (nth, address) in addresses.into_iter().take(ADDRESSES).enumerate() {
        attempts.spawn(async move {
            sleep(STAGGER * nth as u32).await;
            TcpStream::connect(address).await
        });
    }
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = error,
            Err(error) => failure = io::Error::other(error),
        }
    }
    Err(failure)
}

impl Rtsp {
    /// A conversation over `stream` about session number `number`.
    pub fn new(
        stream: TcpStream,
        number: u32,
        identity: Identity,
        pass: Pass,
        patience: Duration,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let uri = match stream.local_addr()?.ip() {
            std::net::IpAddr::V4(ip) => format!("rtsp://{ip}/{number}"),
            std::net::IpAddr::V6(ip) => format!("rtsp://[{ip}]/{number}"),
        };
        Ok(Self {
            stream,
            parser: ResponseParser::default(),
            uri,
            remote: identity.remote.map(|number| number.to_string()),
            identity,
            session: None,
            cseq: 0,
            patience,
            pass,
            challenge: None,
            sent: true,
            round_trip: None,
        })
    }

    /// The shortest time in which a request was answered so far: nothing on the way there or back takes longer.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// The connection itself, when the conversation is over.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Our address and the receiver's.
    pub fn ends(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.stream.local_addr()?, self.stream.peer_addr()?))
    }

    /// Asks, and waits for the answer; anything but success is the reason the session ends.
    pub async fn ask(
        &mut self,
        method: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, &[u8])>,
    ) -> Result<Response, LostReason> {
        let patience = self.patience;
        let Some(response) = self.request(method, headers, body, patience).await? else {
            return Err(unanswered(method, patience));
        };
        match response.status {
            200..=299 => Ok(response),
            401 | 403 => Err(LostReason::PasswordRequired),
            453 => Err(LostReason::Busy),
            406 | 415 => Err(LostReason::Format(format!("{method} was answered {}", response.status))),
            // Apple's for receivers that take only who was paired with them; recalled.
            470 => Err(LostReason::Unpaired("it wants to be paired, which AirPlay 1 cannot".to_owned())),
            503 => Err(LostReason::Unavailable(format!("{method} was answered 503"))),
            status => Err(LostReason::Protocol(format!("{method} was answered {status}"))),
        }
    }

    /// Asks, and takes any answer; one that asks for a password gets it, once for each challenge. `None` where the receiver
    /// took the request and did not answer in time: it may be asked on, and what it answers later is passed over.
    pub async fn request(
        &mut self,
        method: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, &[u8])>,
        patience: Duration,
    ) -> Result<Option<Response>, LostReason> {
        let Some(response) = self.timed(method, headers, body, patience).await? else { return Ok(None) };
        if response.status != 401 || self.pass.password.is_none() {
            return Ok(Some(response));
        }
        let Some(challenge) = response.header("WWW-Authenticate").and_then(Challenge::parse) else {
            return Ok(Some(response));
        };
        if self.challenge.as_ref() == Some(&challenge) {
            // It has seen the answer to this very one.
            return Ok(Some(response));
        }
        self.challenge = Some(challenge);
        self.timed(method, headers, body, patience).await
    }

    async fn timed(
        &mut self,
        method: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, &[u8])>,
        patience: Duration,
    ) -> Result<Option<Response>, LostReason> {
        let begun = Instant::now();
        match timeout(patience, self.exchange(method, headers, body)).await {
            Ok(response) => {
                let took = begun.elapsed();
                self.round_trip = Some(self.round_trip.map_or(took, |least| least.min(took)));
                response.map(Some)
            }
            Err(_) if self.sent => Ok(None),
            // The rest of it would be taken for the next.
            Err(_) => Err(unanswered(method, patience)),
        }
    }

    async fn exchange(
        &mut self,
        method: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, &[u8])>,
    ) -> Result<Response, LostReason> {
        self.cseq += 1;
        let uri = if method == "OPTIONS" { "*" } else { self.uri.as_str() };
        let hub = self.identity.hub.as_str();
        let mut all = vec![("User-Agent", USER_AGENT), ("Client-Instance", hub)];
        if let Some(remote) = &self.remote {
            all.extend([("DACP-ID", hub), ("Active-Remote", remote.as_str())]);
        }
        if let Some(session) = &self.session {
            all.push(("Session", session));
        }
        let proof = match (&self.challenge, &self.pass.password) {
            (Some(challenge), Some(password)) => {
                Some(challenge.answer(password, method, uri, self.pass.capitals))
            }
            _ => None,
        };
        if let Some(proof) = &proof {
            all.push(("Authorization", proof));
        }
        all.extend_from_slice(headers);
        let request = Request { method, uri, cseq: self.cseq, headers: &all, body };
        let bytes = request.bytes();
        self.sent = false;
        self.stream.write_all(&bytes).await.map_err(disconnected)?;
        self.sent = true;
        loop {
            let response = self.next().await?;
            // An answer to an earlier request that came too late is passed over.
            if response.cseq().is_some_and(|cseq| cseq < self.cseq) {
                continue;
            }
            if let Some(session) = response.header("Session") {
                let id = session.split(';').next().unwrap_or(session);
                self.session = Some(id.to_owned());
            }
            return Ok(response);
        }
    }

    /// The next response. Nothing that arrived is lost when this is given up while it waits.
    async fn next(&mut self) -> Result<Response, LostReason> {
        loop {
            if let Some(response) = self.parser.poll().map_err(|e| LostReason::Protocol(e.to_string()))? {
                return Ok(response);
            }
            let mut chunk = [0; 2048];
            match self.stream.read(&mut chunk).await {
                Ok(0) => return Err(LostReason::Disconnected("the receiver closed it".to_owned())),
                Ok(length) => self.parser.feed(&chunk[..length]),
                Err(error) => return Err(disconnected(error)),
            }
        }
    }

    /// Waits, when there is nothing to ask, until the connection ends; answers nobody asked for are passed over.
    pub async fn ended(&mut self) -> LostReason {
        loop {
            if let Err(reason) = self.next().await {
                return reason;
            }
        }
    }
}

fn unanswered(method: &str, patience: Duration) -> LostReason {
    LostReason::Disconnected(format!("no answer to {method} in {} s", patience.as_secs_f32()))
}

fn disconnected(error: io::Error) -> LostReason {
    LostReason::Disconnected(error.to_string())
}
