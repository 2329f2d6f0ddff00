//! Where clients call: the doors, and the bounds on who may stand in them.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use antiphon_endpoint::Clock;
use antiphon_net::Standing;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::warn;

use crate::driver::connection;
use crate::driver::{Clients, House};
use crate::metrics::Metrics;
use crate::options::SnapcastOptions;

/// After an error of the system (out of files, mostly) it is asked again so much later.
const PAUSE: Duration = Duration::from_millis(200);

/// Between two attempts to open a door that could not be opened.
const RETRY: Duration = Duration::from_secs(10);

/// What the kernel keeps for a client that does not read, at most. The kernel doubles it for its own use, and would let
/// it grow to some MiB by itself: seconds of sound that nobody will hear.
const KERNEL_KEEPS: usize = 128 * 1024;

/// Opens the doors for as long as `standing` lives; the port that is open, where one is.
pub fn open(house: &House, clients: &Clients, clock: &Arc<dyn Clock>, standing: &Standing) -> Option<u16> {
    let options = &house.options;
    let places = Arc::new(Semaphore::new(options.most_clients));
    let mut port = None;
    let names: Vec<Option<&String>> = match &options.interfaces {
        None => vec![None],
        Some(names) => names.iter().map(Some).collect(),
    };
    for name in names {
        let wanted = port.unwrap_or(options.port);
        let door = Door {
            house: house.clone(),
            clients: clients.clone(),
            clock: Arc::clone(clock),
            places: Arc::clone(&places),
            interface: name.cloned(),
            port: wanted,
        };
        match door.bind() {
            Ok(listeners) => {
                port = port.or_else(|| listeners.first()?.local_addr().ok().map(|at| at.port()));
                for listener in listeners {
                    standing.add(&house.runtime.spawn(door.clone().keep(listener)));
                }
            }
            Err(error) => {
                door.complain(&error, &house.metrics);
                // One that is open somewhere may be announced; a free port of another number would be in vain.
                if wanted != 0 {
                    port = port.or(Some(wanted));
                    standing.add(&house.runtime.spawn(door.keep_trying()));
                }
            }
        }
    }
    port
}

#[derive(Clone)]
struct Door {
    house: House,
    clients: Clients,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
    interface: Option<String>,
    port: u16,
}

impl Door {
    fn bind(&self) -> io::Result<Vec<TcpListener>> {
        match &self.interface {
            None => antiphon_net::listen(self.port, None),
            Some(name) => antiphon_net::listen(self.port, Some(std::slice::from_ref(name))),
        }
    }

    fn complain(&self, error: &io::Error, metrics: &Metrics) {
        metrics.shut.inc();
        let interface = self.interface.as_deref().unwrap_or("every interface");
        warn!(port = self.port, interface, %error, "snapcast clients cannot call: the door does not open");
    }

    /// Until it opens: an interface may come, another server may go.
    async fn keep_trying(self) {
        loop {
            sleep(RETRY).await;
            if let Ok(listeners) = self.bind() {
                // In this task, so that they end with it.
                let mut opened: JoinSet<()> =
                    listeners.into_iter().map(|one| self.clone().keep(one)).collect();
                while opened.join_next().await.is_some() {}
                return;
            }
        }
    }

    async fn keep(self, listener: TcpListener) {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return self.complain(&error, &self.house.metrics),
        };
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                // Closed at once: it will call again.
                self.house.metrics.refused.inc();
                continue;
            };
            if let Err(error) = prepare(&stream) {
                warn!(%peer, %error, "a snapcast client's connection cannot be used");
                continue;
            }
            let house = self.house.clone();
            let (clients, clock) = (self.clients.clone(), Arc::clone(&self.clock));
            self.house.runtime.spawn(async move {
                connection::run(stream, peer, house, clients, clock).await;
                drop(place);
            });
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // An answer about time must not wait for company.
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_send_buffer_size(KERNEL_KEEPS)
}

/// What of the options the doors need.
pub fn is_shut(options: &SnapcastOptions) -> bool {
    options.interfaces.as_ref().is_some_and(Vec::is_empty)
}
