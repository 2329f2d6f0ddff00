//! A speaker's link to AVS: opens it, feeds its directives to the device machine, posts the machine's events.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::message::{Directive, Event};
use antiphon_avs::signal::{Signal, SoundNews};
use antiphon_domain::{HubTime, Secret};
use antiphon_link::{
    Chunk, EventOutcome, LinkEvent, LinkStart, LinkState, LoginReason, Persist, PostError, Sink, WaitReason,
};
use antiphon_store::secret_name;
use tracing::{debug, info, warn};

use super::Speaker;
use super::attachments::Key;
use crate::messages::{LinkWaits, Remembered, SaveSecret};
use crate::post;
use crate::snapshot::{LinkView, LoginCode};

/// How often attachments that wait are looked after.
const TIDY: Duration = Duration::from_secs(1);

impl Speaker {
    /// Begins the link's task, where the configuration names a product.
    pub(super) fn open_link(&mut self, remembered: Remembered, ctx: &Context<Self>) {
        let Ok(config) = self.settings.link.clone() else { return };
        let start = LinkStart {
            speaker: self.id.clone(),
            config,
            friendly_name: self.view.name.clone(),
            capabilities: shared(self.device.capabilities()),
            declared: remembered.declared,
            refresh_token: remembered.refresh_token.or_else(|| self.settings.refresh_token.clone()),
            saved_gateway: remembered.gateway,
        };
        let sink = self.link_sink(ctx);
        match antiphon_link::spawn(&self.parts.links, start, sink, self.persist()) {
            Ok(link) => self.link = Some(link),
            Err(e) => {
                warn!(speaker = %self.id, error = %e, "no link");
                self.view.link = LinkView { state: "off", why: Some(e.to_string()), ..LinkView::default() };
            }
        }
    }

    /// Where the link's news goes: attachments into their pipes, the rest into the inbox.
    fn link_sink(&self, ctx: &Context<Self>) -> Sink {
        let wake = ctx.address().recipient();
        let (inbox, attachments) = (self.inbox.clone(), self.attachments.clone());
        let (metrics, clock, id) = (self.parts.metrics.clone(), self.parts.clock.clone(), self.id.clone());
        let lost = move |what: &str| {
            metrics.refused.with_label_values(&[what, "full"]).inc();
            warn!(speaker = %id, what, "news of the link was lost: too much waits");
        };
        let metrics = self.parts.metrics.clone();
        Arc::new(move |event| {
            match event {
                LinkEvent::Attachment { stream, content_id, chunk } => {
                    if !attachments.arrived((stream, content_id), Box::new(Held(chunk)), clock.now()) {
                        lost("Attachment");
                    }
                    return;
                }
                LinkEvent::AttachmentEnded { stream, content_id, complete } => {
                    attachments.finished(&(stream, content_id), complete, clock.now());
                    return;
                }
                event => {
                    if !inbox.put(event) {
                        lost("LinkEvent");
                    }
                }
            }
            // Refused, it looks by itself at its next sign of life. A speaker that has ended needs no news.
            let _ = post::tell(&wake, LinkWaits, &metrics);
        })
    }

    /// How a rotated refresh token reaches the disk before it is used.
    fn persist(&self) -> Persist {
        let archive = self.archive.secret.clone();
        let speaker = self.id.clone();
        Arc::new(move |secret: Secret| {
            let save = SaveSecret { speaker: speaker.clone(), name: secret_name::REFRESH_TOKEN, secret };
            let saved = archive.send(save);
            Box::pin(async move { saved.await.unwrap_or(false) })
        })
    }

    pub(super) fn send(&mut self, event: Event) {
        let Some(link) = self.link.clone() else { return };
        let message_id = event.header.message_id.clone();
        let posted = match event.audio {
            None => link.post(event),
            Some(capture) => match self.upload_of(capture) {
                Some(audio) => link.post_with_audio(event, audio),
                None => Err(PostError::NoAudio),
            },
        };
        if let Err(e) = posted {
            warn!(speaker = %self.id, error = %e, "an event could not be queued");
            // Its machine must not wait for an answer.
            let outcome = EventOutcome::QueueFull;
            self.echoes.push_back(Signal::Outcome { message_id, outcome });
        }
    }

