//! The commands of surfaces, passed on to whoever carries them out now.

use std::time::Duration;

use actix::prelude::*;
use antiphon_avs::message::CaptureId;
use antiphon_avs::signal::Wish;
use antiphon_domain::SpeakerId;
use antiphon_domain::group::Target;
use antiphon_domain::house::HouseError;

use super::Hub;
use crate::coordinator::Coordinator;
use crate::messages::*;
use crate::post;
use crate::requests::AuthorizationRequest;
use crate::snapshot::Snapshot;
use crate::speaker::Speaker;

/// How long a speaker may take to tell Alexa that it is no more: longer than its link is patient (7 s).
const FAREWELL: Duration = Duration::from_secs(10);

/// A command for one speaker, passed on to whoever is its actor now.
impl Hub {
    fn pass_on<M, T>(&self, speaker: &SpeakerId, message: M) -> ResponseFuture<Result<T, HouseError>>
    where
        M: Message<Result = Result<T, HouseError>> + Send + 'static,
        T: Send + 'static,
        Speaker: Handler<M>,
    {
        let Some(child) = self.speakers.get(speaker) else {
            let nobody = HouseError::NoSpeaker(speaker.as_str().into());
            return Box::pin(async move { Err(nobody) });
        };
        let answer = child.addr.send(message);
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(gone())) })
    }
}

impl Handler<StartLogin> for Hub {
    type Result = ResponseFuture<Result<(), HouseError>>;

    fn handle(&mut self, message: StartLogin, _: &mut Self::Context) -> Self::Result {
        self.pass_on(&message.0.clone(), message)
    }
}

impl Handler<BeginAuthorization> for Hub {
    type Result = ResponseFuture<Result<AuthorizationRequest, HouseError>>;

    fn handle(&mut self, message: BeginAuthorization, _: &mut Self::Context) -> Self::Result {
        self.pass_on(&message.speaker.clone(), message)
    }
}

impl Handler<Authorize> for Hub {
    type Result = ResponseFuture<Result<(), HouseError>>;

    fn handle(&mut self, message: Authorize, _: &mut Self::Context) -> Self::Result {
        self.pass_on(&message.speaker.clone(), message)
    }
}

impl Handler<EndAccount> for Hub {
    type Result = ResponseFuture<Result<(), HouseError>>;

    fn handle(&mut self, message: EndAccount, _: &mut Self::Context) -> Self::Result {
        self.pass_on(&message.0.clone(), message)
    }
}

impl Handler<TellSpeaker> for Hub {
    type Result = ResponseFuture<Result<(), HouseError>>;

    fn handle(&mut self, message: TellSpeaker, _: &mut Self::Context) -> Self::Result {
        // Who stopped an alert must not hear it again after a power cut.
        let answer = self.pass_on(&message.speaker.clone(), message);
        self.once_settled(answer)
    }
}

impl Handler<Hear> for Hub {
    type Result = ResponseFuture<Result<CaptureId, HouseError>>;

    fn handle(&mut self, message: Hear, _: &mut Self::Context) -> Self::Result {
        self.pass_on(&message.speaker.clone(), message)
    }
}

impl Handler<Forget> for Hub {
    type Result = ResponseActFuture<Self, Result<(), HouseError>>;

    fn handle(&mut self, message: Forget, _: &mut Self::Context) -> Self::Result {
        // First of all others lead on what it leads: with its account its own streams end. One that is alone has no group
        // to leave, and whatever comes of its farewell, it is forgotten.
        let left = self.coordinator.send(Regroup::Leave(message.0.clone()));
        let child = self.speakers.get(&message.0).map(|child| child.addr.clone());
        let told = async move {
            let _ = left.await;
            if let Some(child) = child {
                let _ = child.send(Retire).timeout(FAREWELL).await;
            }
        };
        Box::pin(told.into_actor(self).then(|(), hub, _| hub.forget(message).into_actor(hub)))
    }
}

