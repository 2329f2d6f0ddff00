//! The outside of a link: how it is started and what may be asked of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use antiphon_avs::message::Event;
use antiphon_avs::session::Secret;
use antiphon_domain::SpeakerId;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::connection::Link;
use crate::event::LinkEvent;
use crate::{LinkConfig, LinkContext, LinkError};

/// Commands that may wait for a link's task.
const MAX_COMMANDS: usize = 64;

/// Takes a link's news. Called on the link's task: it must not block.
pub type Sink = Arc<dyn Fn(LinkEvent) + Send + Sync>;

/// Stores a rotated refresh token. The token is used only after `true`; after `false` it is offered again.
pub type Persist = Arc<dyn Fn(Secret) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// What a link starts with.
pub struct LinkStart {
    /// Whose link it is; label of its metrics.
    pub speaker: SpeakerId,
    /// Its configuration.
    pub config: LinkConfig,
    /// The name people gave the speaker.
    pub friendly_name: String,
    /// Every capability object, without `Alexa.Discovery`; shared between speakers.
    pub capabilities: Arc<Vec<Value>>,
    /// The stored refresh token, else the configured first one.
    pub refresh_token: Option<Secret>,
    /// The gateway of the last `LinkEvent::GatewayChanged`.
    pub saved_gateway: Option<String>,
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PostError {
    /// Too many commands wait.
    #[error("too many commands wait for the link")]
    Full,
    /// The link has ended.
    #[error("the link has ended")]
    Closed,
}

/// What may be asked of a link's task.
pub(crate) enum Command {
    Post(Box<Event>),
    Synchronize(Box<Event>),
    Login,
    Logout,
    Hurry,
    Shutdown,
}

/// A hold on a link. The link ends after `shutdown`, or when the last handle is dropped.
#[derive(Clone)]
pub struct LinkHandle {
    commands: mpsc::Sender<Command>,
    /// A place in the queue kept free, so that the end can always be said.
    farewell: Arc<Mutex<Option<mpsc::OwnedPermit<Command>>>>,
}

/// Starts a link on the context's runtime.
pub fn spawn(
    context: &Arc<LinkContext>,
    start: LinkStart,
    sink: Sink,
    persist: Persist,
) -> Result<LinkHandle, LinkError> {
    let (commands, inbox) = mpsc::channel(MAX_COMMANDS);
    let farewell = Arc::new(Mutex::new(commands.clone().try_reserve_owned().ok()));
    let link = Link::new(context.clone(), start, sink, persist, inbox)?;
    context.runtime().spawn(link.run());
    Ok(LinkHandle { commands, farewell })
}

impl LinkHandle {
    /// Posts an event; in every state, the link keeps or drops it by its `retry`.
    pub fn post(&self, event: Event) -> Result<(), PostError> {
        self.send(Command::Post(Box::new(event)))
    }

    /// Answers `LinkEvent::WantSynchronizeState` with `System.SynchronizeState` and its context.
    pub fn synchronize(&self, event: Event) -> Result<(), PostError> {
        self.send(Command::Synchronize(Box::new(event)))
    }

    /// Starts code-based linking; `LinkEvent::LoginCode` follows.
    pub fn login(&self) -> Result<(), PostError> {
        self.send(Command::Login)
    }

    /// Closes the connection and forgets the tokens; the caller erases the stored one.
    pub fn logout(&self) -> Result<(), PostError> {
        self.send(Command::Logout)
    }

    /// Ends a backoff wait: the network is back, or a person asked.
    pub fn reconnect_now(&self) -> Result<(), PostError> {
        self.send(Command::Hurry)
    }

    /// Ends the link; `LinkState::Closed` is its last word.
    pub fn shutdown(&self) {
        let permit = self.farewell.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(permit) = permit {
            permit.send(Command::Shutdown);
        }
    }

    fn send(&self, command: Command) -> Result<(), PostError> {
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => PostError::Full,
            mpsc::error::TrySendError::Closed(_) => PostError::Closed,
        })
    }
}