    fn link_state(&mut self, state: &LinkState, ctx: &mut Context<Self>) {
        // A code that is shown stays so while connections come and go: its end is told by itself.
        let login = self.view.link.login.take();
        let linking = self.view.link.linking;
        let (state_name, why, login) = match state {
            LinkState::NeedsLogin { why } => ("needs_login", Some(login_reason(why)), login),
            LinkState::Authorizing | LinkState::Connecting { .. } | LinkState::Synchronizing => {
                ("connecting", None, login)
            }
            LinkState::Connected => ("connected", None, login),
            LinkState::Waiting { why, .. } => ("waiting", Some(wait_reason(*why)), login),
            _ => ("closed", None, None),
        };
        self.view.link = LinkView { state: state_name, why, linking, login };
        let input =
            if *state == LinkState::Connected { DeviceInput::Connected } else { DeviceInput::Disconnected };
        self.drive(input, ctx);
        debug!(speaker = %self.id, state = self.view.link.state, "link");
        self.publish();
    }
}

/// The capabilities, held once for all speakers that have the same: they are most of what an idle machine holds.
pub(super) fn shared(capabilities: Vec<serde_json::Value>) -> Arc<Vec<serde_json::Value>> {
    static FIRST: OnceLock<Arc<Vec<serde_json::Value>>> = OnceLock::new();
    let first = FIRST.get_or_init(|| Arc::new(capabilities.clone()));
    if **first == capabilities { first.clone() } else { Arc::new(capabilities) }
}

/// Why a person must link the speaker, and what to do.
fn login_reason(why: &LoginReason) -> String {
    match why {
        LoginReason::NoToken => "not linked to an Amazon account yet; link it with `antiphon link`".into(),
        LoginReason::Revoked => "Amazon revoked its access; link it again with `antiphon link`".into(),
        LoginReason::LoggedOut => "logged out; link it again with `antiphon link`".into(),
        LoginReason::CodeUnused => {
            "the code was not entered in time; ask for another with `antiphon link`".into()
        }
        LoginReason::Refused(code) => {
            format!("Login with Amazon refuses this client ({code}); check client_id")
        }
        LoginReason::Unreachable => {
            "Login with Amazon could not be reached or gave no usable answer; try again later".into()
        }
        _ => "it must be linked with `antiphon link`".into(),
    }
}

/// Why the link waits before it tries again.
fn wait_reason(why: WaitReason) -> String {
    match why {
        WaitReason::Unreachable => "Alexa cannot be reached".into(),
        WaitReason::Unstable => "the connection to Alexa ended soon after it began".into(),
        WaitReason::Refused(status) => format!("Alexa refused with status {status}"),
        WaitReason::NotDeclared => "Alexa did not accept the capabilities".into(),
        WaitReason::NoAnswer => "Alexa did not answer in time".into(),
        _ => "Alexa is not ready".into(),
    }
}

/// A chunk in a pipe: the peer may send on when it is dropped.
struct Held(Chunk);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Handler<LinkWaits> for Speaker {
    type Result = ();

    fn handle(&mut self, _: LinkWaits, ctx: &mut Self::Context) {
        self.read_inbox(ctx);
    }
}

impl Speaker {
    /// Takes in all news of the link that waits.
    pub(super) fn read_inbox(&mut self, ctx: &mut Context<Self>) {
        while let Some(event) = self.inbox.take() {
            self.link_event(event, ctx);
        }
    }

