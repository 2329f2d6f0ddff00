//! Taking the calls of clients that dial us.
//!
//! So many connections at once and no more; one more is closed at once and counted. Each has a time limit until it has
//! said hello.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use antiphon_endpoint::Clock;
use antiphon_net::Standing;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::accept_async_with_config;
use tracing::{debug, warn};

use super::connection::{Begin, serve};
use super::socket::limits;
use crate::hub::Hub;

/// Connections of callers at once.
const MOST: usize = 256;
/// How long the WebSocket's handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// After the system refused to accept one, e.g. for want of file descriptors.
const REST: Duration = Duration::from_millis(200);

/// Takes calls on these listeners for as long as `standing` lives.
pub fn open(hub: &Arc<Hub>, clock: &Arc<dyn Clock>, doors: Vec<TcpListener>, standing: &Standing) {
    let room = Arc::new(Semaphore::new(MOST));
    for door in doors {
        let (hub, clock, room) = (Arc::clone(hub), Arc::clone(clock), Arc::clone(&room));
        let runtime = hub.runtime.clone();
        standing.add(&runtime.spawn(async move {
            if let Err(why) = attend(&hub, &clock, door, room).await {
                hub.metrics.door_failures.inc();
                warn!(%why, "the port for Sendspin receivers is closed");
            }
        }));
    }
}

async fn attend(
    hub: &Arc<Hub>,
    clock: &Arc<dyn Clock>,
    door: TcpListener,
    room: Arc<Semaphore>,
) -> std::io::Result<()> {
    let door = tokio::net::TcpListener::from_std(door)?;
    loop {
        let stream = match door.accept().await {
            Ok((stream, _)) => stream,
            Err(why) => {
                debug!(%why, "a call could not be taken");
                hub.metrics.door_failures.inc();
                sleep(REST).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            hub.metrics.turned_away.inc();
            continue;
        };
        let (hub, clock) = (Arc::clone(hub), Arc::clone(clock));
        tokio::spawn(async move {
            welcome(hub, clock, stream).await;
            drop(permit);
        });
    }
}

async fn welcome(hub: Arc<Hub>, clock: Arc<dyn Clock>, stream: TcpStream) {
    // Without it, messages are only later.
    let _ = stream.set_nodelay(true);
    match timeout(HANDSHAKE, accept_async_with_config(stream, Some(limits()))).await {
        Ok(Ok(socket)) => {
            let begin = Begin { hub, clock, socket, dialled: None, session: None, errand: None };
            serve(begin).await;
        }
        Ok(Err(_)) | Err(_) => hub.metrics.fault("websocket"),
    }
}
