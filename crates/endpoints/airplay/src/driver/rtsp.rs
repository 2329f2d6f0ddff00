//! One RTSP connection: requests in order, each answered within a time, and every failure as the reason it means.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use antiphon_endpoint::LostReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::driver::Target;
use crate::wire::rtsp::{Request, Response, ResponseParser};

/// How long the next address waits for the one before it.
const STAGGER: Duration = Duration::from_millis(250);

/// Addresses tried at most.
const ADDRESSES: usize = 6;

/// How we call ourselves. No `AirPlay/NNN` in it: shairport-sync would take us for a certain sender of Apple's.
const USER_AGENT: &str = concat!("Antiphon/", env!("CARGO_PKG_VERSION"));

/// A connection.
pub struct Rtsp {
    stream: TcpStream,
    parser: ResponseParser,
    uri: String,
    instance: String,
    session: Option<String>,
    cseq: u32,
    patience: Duration,
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
    /// A conversation over `stream` about session number `number`, told by the client instance `instance`.
    pub fn new(stream: TcpStream, number: u32, instance: u64, patience: Duration) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let uri = match stream.local_addr()?.ip() {
            std::net::IpAddr::V4(ip) => format!("rtsp://{ip}/{number}"),
            std::net::IpAddr::V6(ip) => format!("rtsp://[{ip}]/{number}"),
        };
        let parser = ResponseParser::default();
        let instance = format!("{instance:016X}");
        Ok(Self { stream, parser, uri, instance, session: None, cseq: 0, patience })
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
        body: Option<(&str, &str)>,
    ) -> Result<Response, LostReason> {
        let patience = self.patience;
        let response = match timeout(patience, self.exchange(method, headers, body)).await {
            Ok(response) => response?,
            Err(_) => {
                let seconds = patience.as_secs_f32();
                return Err(LostReason::Disconnected(format!("no answer to {method} in {seconds} s")));
            }
        };
        match response.status {
            200..=299 => Ok(response),
            401 | 403 => Err(LostReason::PasswordRequired),
            453 => Err(LostReason::Busy),
            406 | 415 => Err(LostReason::Format(format!("{method} was answered {}", response.status))),
            status => Err(LostReason::Protocol(format!("{method} was answered {status}"))),
        }
    }

    async fn exchange(
        &mut self,
        method: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, &str)>,
    ) -> Result<Response, LostReason> {
        self.cseq += 1;
        let session = self.session.clone();
        let mut all = vec![("User-Agent", USER_AGENT), ("Client-Instance", self.instance.as_str())];
        if let Some(session) = &session {
            all.push(("Session", session));
        }
        all.extend_from_slice(headers);
        let uri = if method == "OPTIONS" { "*" } else { self.uri.as_str() };
        let request = Request { method, uri, cseq: self.cseq, headers: &all, body };
        let bytes = request.bytes();
        self.stream.write_all(&bytes).await.map_err(disconnected)?;
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

fn disconnected(error: io::Error) -> LostReason {
    LostReason::Disconnected(error.to_string())
}
