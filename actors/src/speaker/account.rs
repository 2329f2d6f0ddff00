//! The account of a speaker: log-in, log-out, and what surfaces wish of its device.

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::message::CaptureId;
use antiphon_avs::signal::Signal;
use antiphon_domain::house::HouseError;

use super::Speaker;
use crate::messages::{Authorize, BeginAuthorization, EndAccount, Hear, StartLogin, TellSpeaker};
use crate::requests::AuthorizationRequest;

impl Speaker {
    fn no_link(&self) -> HouseError {
        let why = self.settings.link.as_ref().err().cloned();
        HouseError::NotNow(why.unwrap_or_else(|| "it has no link".into()))
    }
}

impl Handler<StartLogin> for Speaker {
    type Result = Result<(), HouseError>;

    fn handle(&mut self, _: StartLogin, _: &mut Self::Context) -> Self::Result {
        match &self.link {
            Some(_) if self.view.link.state == "connected" => {
                Err(HouseError::NotNow("it is linked already".into()))
            }
            Some(link) => link.login().map_err(|_| HouseError::NotNow("its link is busy; try again".into())),
            None => Err(self.no_link()),
        }
    }
}

impl Handler<BeginAuthorization> for Speaker {
    type Result = Result<AuthorizationRequest, HouseError>;

    fn handle(&mut self, _: BeginAuthorization, _: &mut Self::Context) -> Self::Result {
        Err(HouseError::NotNow("this hub logs in by a code only; use `antiphon link`".into()))
    }
}

impl Handler<Authorize> for Speaker {
    type Result = Result<(), HouseError>;

    fn handle(&mut self, _: Authorize, _: &mut Self::Context) -> Self::Result {
        Err(HouseError::NotNow("this hub logs in by a code only; use `antiphon link`".into()))
    }
}

impl Handler<EndAccount> for Speaker {
    type Result = Result<(), HouseError>;

    fn handle(&mut self, _: EndAccount, _: &mut Self::Context) -> Self::Result {
        Err(HouseError::NotNow("this hub cannot log out yet".into()))
    }
}

impl Handler<TellSpeaker> for Speaker {
    type Result = Result<(), HouseError>;

    fn handle(&mut self, message: TellSpeaker, ctx: &mut Self::Context) -> Self::Result {
        self.drive(DeviceInput::Signal(Signal::UserActivity), ctx);
        self.drive(DeviceInput::Signal(Signal::Wish(message.wish)), ctx);
        Ok(())
    }
}

impl Handler<Hear> for Speaker {
    type Result = Result<CaptureId, HouseError>;

    fn handle(&mut self, _: Hear, _: &mut Self::Context) -> Self::Result {
        Err(HouseError::NotNow("this hub cannot listen yet".into()))
    }
}
