//! What goes into a session and what comes out of it.

use std::sync::Arc;

use antiphon_domain::HubTime;
use bytes::Bytes;
use serde_json::Value;

use super::Secret;
use crate::message::{Directive, Event, StreamId};
use crate::multipart::Fault;

/// One HTTP/2 connection of a session; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// News for a session.
#[derive(Debug)]
pub enum Input {
    /// A fresh access token; also ends a wait.
    Token(Secret),
    /// There is no valid access token now; a fresh one may come.
    NoToken,
    /// Answer to [`Output::Declare`].
    Declared(Result<(), DeclareFailed>),
    /// The TCP, TLS and HTTP/2 handshakes are done.
    Connected(ConnId),
    /// SETTINGS_MAX_CONCURRENT_STREAMS as the server has it now.
    StreamLimit(ConnId, usize),
    /// GOAWAY: no new streams; the open ones that the server still serves go on.
    GoAway(ConnId),
    /// The connection is gone, or never came to be.
    Closed(ConnId),
    /// Answer to [`Output::Liveness`].
    Pong(ConnId),
    /// Response headers.
    Headers {
        /// The stream.
        stream: StreamId,
        /// HTTP status.
        status: u16,
        /// The `content-type`, if any.
        content_type: Option<String>,
    },
    /// Bytes of a response's body.
    Data {
        /// The stream.
        stream: StreamId,
        /// The bytes.
        bytes: Bytes,
    },
    /// The response is complete.
    End(StreamId),
    /// The stream was reset or died with its connection.
    Reset {
        /// The stream.
        stream: StreamId,
        /// Whether the server certainly did nothing with the request (REFUSED_STREAM, or above GOAWAY's last stream).
        unprocessed: bool,
    },
    /// The stream is slow because we hold it back.
    Busy(StreamId),
    /// The connection took a piece of this request's audio.
    Sent(StreamId),
    /// The connection took the last of this request's audio and the end of the body.
    Uploaded(StreamId),
    /// The audio of the event with this messageId piled up or cannot go on: the event is given up.
    Abandon(String),
    /// An ordinary event to send.
    Post(Event),
    /// The complete list of capability objects is another one from now on.
    Redeclare(Arc<Vec<Value>>),
    /// `System.SynchronizeState` with its context, the answer to [`Output::WantSynchronizeState`].
    Synchronize(Event),
    /// Ends a backoff wait: the network is back, or somebody asked.
    Hurry,
    /// Close everything for good.
    Shutdown,
    /// A deadline may have passed.
    Wake,
}

/// Why a Capabilities API call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclareFailed {
    /// 403: the token is bad.
    Unauthorized,
    /// 400: the list is wrong; repeating it unchanged is useless.
    Invalid,
    /// Anything else; repeated with backoff.
    Retry,
}

/// A request to send. All go to the gateway's authority with `authorization: Bearer <token>`.
#[derive(Clone, Debug)]
pub struct Request {
    /// Path and method: `GET` without a body, `POST` with one.
    pub path: &'static str,
    /// The token to use.
    pub token: Secret,
    /// Content type and body of a POST; with `audio`, only what goes before it.
    pub body: Option<(String, Bytes)>,
    /// The audio that follows the body as it is captured.
    pub audio: Option<AudioPart>,
}

/// Audio at the end of a request's body.
#[derive(Clone, Debug)]
pub struct AudioPart {
    /// The messageId of the event it belongs to.
    pub message_id: String,
    /// What goes after the last of it.
    pub closing: Bytes,
}

/// What a session wants done or told, in order.
#[derive(Debug)]
pub enum Output {
    /// Open a connection to a gateway `https://host[:port]`.
    Connect(ConnId, String),
    /// Send a request; its stream id is used in all that follows.
    Request(ConnId, StreamId, Request),
    /// Reset this stream; nothing more is wanted from it.
    Cancel(StreamId),
    /// Drop this connection and all its streams.
    Close(ConnId),
    /// Send an HTTP/2 PING.
    Liveness(ConnId),
    /// Do the Capabilities API call with this token.
    Declare(Secret),
    /// AVS refused this token: refresh now.
    TokenRefused(Secret),
    /// The state changed.
    State(State),
    /// `System.SynchronizeState` is due: answer with [`Input::Synchronize`].
    WantSynchronizeState,
    /// A directive for the device.
    Directive(Directive),
    /// A part that should be a directive and is not.
    Unparsable {
        /// The part as text, wrong bytes replaced.
        raw: String,
        /// What is wrong with it.
        description: String,
    },
    /// Bytes of an attachment, as they come.
    Attachment {
        /// The response it belongs to.
        stream: StreamId,
        /// Its `Content-ID` without brackets.
        content_id: String,
        /// The bytes.
        bytes: Bytes,
    },
    /// An attachment is over.
    AttachmentEnded {
        /// The response it belongs to.
        stream: StreamId,
        /// Its `Content-ID` without brackets.
        content_id: String,
        /// Whether its closing delimiter or a proper end of the stream was seen.
        complete: bool,
    },
    /// Nothing more comes from this stream.
    StreamEnded(StreamId),
    /// What became of an event.
    Outcome {
        /// Its messageId.
        message_id: String,
        /// Its interface.
        namespace: String,
        /// Its name.
        name: String,
        /// What became of it.
        outcome: EventOutcome,
    },
    /// All of the answer to an accepted event has come, or its connection is gone: nothing more comes of it.
    Answered {
        /// The event's messageId.
        message_id: String,
    },
    /// `Alexa.EventProcessed` for an event that is not the session's own: its correlation token.
    Processed(String),
    /// The capabilities were accepted; this names them, the device and the gateway: store it.
    Declared(String),
    /// The cloud chose another gateway: store it.
    GatewayChanged(String),
    /// Something in a body was skipped; count it.
    Fault(Fault),
    /// All is said; wake the session at this moment at the latest (never, if `None`).
    Wait(Option<HubTime>),
}

/// What a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no valid token.
    WaitingForToken,
    /// The Capabilities API call is under way.
    Declaring,
    /// A connection attempt is under way, counted since the last sound connection.
    Connecting(u32),
    /// The downchannel is open; gateway, capabilities and state are being agreed.
    Synchronizing,
    /// Events flow.
    Connected,
    /// The next attempt is made at this moment.
    Waiting(WaitReason, HubTime),
    /// Shut down.
    Closed,
}

/// Why a session waits before the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitReason {
    /// No connection could be made.
    Unreachable,
    /// A connection ended soon after it began.
    Unstable,
    /// The service refused: its HTTP status.
    Refused(u16),
    /// The capabilities were not accepted.
    NotDeclared,
    /// No answer in time.
    NoAnswer,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventOutcome {
    /// 200, 202 or 204; for an event with audio also that all of it was sent, or that the answer came first.
    Accepted {
        /// HTTP status.
        status: u16,
    },
    /// Any other status, after all repeats.
    Refused {
        /// HTTP status.
        status: u16,
        /// The exception's code, empty when there was none.
        code: String,
        /// The exception's description, empty when there was none.
        description: String,
    },
    /// The stream died and the event may not be repeated.
    Lost,
    /// It waited too long for a connection.
    TooOld,
    /// Too many events were waiting.
    QueueFull,
}
