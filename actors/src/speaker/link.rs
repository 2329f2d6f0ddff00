//! A speaker's link to AVS: opens it, feeds its directives to the device machine, posts the machine's events.

use std::sync::{Arc, OnceLock};

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::message::Event;
use antiphon_domain::Secret;
use antiphon_link::{LinkEvent, LinkStart, LinkState, LoginReason, Persist, Sink, WaitReason};
use antiphon_store::secret_name;
use tracing::{debug, info, warn};

use super::Speaker;
use crate::messages::{LinkNews, Remembered, SaveSecret};
use crate::post;
use crate::snapshot::{LinkView, LoginCode};

impl Speaker {
    /// Begins the link's task, where the configuration names a product.
    pub(super) fn open_link(&mut self, remembered: Remembered, ctx: &Context<Self>) {
        let Ok(config) = self.settings.link.clone() else { return };
        let start = LinkStart {
            speaker: self.id.clone(),
            config,
            friendly_name: self.view.name.clone(),
            capabilities: shared(self.device.capabilities()),
            refresh_token: remembered.refresh_token.or_else(|| self.settings.refresh_token.clone()),
            saved_gateway: remembered.gateway,
            declared: None,
        };
        let news = ctx.address().recipient();
        let metrics = self.parts.metrics.clone();
        let id = self.id.clone();
        let sink: Sink = Arc::new(move |event| {
            // No interface takes attachments yet; they must not push directives out of the mailbox.
            if matches!(event, LinkEvent::Attachment { .. } | LinkEvent::AttachmentEnded { .. }) {
                return;
            }
            // A speaker that has ended needs no news.
            if post::tell(&news, LinkNews(event), &metrics) == Err(post::Refused::Full) {
                warn!(speaker = %id, "news of the link was refused by the speaker");
            }
        });
        match antiphon_link::spawn(&self.parts.links, start, sink, self.persist()) {
            Ok(link) => self.link = Some(link),
            Err(e) => {
                warn!(speaker = %self.id, error = %e, "no link");
                self.view.link = LinkView { state: "off", why: Some(e.to_string()), login: None };
            }
        }
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
        let Some(link) = &self.link else { return };
        if let Err(e) = link.post(event) {
            warn!(speaker = %self.id, error = %e, "an event could not be queued");
        }
    }

    fn link_state(&mut self, state: &LinkState, ctx: &mut Context<Self>) {
        let login = self.view.link.login.take();
        let view = |state: &'static str, why: Option<String>| LinkView { state, why, login: None };
        self.view.link = match state {
            LinkState::NeedsLogin { why } => {
                LinkView { login, ..view("needs_login", Some(login_reason(why))) }
            }
            LinkState::Authorizing => LinkView { login, ..view("connecting", None) },
            LinkState::Connecting { .. } | LinkState::Synchronizing => view("connecting", None),
            LinkState::Connected => view("connected", None),
            LinkState::Waiting { why, .. } => view("waiting", Some(wait_reason(*why))),
            _ => view("closed", None),
        };
        let input =
            if *state == LinkState::Connected { DeviceInput::Connected } else { DeviceInput::Disconnected };
        self.drive(input, ctx);
        debug!(speaker = %self.id, state = self.view.link.state, "link");
        self.publish();
    }
}

/// The capabilities, held once for all speakers that have the same: they are most of what an idle machine holds.
fn shared(capabilities: Vec<serde_json::Value>) -> Arc<Vec<serde_json::Value>> {
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

impl Handler<LinkNews> for Speaker {
    type Result = ();

    fn handle(&mut self, message: LinkNews, ctx: &mut Self::Context) {
        match message.0 {
            LinkEvent::State(state) => self.link_state(&state, ctx),
            LinkEvent::WantSynchronizeState => {
                let event = self.device.synchronize_state(self.parts.moment());
                if let Some(link) = &self.link
                    && let Err(e) = link.synchronize(event)
                {
                    warn!(speaker = %self.id, error = %e, "the state could not be synchronised");
                }
            }
            LinkEvent::Directive { directive, received } => {
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
            LinkEvent::Unparsable { raw, description } => {
                self.parts.metrics.directives.with_label_values(&[self.id.as_str(), "refused"]).inc();
                self.drive(DeviceInput::Unparsable { raw, why: description }, ctx);
            }
            LinkEvent::GatewayChanged(gateway) => {
                let save = SaveSecret {
                    speaker: self.id.clone(),
                    name: secret_name::GATEWAY,
                    secret: Secret::new(gateway),
                };
                // Counted when refused; AVS says it again on the next connection.
                let _ = post::tell(&self.archive.secret, save, &self.parts.metrics);
            }
            LinkEvent::LoginCode { verification_uri, user_code, .. } => {
                info!(speaker = %self.id, uri = verification_uri, "a code waits to be entered");
                self.view.link.login = Some(LoginCode { verification_uri, user_code });
                self.publish();
            }
            LinkEvent::LoggedIn => {
                self.view.link.login = None;
                self.publish();
            }
            LinkEvent::EventOutcome { namespace, name, outcome, .. } => {
                debug!(speaker = %self.id, %namespace, %name, ?outcome, "event");
            }
            _ => {}
        }
    }
}
