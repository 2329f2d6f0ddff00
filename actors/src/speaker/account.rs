//! The account of a speaker: log-in, log-out, and what surfaces wish of its device.

use std::time::Duration;

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::signal::{Signal, Wish};
use antiphon_domain::house::HouseError;
use antiphon_link::{LinkHandle, LoginError, PostError};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::Speaker;
use super::link::shared;
use crate::messages::{
    Authorize, BeginAuthorization, EndAccount, EraseAccount, Retire, StartLogin, TellSpeaker,
};
use crate::requests::AuthorizationRequest;

/// How long until a link that was too busy to log out is asked again (ours).
const BUSY: Duration = Duration::from_millis(250);

impl Speaker {
    fn no_link(&self) -> HouseError {
        let why = self.settings.link.as_ref().err().cloned();
        HouseError::NotNow(why.unwrap_or_else(|| "it has no link".into()))
    }

    pub(super) fn redeclare(&self) {
        let Some(link) = &self.link else { return };
        if let Err(e) = link.redeclare(shared(self.device.capabilities())) {
            warn!(speaker = %self.id, error = %e, "its capabilities could not be told again");
        }
    }

    /// Gives the account up; the link says when it is gone.
    pub(super) fn log_out(&mut self, ctx: &mut Context<Self>) {
        // A code that is shown is good no more.
        (self.view.link.linking, self.view.link.login) = (false, None);
        match self.link.as_ref().map(LinkHandle::logout) {
            Some(Ok(())) => {}
            // Erased here alone, it would live on in the link, which keeps its tokens.
            Some(Err(PostError::Full)) => {
                warn!(speaker = %self.id, "the link is busy; logging out again in a moment");
                ctx.run_later(BUSY, |speaker, ctx| speaker.log_out(ctx));
            }
            // Nobody will say that it is gone: at the next turn it is.
            _ => {
                ctx.run_later(Duration::ZERO, |speaker, ctx| speaker.account_gone(ctx));
            }
        }
    }

    /// The tokens are gone: so is all that belonged to the account.
    pub(super) fn account_gone(&mut self, ctx: &mut Context<Self>) {
        info!(speaker = %self.id, "the account is gone; erasing what belonged to it");
        self.drive(DeviceInput::LoggedOut, ctx);
        self.assets.erase();
        let erased = self.archive.account.send(EraseAccount(self.id.clone()));
        let told = erased.into_actor(self).map(|erased, speaker, _| {
            let erased = erased.unwrap_or(false);
            for waiting in speaker.leaving.drain(..) {
                // Whoever asked may have gone meanwhile.
                let _ = waiting.send(erased);
            }
        });
        ctx.spawn(told);
        self.publish();
    }
}

impl Handler<StartLogin> for Speaker {
    type Result = Result<(), HouseError>;

    fn handle(&mut self, _: StartLogin, _: &mut Self::Context) -> Self::Result {
        let Some(link) = &self.link else { return Err(self.no_link()) };
        link.login().map_err(|_| HouseError::NotNow("its link is busy; try again".into()))?;
        (self.view.link.linking, self.view.link.login) = (true, None);
        self.publish();
        Ok(())
    }
}

/// What to tell a person of a log-in that failed: what happened, and what to do.
fn login_error(e: LoginError) -> HouseError {
    let advice = match &e {
        LoginError::UnknownState => {
            "it was used already, is older than ten minutes or never was; begin again"
        }
        LoginError::Unfit { .. } => {
            "a code and a client id are 1 to 2048 plain characters, an address begins with \
                                     https:// or leads to this machine; begin again"
        }
        LoginError::NoClientSecret => "set it, or link the speaker in another way",
        LoginError::Refused { code } if code == "invalid_grant" => {
            "the code was used already, is older than five minutes, or was given for another client_id, redirect_uri \
             or code challenge; nothing was changed, begin again"
        }
        LoginError::Refused { .. } => "check client_id and client_secret; nothing was changed",
        LoginError::Unreachable => "nothing was changed; try again later",
        LoginError::Superseded => "look at the speaker's link to see how that one goes",
        _ => "try again",
    };
    HouseError::NotNow(format!("{e}: {advice}"))
}

impl Handler<BeginAuthorization> for Speaker {
    type Result = ResponseFuture<Result<AuthorizationRequest, HouseError>>;

    fn handle(&mut self, message: BeginAuthorization, _: &mut Self::Context) -> Self::Result {
        let Some(link) = &self.link else {
            let why = self.no_link();
            return Box::pin(async move { Err(why) });
        };
        let begun = link.begin_authorization(message.kind, message.redirect_uri);
        Box::pin(async move { begun.await.map_err(login_error) })
    }
}

impl Handler<Authorize> for Speaker {
    type Result = ResponseFuture<Result<(), HouseError>>;

    fn handle(&mut self, message: Authorize, _: &mut Self::Context) -> Self::Result {
        let Some(link) = &self.link else {
            let why = self.no_link();
            return Box::pin(async move { Err(why) });
        };
        let proved = link.authorize(message.answer);
        Box::pin(async move { proved.await.map_err(login_error) })
    }
}

impl Handler<EndAccount> for Speaker {
    type Result = ResponseFuture<Result<(), HouseError>>;

    fn handle(&mut self, _: EndAccount, ctx: &mut Self::Context) -> Self::Result {
        let (gone, answer) = oneshot::channel();
        self.leaving.push(gone);
        self.log_out(ctx);
        Box::pin(async move {
            match answer.await {
                Ok(true) => Ok(()),
                Ok(false) => Err(HouseError::NotNow(
                    "it is logged out but not all could be erased from disk; look at the hub's log".into(),
                )),
                Err(_) => Err(HouseError::NotNow("the speaker was restarted meanwhile; try again".into())),
            }
        })
    }
}

impl Handler<Retire> for Speaker {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Retire, ctx: &mut Self::Context) -> Self::Result {
        // Nothing of a device without link is known to Alexa.
        let asked = match self.link.as_ref().map(LinkHandle::retire) {
            Some(Ok(())) => true,
            Some(Err(PostError::Full)) => false,
            _ => return Box::pin(async {}),
        };
        let (gone, answer) = oneshot::channel();
        self.leaving.push(gone);
        if !asked {
            // Too busy for a farewell: what is left is to give the account up.
            self.log_out(ctx);
        }
        Box::pin(async move {
            // Whatever could not be erased is erased with the speaker.
            let _ = answer.await;
        })
    }
}

impl Handler<TellSpeaker> for Speaker {
    type Result = Result<(), HouseError>;

    fn handle(&mut self, message: TellSpeaker, ctx: &mut Self::Context) -> Self::Result {
        if !self.begun {
            // Done to the machine that is here now it would be forgotten.
            return Err(HouseError::NotNow("it is starting; try again".into()));
        }
        if message.wish == Wish::StopAlert {
            self.stop_foreign(ctx);
        }
        self.drive(DeviceInput::Signal(Signal::UserActivity), ctx);
        self.drive(DeviceInput::Signal(Signal::Wish(message.wish)), ctx);
        Ok(())
    }
}
