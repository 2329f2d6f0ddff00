//! The remote control that receivers have for us: a small HTTP server, and which session a command means.
//!
//! Driven by the runtime. Each session tells its receiver a number of its own (`Active-Remote`); a command without the
//! number of a session that lives is refused and counted. So many connections at once, so long each, so much of it.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use antiphon_domain::Level;
use antiphon_endpoint::{EndpointEvent, EventSink};
use antiphon_net::Standing;
use prometheus::IntCounter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::wire::dacp::{Request, RequestParser, Wish, answer};

/// Connections at once.
const CONNECTIONS: usize = 32;

/// How long a request may take to come as a whole; receivers ask and hang up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Requests of one connection at most, so that nobody keeps it for ever.
const REQUESTS: u32 = 1_000;

/// Between two connections after the system refused one.
const BREATH: Duration = Duration::from_millis(100);

/// A session as commands reach it.
#[derive(Clone)]
struct Remote {
    events: EventSink,
    level: watch::Receiver<Option<Level>>,
    taken: IntCounter,
}

/// The sessions that may be commanded, by their numbers; cheap to clone.
#[derive(Clone, Default)]
pub struct Remotes(Arc<Mutex<BTreeMap<u32, Remote>>>);

/// A session's number, valid while this lives.
pub struct Number {
    remotes: Remotes,
    number: u32,
}

impl Number {
    /// The number, as the receiver is told it.
    pub fn get(&self) -> u32 {
        self.number
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.remotes.lock().remove(&self.number);
    }
}

impl Remotes {
    /// A number for a session; commands become `events`, `level` is what the session wants.
    pub fn number(
        &self,
        events: EventSink,
        level: watch::Receiver<Option<Level>>,
        taken: IntCounter,
    ) -> Number {
        let mut sessions = self.lock();
        let mut number = rand::random();
        while number == 0 || sessions.contains_key(&number) {
            number = rand::random();
        }
        sessions.insert(number, Remote { events, level, taken });
        Number { remotes: self.clone(), number }
    }