    fn link_event(&mut self, event: LinkEvent, ctx: &mut Context<Self>) {
        match event {
            LinkEvent::State(state) => self.link_state(&state, ctx),
            LinkEvent::WantSynchronizeState => {
                let event = self.device.synchronize_state(self.parts.moment());
                if let Some(link) = &self.link
                    && let Err(e) = link.synchronize(event)
                {
                    warn!(speaker = %self.id, error = %e, "the state could not be synchronised");
                }
            }
            LinkEvent::Directive { directive, received } => self.directive(directive, received, ctx),
            LinkEvent::Unparsable { raw, description } => {
                self.parts.metrics.directives.with_label_values(&[self.id.as_str(), "refused"]).inc();
                self.drive(DeviceInput::Unparsable { raw, why: description }, ctx);
            }
            LinkEvent::StreamEnded(stream) => {
                for key in self.attachments.stream_ended(stream) {
                    self.unattached(&key, ctx);
                }
            }
            LinkEvent::EventOutcome { message_id, namespace, name, outcome } => {
                debug!(speaker = %self.id, %namespace, %name, ?outcome, "event");
                self.drive(DeviceInput::Signal(Signal::Outcome { message_id, outcome }), ctx);
            }
            LinkEvent::Answered { message_id } => {
                self.drive(DeviceInput::Signal(Signal::Answered { message_id }), ctx);
            }
            LinkEvent::GatewayChanged(gateway) => self.keep_secret(secret_name::GATEWAY, gateway),
            LinkEvent::Declared(declared) => self.keep_secret(secret_name::DECLARED, declared),
            LinkEvent::LoginCode { verification_uri, user_code, .. } => {
                info!(speaker = %self.id, uri = verification_uri, "a code waits to be entered");
                self.view.link.login = Some(LoginCode { verification_uri, user_code });
                self.publish();
            }
            LinkEvent::LoggedIn => {
                // Its state follows; nobody is to read meanwhile that it is not linked.
                let state =
                    if self.view.link.state == "needs_login" { "connecting" } else { self.view.link.state };
                self.view.link = LinkView { state, ..LinkView::default() };
                self.publish();
            }
            LinkEvent::LoginFailed { why } => {
                self.view.link.linking = false;
                self.view.link.login = None;
                self.view.link.why = Some(login_reason(&why));
                self.publish();
            }
            LinkEvent::LoggedOut => self.account_gone(ctx),
            _ => {}
        }
    }

    fn directive(&mut self, directive: Directive, received: HubTime, ctx: &mut Context<Self>) {
        self.received = Some(received);
        let before = self.device.counts();
        self.drive(DeviceInput::Directive(directive), ctx);
        let after = self.device.counts();
        let outcome = if after.refused > before.refused {
            "refused"
        } else if after.stale > before.stale {
            "stale"
        } else {
            "handled"
        };
        self.parts.metrics.directives.with_label_values(&[self.id.as_str(), outcome]).inc();
        self.received = None;
    }

    fn keep_secret(&self, name: &'static str, value: String) {
        let save = SaveSecret { speaker: self.id.clone(), name, secret: Secret::new(value) };
        // Counted when refused; AVS says it again on the next connection.
        let _ = post::tell(&self.archive.secret, save, &self.parts.metrics);
    }

    /// An attachment that was claimed never came.
    fn unattached(&mut self, key: &Key, ctx: &mut Context<Self>) {
        if let Some(id) = self.voices.claimant(key)
            && self.voices.forget(id)
        {
            self.drive(DeviceInput::Signal(Signal::Sound(id, SoundNews::Unattached)), ctx);
        }
        // A player's stream hears it from its feed: the pipe ended before its first byte.
    }

    /// Looks after attachments that wait, while any do.
    pub(super) fn tidy_attachments(&mut self, ctx: &mut Context<Self>) {
        if self.tidying {
            return;
        }
        self.tidying = true;
        ctx.run_later(TIDY, |speaker, ctx| {
            speaker.tidying = false;
            for key in speaker.attachments.tidy(speaker.parts.now()) {
                speaker.unattached(&key, ctx);
            }
            if !speaker.attachments.is_empty() {
                speaker.tidy_attachments(ctx);
            }
        });
    }
}