impl Hub {
    fn forget(&mut self, message: Forget) -> ResponseFuture<Result<(), HouseError>> {
        let Some(child) = self.speakers.remove(&message.0) else {
            let nobody = HouseError::NoSpeaker(message.0.as_str().into());
            return Box::pin(async move { Err(nobody) });
        };
        let metrics = &self.parts.metrics;
        // Counted when refused; the coordinator's answer below is the one that matters.
        let _ = post::tell_addr(&child.addr, Close, metrics);
        let _ = post::tell_addr(&self.finder, message.clone(), metrics);
        let _ = post::tell_addr(&self.archive, EraseSpeaker(message.0.clone()), metrics);
        let answer = relay(&self.coordinator, message);
        self.once_settled(answer)
    }
}

impl Handler<Look> for Hub {
    type Result = ResponseFuture<Result<Snapshot, HouseError>>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        let answer = self.coordinator.send(GetSnapshot);
        Box::pin(async move { answer.await.map_err(|_| gone()) })
    }
}

/// The commands of surfaces, passed on to whoever is the coordinator now.
fn relay<M>(coordinator: &Addr<Coordinator>, message: M) -> ResponseFuture<Result<(), HouseError>>
where
    M: Message<Result = Result<(), HouseError>> + Send + 'static,
    Coordinator: Handler<M>,
{
    let answer = coordinator.send(message);
    Box::pin(async move { answer.await.unwrap_or_else(|_| Err(gone())) })
}

fn gone() -> HouseError {
    HouseError::NotNow("the hub is restarting this part of itself; try again in a moment".into())
}

impl Handler<ChangeLevel> for Hub {
    type Result = ResponseFuture<Result<(), HouseError>>;

    fn handle(&mut self, message: ChangeLevel, _: &mut Self::Context) -> Self::Result {
        let answer = relay(&self.coordinator, message);
        self.once_settled(answer)
    }
}

impl Handler<SetOffset> for Hub {
    type Result = ResponseFuture<Result<(), HouseError>>;

    fn handle(&mut self, message: SetOffset, _: &mut Self::Context) -> Self::Result {
        let answer = relay(&self.coordinator, message);
        self.once_settled(answer)
    }
}

impl Handler<SetLowLatency> for Hub {
    type Result = ResponseFuture<Result<(), HouseError>>;

    fn handle(&mut self, message: SetLowLatency, _: &mut Self::Context) -> Self::Result {
        let answer = relay(&self.coordinator, message);
        self.once_settled(answer)
    }
}

impl Handler<PlayMedia> for Hub {
    type Result = ResponseFuture<Result<(), HouseError>>;

    fn handle(&mut self, message: PlayMedia, _: &mut Self::Context) -> Self::Result {
        relay(&self.coordinator, message)
    }
}

impl Handler<StopContent> for Hub {
    type Result = ResponseFuture<Result<(), HouseError>>;

    fn handle(&mut self, message: StopContent, _: &mut Self::Context) -> Self::Result {
        // "Stop" at a speaker means whatever sounds there.
        let silence = match &message.target {
            Target::SpeakerInGroup(speaker) | Target::SpeakerAlone(speaker) => {
                let silence = TellSpeaker { speaker: speaker.clone(), wish: Wish::StopAlert };
                self.speakers.get(speaker).map(|child| child.addr.send(silence))
            }
            _ => None,
        };
        let stopped = relay(&self.coordinator, message);
        self.once_settled(Box::pin(async move {
            if let Some(silence) = silence {
                // A speaker that is being restarted has nothing that sounds.
                let _ = silence.await;
            }
            stopped.await
        }))
    }
}

impl Handler<Regroup> for Hub {
    type Result = ResponseFuture<Result<(), HouseError>>;

    fn handle(&mut self, message: Regroup, _: &mut Self::Context) -> Self::Result {
        let answer = relay(&self.coordinator, message);
        self.once_settled(answer)
    }
}

impl Hub {
    /// The same answer, but not before what it acknowledges is on disk. The coordinator saves before it answers, so
    /// the archive has the change in its mailbox when it is asked here.
    fn once_settled(
        &self,
        answer: ResponseFuture<Result<(), HouseError>>,
    ) -> ResponseFuture<Result<(), HouseError>> {
        let archive = self.archive.clone();
        Box::pin(async move {
            answer.await?;
            match archive.send(Settle).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(HouseError::NotNow(
                    "it is done but could not be written to disk; look at the hub's log".into(),
                )),
                Err(_) => Err(gone()),
            }
        })
    }
}