    /// Takes commands at `doors` while what is returned lives.
    pub fn serve(
        &self,
        runtime: &Handle,
        doors: Vec<TcpListener>,
        refused: &IntCounter,
    ) -> io::Result<Standing> {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let _inside = runtime.enter();
        let open = Standing::default();
        for door in doors {
            let door = tokio::net::TcpListener::from_std(door)?;
            let (remotes, room, refused) = (self.clone(), Arc::clone(&room), refused.clone());
            let waiting = runtime.spawn(async move {
                loop {
                    let stream = match door.accept().await {
                        Ok((stream, _)) => stream,
                        Err(error) => {
                            warn!(%error, "no connection for the remote control");
                            tokio::time::sleep(BREATH).await;
                            continue;
                        }
                    };
                    // One too many is closed at once.
                    let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                        refused.inc();
                        continue;
                    };
                    let (remotes, refused) = (remotes.clone(), refused.clone());
                    tokio::spawn(async move {
                        if let Err(error) = remotes.converse(stream, &refused).await {
                            debug!(%error, "a remote control's connection ended");
                        }
                        drop(place);
                    });
                }
            });
            open.add(&waiting);
        }
        Ok(open)
    }

    async fn converse(&self, mut stream: TcpStream, refused: &IntCounter) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut parser = RequestParser::default();
        for _ in 0..REQUESTS {
            let request = match timeout(PATIENCE, next(&mut stream, &mut parser)).await {
                Ok(Ok(Some(request))) => request,
                Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    refused.inc();
                    timeout(PATIENCE, stream.write_all(answer(400).as_bytes())).await??;
                    return Err(error);
                }
                // The end, between requests or in the midst of one.
                ended => {
                    if !parser.is_empty() {
                        refused.inc();
                    }
                    return ended?.map(drop);
                }
            };
            let status = self.obey(request.remote, request.wish(), refused);
            timeout(PATIENCE, stream.write_all(answer(status).as_bytes())).await??;
            if request.last {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Does what is wished; the status to answer.
    fn obey(&self, number: Option<u32>, wish: Option<Wish>, refused: &IntCounter) -> u16 {
        let remote = number.and_then(|number| self.lock().get(&number).cloned());
        let Some(remote) = remote else {
            refused.inc();
            return 403;
        };
        // 400 is how a plain remote control is told from one that knows iTunes' library, and receivers ask for that.
        let Some(wish) = wish else { return 400 };
        remote.taken.inc();
        let level = *remote.level.borrow();
        for event in events(wish, level) {
            (remote.events)(event);
        }
        204
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Remote>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next request; `None` when the receiver has hung up, `InvalidData` when that is no request.
async fn next(stream: &mut TcpStream, parser: &mut RequestParser) -> io::Result<Option<Request>> {
    let mut chunk = [0; 1024];
    loop {
        let request = parser.poll().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if request.is_some() {
            return Ok(request);
        }
        let length = stream.read(&mut chunk).await?;
        if length == 0 {
            return Ok(None);
        }
        parser.feed(&chunk[..length]);
    }
}

/// What a wish changes. Receivers tell volumes that we set too: an echo is no change.
fn events(wish: Wish, level: Option<Level>) -> Vec<EndpointEvent> {
    let muted = level.is_some_and(|level| level.muted);
    match wish {
        Wish::Button(button) => vec![EndpointEvent::Pressed(button)],
        Wish::ToggleMute => vec![EndpointEvent::Muted(!muted)],
        Wish::Muted(now) => {
            // Volume 0 is told to receivers as silence.
            let silent = muted || level.is_some_and(|level| level.volume.get() == 0);
            if now == silent { Vec::new() } else { vec![EndpointEvent::Muted(now)] }
        }
        Wish::Volume(volume) => {
            let mut events = Vec::new();
            if muted {
                events.push(EndpointEvent::Muted(false));
            }
            if level.is_none_or(|level| level.volume != volume) {
                events.push(EndpointEvent::VolumeTurned(volume));
            }
            events
        }
    }
}

#[cfg(test)]
mod tests {
    use antiphon_domain::Volume;

    use super::*;

    #[test]
    fn an_echo_is_no_change() {
        let volume = |v| Volume::new(v).unwrap();
        let level = |v, muted| Some(Level { volume: volume(v), muted });
        assert_eq!(events(Wish::Volume(volume(30)), level(30, false)), []);
        assert_eq!(
            events(Wish::Volume(volume(31)), level(30, false)),
            [EndpointEvent::VolumeTurned(volume(31))]
        );
        assert_eq!(events(Wish::Volume(volume(30)), level(30, true)), [EndpointEvent::Muted(false)]);
        assert_eq!(events(Wish::Muted(true), level(0, false)), []);
        assert_eq!(events(Wish::Muted(true), level(9, false)), [EndpointEvent::Muted(true)]);
        assert_eq!(events(Wish::ToggleMute, level(9, true)), [EndpointEvent::Muted(false)]);
        assert_eq!(events(Wish::Volume(volume(3)), None), [EndpointEvent::VolumeTurned(volume(3))]);
    }

    #[test]
    fn a_number_is_worth_nothing_after_its_session() {
        let remotes = Remotes::default();
        let counter = IntCounter::new("a", "b").unwrap();
        let (_keep, level) = watch::channel(None);
        let number = remotes.number(Arc::new(|_| {}), level, counter.clone());
        let wish = Some(Wish::ToggleMute);
        assert_eq!(remotes.obey(Some(number.get()), wish, &counter), 204);
        assert_eq!(remotes.obey(Some(number.get()), None, &counter), 400);
        assert_eq!(remotes.obey(Some(number.get() ^ 1), wish, &counter), 403);
        assert_eq!(remotes.obey(None, wish, &counter), 403);
        let was = number.get();
        drop(number);
        assert_eq!(remotes.obey(Some(was), wish, &counter), 403);
    }
}
