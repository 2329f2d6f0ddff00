//! Dialling a client that announces itself.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use antiphon_endpoint::{Clock, Descriptor, EndpointEvent, LostReason};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_tungstenite::client_async_with_config;
use tracing::warn;

use super::connection::{Begin, serve};
use super::inbox::{Inbox, Session};
use super::socket::limits;
use crate::hub::{Command, Hub};

/// How long one address may take, and then the WebSocket's handshake.
const PATIENCE: Duration = Duration::from_secs(5);

/// The property that holds the path of the WebSocket.
pub const PATH: &str = "path";
/// The property that holds a host name to be resolved when a connection is made.
pub const HOST: &str = "host";

/// Dials in a task of its own for a session, for an errand of a person's, or for both; serves the connection until it ends.
pub fn spawn(
    hub: &Arc<Hub>,
    clock: Arc<dyn Clock>,
    descriptor: Descriptor,
    session: Option<Session>,
    errand: Option<Command>,
) {
    // Boxed, since a connection that ends may dial again.
    let task: Pin<Box<dyn Future<Output = ()> + Send>> =
        Box::pin(dial(Arc::clone(hub), clock, descriptor, session, errand));
    hub.runtime.spawn(task);
}

async fn dial(
    hub: Arc<Hub>,
    clock: Arc<dyn Clock>,
    descriptor: Descriptor,
    session: Option<Session>,
    errand: Option<Command>,
) {
    let inbox = session.as_ref().map(|session| Arc::clone(&session.inbox));
    let connected = tokio::select! {
        connected = connect(&descriptor) => connected,
        () = given_up(inbox) => return,
    };
    let socket = match connected {
        Ok(socket) => socket,
        Err(why) => {
            if errand.is_some() {
                warn!(speaker = %descriptor.id, %why, "what a person wished of a Sendspin device did not reach it");
            }
            if let Some(session) = session {
                hub.metrics.lost.with_label_values(&[descriptor.id.as_str()]).inc();
                drop(session.counted);
                (session.events)(EndpointEvent::Lost(why));
            }
            return;
        }
    };
    serve(Begin { hub, clock, socket, dialled: Some(descriptor), session, errand }).await;
}

/// Returns when the hub is done with the session that is dialled for.
async fn given_up(inbox: Option<Arc<Inbox>>) {
    let Some(inbox) = inbox else { return std::future::pending().await };
    while !inbox.is_over() {
        inbox.woken().await;
    }
}

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn connect(descriptor: &Descriptor) -> Result<Socket, LostReason> {
    let mut addresses = descriptor.addresses.clone();
    let mut told = addresses.first().map(SocketAddr::to_string).unwrap_or_default();
    if let Some(host) = descriptor.properties.get(HOST).filter(|_| addresses.is_empty()) {
        told.clone_from(host);
        match lookup_host(host).await {
            Ok(found) => addresses.extend(found),
            Err(cause) => {
                return Err(LostReason::Unreachable { address: told, cause: cause.to_string() });
            }
        }
    }
    let mut cause = "it has no address".to_owned();
    for address in addresses {
        match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return upgrade(stream, address, descriptor).await,
            Ok(Err(error)) => cause = error.to_string(),
            Err(_) => cause = "no answer".into(),
        }
        told = address.to_string();
    }
    Err(LostReason::Unreachable { address: told, cause })
}

async fn upgrade(
    stream: TcpStream,
    address: SocketAddr,
    descriptor: &Descriptor,
) -> Result<Socket, LostReason> {
    // Small messages must not wait for big ones' acknowledgement; without it they are only later.
    let _ = stream.set_nodelay(true);
    let path = descriptor.properties.get(PATH).map_or("/sendspin", String::as_str);
    // Without the scope that a link-local address has: that means nothing to the other side.
    let host = SocketAddr::new(address.ip(), address.port());
    let url = format!("ws://{host}{path}");
    match timeout(PATIENCE, client_async_with_config(url, stream, Some(limits()))).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(LostReason::Protocol(format!("no WebSocket: {error}"))),
        // One that was stopped or hangs: its system takes the call, nobody speaks.
        Err(_) => Err(LostReason::Unreachable { address: address.to_string(), cause: "no answer".into() }),
    }
}
