//! What a link tells.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use antiphon_avs::message::{Directive, StreamId};
use antiphon_avs::session::{EventOutcome, WaitReason};
use antiphon_domain::HubTime;
use bytes::Bytes;

/// News from a link.
#[derive(Debug)]
#[non_exhaustive]
pub enum LinkEvent {
    /// The state changed.
    State(LinkState),
    /// `System.SynchronizeState` is due: answer with `LinkHandle::synchronize`, each time.
    WantSynchronizeState,
    /// A directive for the device machine.
    Directive {
        /// The directive.
        directive: Directive,
        /// When its last byte was read.
        received: HubTime,
    },
    /// A part that should be a directive and is not; deserves `System.ExceptionEncountered`.
    Unparsable {
        /// The part as text.
        raw: String,
        /// What is wrong with it.
        description: String,
    },
    /// Bytes of an attachment, as they arrive.
    Attachment {
        /// The response it belongs to; directives of the same response name it.
        stream: StreamId,
        /// Its `Content-ID` without brackets.
        content_id: String,
        /// The bytes; while chunks are kept, the peer's next bytes wait (64 KiB a stream).
        chunk: Chunk,
    },
    /// An attachment is over.
    AttachmentEnded {
        /// The response it belongs to.
        stream: StreamId,
        /// Its `Content-ID` without brackets.
        content_id: String,
        /// False when its stream died first.
        complete: bool,
    },
    /// Nothing more comes from this stream.
    StreamEnded(StreamId),
    /// What became of a posted event.
    EventOutcome {
        /// Its messageId.
        message_id: String,
        /// Its interface.
        namespace: String,
        /// Its name.
        name: String,
        /// What became of it.
        outcome: EventOutcome,
    },
    /// The cloud chose another gateway: store it and give it back at the next start.
    GatewayChanged(String),
    /// Code-based linking: show this to a person.
    LoginCode {
        /// Where to enter the code.
        verification_uri: String,
        /// The code.
        user_code: String,
        /// When the pair dies; a new one comes then.
        expires: HubTime,
    },
    /// A login succeeded; the refresh token was stored.
    LoggedIn,
    /// A login came to nothing; an account that was there goes on.
    LoginFailed {
        /// Why.
        why: LoginReason,
    },
    /// The account is gone, by a log-out or because it was revoked: the stored token is being erased, and whatever else
    /// belongs to it may not remain.
    LoggedOut,
    /// Whose account the speaker belongs to.
    Account {
        /// The user's id, the same for every speaker of an account.
        user_id: String,
    },
    /// The capabilities were accepted: store this and give it back at the next start.
    Declared(String),
    /// All of the answer to an accepted event has been told: nothing more comes of it.
    Answered {
        /// The event's messageId.
        message_id: String,
    },
}

/// What a link is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkState {
    /// There is no token and none will come without a person.
    NeedsLogin {
        /// Why.
        why: LoginReason,
    },
    /// A token or the declaration of capabilities is being fetched.
    Authorizing,
    /// A connection attempt is under way.
    Connecting {
        /// Attempts since the last sound connection, from 1.
        attempt: u32,
    },
    /// The downchannel is open; gateway, capabilities and state are being agreed.
    Synchronizing,
    /// Events flow.
    Connected,
    /// The next attempt is made later.
    Waiting {
        /// Why.
        why: WaitReason,
        /// When.
        until: HubTime,
    },
    /// The link has ended.
    Closed,
}

/// Why a person must link the speaker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginReason {
    /// There never was a token.
    NoToken,
    /// The token was revoked or has expired (`invalid_grant`).
    Revoked,
    /// The speaker was logged out.
    LoggedOut,
    /// Code pairs expired unused.
    CodeUnused,
    /// Login with Amazon refuses this client; the error code.
    Refused(String),
    /// Login with Amazon gave no usable answer for so long that the login was given up.
    Unreachable,
}

/// Bytes of an attachment. Dropping it lets the peer send as many more.
pub struct Chunk {
    bytes: Bytes,
    credit: usize,
    flow: h2::FlowControl,
    held: Arc<AtomicUsize>,
}

impl Chunk {
    pub(crate) fn new(bytes: Bytes, credit: usize, flow: h2::FlowControl, held: Arc<AtomicUsize>) -> Self {
        held.fetch_add(credit, Ordering::Relaxed);
        Self { bytes, credit, flow, held }
    }
}

impl Deref for Chunk {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.held.fetch_sub(self.credit, Ordering::Relaxed);
        // The stream may be gone by now; then there is no window to open.
        let _ = self.flow.release_capacity(self.credit);
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.bytes.len())
    }
}
