//! The outside of a link: how it is started and what may be asked of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use antiphon_avs::message::{CaptureId, Event};
use antiphon_avs::session::Secret;
use antiphon_domain::SpeakerId;
use bytes::Bytes;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::authorization::{AuthorizationAnswer, AuthorizationRequest, Grant, LoginError};
use crate::connection::Link;
use crate::event::LinkEvent;
use crate::{LinkConfig, LinkContext, LinkError};

/// Commands that may wait for a link's task.
const MAX_COMMANDS: usize = 64;

/// Takes a link's news. Called on the link's task: it must not block.
pub type Sink = Arc<dyn Fn(LinkEvent) + Send + Sync>;

/// Stores a refresh token, or erases it when the text is empty. What is stored is opaque: beside the token it may name
/// the client to which it was given. A token is used only after `true`; after `false` the text is offered again.
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
    /// What `Persist` was given last, as it was, else the configured first token. The empty text stands for "logged out".
    pub refresh_token: Option<Secret>,
    /// The gateway of the last `LinkEvent::GatewayChanged`.
    pub saved_gateway: Option<String>,
    /// The last `LinkEvent::Declared`: capabilities that have not changed since are not declared again.
    pub declared: Option<String>,
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
    /// The event announces audio, and none is given.
    #[error("the event announces audio, and none is given")]
    NoAudio,
}

/// What may be asked of a link's task.
pub(crate) enum Command {
    Post(Box<Event>, Option<mpsc::Receiver<Bytes>>),
    Begin(Grant, String, oneshot::Sender<Result<AuthorizationRequest, LoginError>>),
    Authorize(Box<AuthorizationAnswer>, oneshot::Sender<Result<(), LoginError>>),
    Redeclare(Arc<Vec<Value>>),
    Retire,
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
        if event.audio.is_some() {
            return Err(PostError::NoAudio);
        }
        self.send(Command::Post(Box::new(event), None))
    }

    /// Posts an event (Recognize) whose audio is sent while it is captured; each piece becomes a DATA frame. The end of
    /// the channel is the end of the audio. The channel is closed from here when the upload is over for any other
    /// reason: the answer is complete, the event is lost, or more than 256 KiB wait. Such an event is never repeated.
    pub fn post_with_audio(&self, mut event: Event, audio: mpsc::Receiver<Bytes>) -> Result<(), PostError> {
        event.audio.get_or_insert(CaptureId(0));
        self.send(Command::Post(Box::new(event), Some(audio)))
    }

    /// Answers `LinkEvent::WantSynchronizeState` with `System.SynchronizeState` and its context.
    pub fn synchronize(&self, event: Event) -> Result<(), PostError> {
        self.send(Command::Synchronize(Box::new(event)))
    }

    /// Makes what a surface needs to send a person to Login with Amazon; good for ten minutes. LWA will send its code to
    /// `redirect_uri`.
    pub fn begin_authorization(
        &self,
        kind: Grant,
        redirect_uri: String,
    ) -> impl Future<Output = Result<AuthorizationRequest, LoginError>> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        let sent = self.send(Command::Begin(kind, redirect_uri, reply));
        async move {
            sent.map_err(|_| LoginError::Closed)?;
            answer.await.unwrap_or(Err(LoginError::Closed))
        }
    }

    /// Takes the code that came back. Ready when its tokens are proved and stored, or why they are not; an account that
    /// was there serves until then.
    pub fn authorize(
        &self,
        answer: AuthorizationAnswer,
    ) -> impl Future<Output = Result<(), LoginError>> + Send + 'static {
        let (reply, result) = oneshot::channel();
        let sent = self.send(Command::Authorize(Box::new(answer), reply));
        async move {
            sent.map_err(|_| LoginError::Closed)?;
            result.await.unwrap_or(Err(LoginError::Closed))
        }
    }

    /// Tells the complete capability list again while the link runs, the same or another.
    pub fn redeclare(&self, capabilities: Arc<Vec<Value>>) -> Result<(), PostError> {
        self.send(Command::Redeclare(capabilities))
    }

    /// Has the account forget this device (`Alexa.Discovery.DeleteReport`, modern stack), then logs out.
    pub fn retire(&self) -> Result<(), PostError> {
        self.send(Command::Retire)
    }

    /// Starts code-based linking; `LinkEvent::LoginCode` follows. An account that is there serves until it succeeded.
    pub fn login(&self) -> Result<(), PostError> {
        self.send(Command::Login)
    }

    /// Closes the connection, forgets the tokens and has the stored one erased; `LinkEvent::LoggedOut` follows.
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
