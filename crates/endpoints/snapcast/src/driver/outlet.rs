//! What goes out to one client: whole messages, in order, never waiting.
//!
//! Whoever has something to say writes it straight to the socket; what the socket does not take is kept, up to a bound,
//! and written by [`Outlet::run`] when there is room. A client that lets more pile up has stopped reading: the outlet is
//! broken from then on, and nothing more is kept.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::wire::TIME_ANSWER;

/// Bytes kept beside what the kernel keeps, at most: 1.5 s of uncompressed sound.
const MOST: usize = 256 * 1024;

/// Why nothing goes out any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The client does not read.
    Stalled,
    /// The system's words.
    Failed(String),
}

/// The way out.
pub struct Outlet {
    stream: Arc<TcpStream>,
    state: Mutex<State>,
    more: Notify,
}

#[derive(Default)]
struct State {
    /// The rest of a message that has begun to go out, then whole ones.
    waiting: VecDeque<Bytes>,
    bytes: usize,
    /// Whether the first of `waiting` is a rest, in front of which nothing may go.
    begun: bool,
    broken: Option<Broken>,
}

impl Outlet {
    /// Writes to `stream`.
    pub fn new(stream: Arc<TcpStream>) -> Self {
        Self { stream, state: Mutex::default(), more: Notify::new() }
    }

    /// Sends a message.
    pub fn send(&self, message: &[u8]) {
        self.put(&mut self.lock(), message, &Bytes::new(), false);
    }

    /// Sends a message of two parts.
    pub fn send_parts(&self, head: &[u8], body: &Bytes) {
        self.put(&mut self.lock(), head, body, false);
    }

    /// Sends a message in front of all that wait, as its worth is in its moment: it is made when it can go.
    pub fn send_first(&self, make: impl FnOnce() -> [u8; TIME_ANSWER]) {
        let mut state = self.lock();
        let message = make();
        self.put(&mut state, &message, &Bytes::new(), true);
    }

    /// Writes what waits whenever there is room; ends when the outlet is broken.
    pub async fn run(&self) -> Broken {
        loop {
            let waits = {
                let mut state = self.lock();
                self.drain(&mut state);
                if let Some(broken) = &state.broken {
                    return broken.clone();
                }
                !state.waiting.is_empty()
            };
            // It may break while there is no room.
            tokio::select! {
                () = self.more.notified() => {}
                room = self.stream.writable(), if waits => {
                    if let Err(error) = room {
                        return self.fail(&mut self.lock(), &error);
                    }
                }
            }
        }
    }

    fn put(&self, state: &mut State, head: &[u8], body: &Bytes, first: bool) {
        if state.broken.is_some() {
            return;
        }
        let mut written = 0;
        if state.waiting.is_empty() {
            match self.stream.try_write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
                Ok(count) => written = count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.fail(state, &error);
                    self.more.notify_one();
                    return;
                }
            }
            if written == head.len() + body.len() {
                return;
            }
            state.begun = written > 0;
        }
        let left = head.len() + body.len() - written;
        if state.bytes + left > MOST {
            self.stall(state);
            return;
        }
        // One allocation a message, so that what goes to the front never comes between its parts.
        let mut rest = Vec::with_capacity(left);
        rest.extend_from_slice(head.get(written..).unwrap_or_default());
        rest.extend_from_slice(&body[written.saturating_sub(head.len()).min(body.len())..]);
        let end = state.waiting.len();
        // In front of what waits, behind what has begun.
        let at = if first { usize::from(state.begun).min(end) } else { end };
        state.waiting.insert(at, rest.into());
        state.bytes += left;
        self.more.notify_one();
    }

    fn drain(&self, state: &mut State) {
        while let Some(front) = state.waiting.front_mut() {
            match self.stream.try_write(front) {
                Ok(count) => {
                    state.bytes -= count;
                    state.begun = count < front.len();
                    if state.begun {
                        let _ = front.split_to(count);
                    } else {
                        state.waiting.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.fail(state, &error);
                    return;
                }
            }
        }
    }

    fn stall(&self, state: &mut State) {
        state.broken = Some(Broken::Stalled);
        state.waiting.clear();
        state.bytes = 0;
        self.more.notify_one();
    }

    fn fail(&self, state: &mut State, error: &io::Error) -> Broken {
        let broken = Broken::Failed(error.to_string());
        state.broken = Some(broken.clone());
        state.waiting.clear();
        state.bytes = 0;
        broken
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
