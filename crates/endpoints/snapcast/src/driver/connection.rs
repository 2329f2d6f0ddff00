//! One connection from its first byte to its last.
//!
//! The caller must say hello soon; then it is a client, whose questions are answered and whose news is told, until it
//! hangs up, breaks the protocol, falls silent, stops reading or calls again.

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

use antiphon_domain::SpeakerId;
use antiphon_endpoint::{Clock, Descriptor, LostReason, Pace};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::driver::client::Client;
use crate::driver::lane::usual_buffer;
use crate::driver::outlet::{Broken, Outlet};
use crate::driver::stamped::Stamped;
use crate::driver::timing::Timing;
use crate::driver::{Clients, House};
use crate::wire::{
    Hello, Received, Request, Settings, WireError, codec_header, error, server_settings, time_answer,
};

/// Code of the error message for who cannot be taken; the protocol names no codes.
const REFUSED: u32 = 1;

/// Everything, until the connection ends.
pub async fn run(stream: TcpStream, peer: SocketAddr, house: House, clients: Clients, clock: Arc<dyn Clock>) {
    let stream = Arc::new(stream);
    let mut stamped = Stamped::new(Arc::clone(&stream));
    let outlet = Outlet::new(Arc::clone(&stream));
    let hello = match timeout(house.options.hello_timeout, hello(&mut stamped, &house)).await {
        Ok(Some(hello)) => hello,
        Ok(None) => return,
        Err(_) => {
            house.metrics.refused.inc();
            debug!(%peer, "a caller did not say hello");
            return;
        }
    };
    let (id, hello) = hello;
    let speaker = SpeakerId::new(hello.id.clone());
    let Some(level) = clients.level_of(&speaker) else {
        house.metrics.refused.inc();
        warn!(%peer, "too many different snapcast clients; one more was refused");
        outlet.send(&error(clock.now(), REFUSED, "too many clients"));
        return;
    };
    let settings = Settings { buffer_ms: usual_buffer(house.options.lead_at(Pace::Steady)), level };
    let metrics = house.metrics.client(speaker.as_str());
    let client = Arc::new(Client::new(descriptor(speaker, hello), outlet, metrics, settings));
    // The client waits for these before anything else.
    client.outlet.send(&server_settings(id, clock.now(), settings));
    // It opens its output now, and knows that output's delay when sound comes. It is told the codec once: snapclient 0.26
    // dies of a second time (`lane`).
    client.outlet.send(&codec_header(clock.now(), house.codec.name, &house.codec.header));
    clients.arrived(&client);
    info!(speaker = %client.descriptor.id, %peer, version = client.descriptor.properties["version"], "snapcast client called");

    let mut ending = client.ending();
    let reason = tokio::select! {
        reason = listen(&mut stamped, &client, &house, clock.as_ref()) => reason,
        broken = client.outlet.run() => LostReason::Disconnected(match broken {
            Broken::Stalled => "the client stopped reading".to_owned(),
            Broken::Failed(cause) => cause,
        }),
        reason = async { ending.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone()) } => {
            reason.unwrap_or_else(|| LostReason::Disconnected("the hub ends".to_owned()))
        }
        () = keep_set(&client, clock.as_ref()) => LostReason::Disconnected("the hub ends".to_owned()),
    };
    info!(speaker = %client.descriptor.id, %reason, "snapcast client left");
    client.metrics.lost.inc();
    // Its session may hold on to it for a while; the client need not.
    let _ = SockRef::from(&*stream).shutdown(Shutdown::Both);
    clients.left(&client);
    client.lose(reason);
}

/// The first message, which must be a hello, and its number; `None` when there was another or none.
async fn hello(stream: &mut Stamped, house: &House) -> Option<(u16, Hello)> {
    loop {
        match stream.next().await {
            Ok((Ok(Received { id, request: Request::Hello(hello), .. }), _)) => return Some((id, hello)),
            // Some ask for the time in the same breath; they ask again.
            Ok((Ok(Received { request: Request::Time, .. }), _)) => {}
            Ok((Ok(_), _)) => {
                house.metrics.garbage("before hello");
                return None;
            }
            Ok((Err(wrong), _)) => {
                count(&wrong, house);
                return None;
            }
            Err(_) => return None,
        }
    }
}

/// Answers and tells, until the connection is lost.
async fn listen(stream: &mut Stamped, client: &Client, house: &House, clock: &dyn Clock) -> LostReason {
    let mut timing = Timing::new();
    loop {
        let (received, age) = match timeout(house.options.silence, stream.next()).await {
            Ok(Ok(news)) => news,
            Ok(Err(error)) => return LostReason::Disconnected(error.to_string()),
            Err(_) => return LostReason::Disconnected("the client fell silent".to_owned()),
        };
        let received = match received {
            Ok(received) => received,
            Err(wrong) => {
                count(&wrong, house);
                return LostReason::Protocol(wrong.to_string());
            }
        };
        match received.request {
            Request::Time => {
                // Told when it was read, not when it came: the client counts from when it reads the answer, and the time
                // that each end takes to wake up is much the same, so that the two cancel.
                let read = clock.now();
                let mut answered = read;
                client.outlet.send_first(|| {
                    answered = clock.now();
                    time_answer(received.id, received.sent, read, answered)
                });
                client.metrics.times.inc();
                timing.asked(received.sent, read - age, answered);
                if client.is_playing()
                    && let Some(report) = timing.report(answered)
                {
                    client.tell(report);
                }
            }
            Request::Info(info) => client.informed(info),
            Request::Useless => house.metrics.garbage("client info"),
            Request::Unknown(_) => house.metrics.garbage("unknown"),
            Request::Hello(_) => {
                house.metrics.garbage("second hello");
                return LostReason::Protocol("a second hello".to_owned());
            }
        }
    }
}

/// Tells the client whenever its settings change.
async fn keep_set(client: &Client, clock: &dyn Clock) {
    let mut settings = client.settings();
    while settings.changed().await.is_ok() {
        settings.mark_unchanged();
        client.tell_settings(clock);
    }
}

fn descriptor(id: SpeakerId, hello: Hello) -> Descriptor {
    let mut properties = BTreeMap::new();
    properties.insert("version".to_owned(), hello.version);
    properties.insert("os".to_owned(), hello.os);
    properties.insert("arch".to_owned(), hello.arch);
    properties.insert("mac".to_owned(), hello.mac);
    properties.insert("client".to_owned(), hello.client);
    // It calls from a port of the moment, where nobody can be asked for it.
    Descriptor { id, name: hello.name, kind: crate::kind::NAME, addresses: Vec::new(), properties }
}

fn count(wrong: &WireError, house: &House) {
    house.metrics.garbage(match wrong {
        WireError::TooLong { .. } => "size",
        WireError::TooShort { .. } => "short",
        WireError::Stamp { .. } => "stamp",
        WireError::Json { .. } => "json",
        WireError::Nameless => "nameless",
    });
}
