//! All that a surface may hold: commands in, the picture out.

use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::prelude::*;
use antiphon_avs::message::CaptureId;
use antiphon_avs::signal::Wish;
use antiphon_domain::group::Target;
use antiphon_domain::house::HouseError;
use antiphon_domain::media::Media;
use antiphon_domain::{GroupId, LevelCommand, Offset, SpeakerId};
use antiphon_endpoint::{Answer, AnswerError, Ask, Kind};
use thiserror::Error;

use crate::hub::Hub;
use crate::messages::*;
use crate::requests::{AuthorizationAnswer, AuthorizationRequest, Grant, ListenRequest};
use crate::snapshot::Snapshot;

/// How long a surface waits until a speaker is linked (ours): longer than one call to Amazon may take (a minute), which is
/// asked again once.
const LINKING: Duration = Duration::from_secs(90);

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HubError {
    /// It names something that is not here, or cannot be done now.
    #[error(transparent)]
    House(#[from] HouseError),
    /// The hub is ending.
    #[error("the hub is shutting down")]
    Ending,
}

/// A surface's hold on the hub. Cheap to clone; outlives any part that is made anew.
#[derive(Clone)]
pub struct HubHandle {
    hub: Addr<Hub>,
    // A handle outlives the hub; the kinds and their open doors must not.
    kinds: Vec<Weak<dyn Kind>>,
}

impl HubHandle {
    pub(crate) fn new(hub: Addr<Hub>, kinds: &[Arc<dyn Kind>]) -> Self {
        Self { hub, kinds: kinds.iter().map(Arc::downgrade).collect() }
    }

    fn kinds(&self) -> Vec<Arc<dyn Kind>> {
        self.kinds.iter().filter_map(Weak::upgrade).collect()
    }

    async fn ask<M, T>(&self, message: M) -> Result<T, HubError>
    where
        M: Message<Result = Result<T, HouseError>> + Send + 'static,
        T: Send + 'static,
        Hub: Handler<M>,
    {
        Ok(self.hub.send(message).await.map_err(|_| HubError::Ending)??)
    }

    /// The hub as it is now.
    pub async fn snapshot(&self) -> Result<Snapshot, HubError> {
        Ok(self.hub.send(Look).await.map_err(|_| HubError::Ending)??)
    }

    /// Changes loudness; on disk when this returns: the road that every surface shares with voice.
    pub async fn change_level(&self, target: Target, command: LevelCommand) -> Result<(), HubError> {
        self.ask(ChangeLevel { target, command, by_directive: false, received: None }).await
    }

    /// Has a speaker be heard so much later than everybody else; on disk when this returns.
    pub async fn set_offset(&self, speaker: SpeakerId, offset: Offset) -> Result<(), HubError> {
        self.ask(SetOffset { speaker, offset }).await
    }

    /// Has a group be as quick as its members can, from its next stream on; on disk when this returns.
    pub async fn set_low_latency(&self, target: Target, on: bool) -> Result<(), HubError> {
        self.ask(SetLowLatency { target, on }).await
    }

    /// Plays a stream on a group.
    pub async fn play(&self, target: Target, media: Media) -> Result<(), HubError> {
        self.ask(PlayMedia { target, media }).await
    }

    /// Stops what a group plays, whoever began it, and what rings at the speaker that is named.
    pub async fn stop(&self, target: Target) -> Result<(), HubError> {
        self.ask(StopContent { target }).await
    }

    /// Makes a group of these speakers, or changes who is in it.
    pub async fn form(&self, id: GroupId, name: String, speakers: Vec<SpeakerId>) -> Result<(), HubError> {
        self.ask(Regroup::Form { id, name, speakers }).await
    }

    /// Takes a speaker out of its group.
    pub async fn leave(&self, speaker: SpeakerId) -> Result<(), HubError> {
        self.ask(Regroup::Leave(speaker)).await
    }

    /// Ends a group.
    pub async fn dissolve(&self, group: GroupId) -> Result<(), HubError> {
        self.ask(Regroup::Dissolve(group)).await
    }

    /// Asks for a code to link a speaker to an Amazon account; it appears in the snapshot.
    pub async fn login(&self, speaker: SpeakerId) -> Result<(), HubError> {
        self.ask(StartLogin(speaker)).await
    }

    /// Begins a log-in by companion app, companion site or the product's own page: where to send the person. `kind`
    /// says which; `redirect_uri` is where Login with Amazon sends the person back to.
    pub async fn begin_authorization(
        &self,
        speaker: SpeakerId,
        redirect_uri: String,
        kind: Grant,
    ) -> Result<AuthorizationRequest, HubError> {
        self.ask(BeginAuthorization { speaker, redirect_uri, kind }).await
    }

    /// Ends it with what Login with Amazon gave; the speaker is linked when this returns. An error after 90 s, for the
    /// disk may refuse the tokens for long; the link goes on trying and shows in the snapshot how it went.
    pub async fn authorize(&self, speaker: SpeakerId, answer: AuthorizationAnswer) -> Result<(), HubError> {
        let asked = self.ask(Authorize { speaker, answer });
        tokio::time::timeout(LINKING, asked).await.unwrap_or_else(|_| {
            let why =
                "linking takes long; look at the speaker's link to see how it goes, and at the hub's log";
            Err(HouseError::NotNow(why.into()).into())
        })
    }

    /// Gives the account of a speaker up: tokens, gateway, alerts, fetched files and all that its device stored are
    /// erased when this returns.
    pub async fn log_out(&self, speaker: SpeakerId) -> Result<(), HubError> {
        self.ask(EndAccount(speaker)).await
    }

    /// Does what a person wishes of a speaker's Alexa device; what becomes of it shows in the snapshot.
    pub async fn wish(&self, speaker: SpeakerId, wish: Wish) -> Result<(), HubError> {
        self.ask(TellSpeaker { speaker, wish }).await
    }

    /// Lets a speaker hear what somebody says. `Wish::StopListening`, or the end of `request.audio`, ends it.
    pub async fn listen(&self, speaker: SpeakerId, request: ListenRequest) -> Result<CaptureId, HubError> {
        self.ask(Hear { speaker, request }).await
    }

    /// Forgets a speaker for good.
    pub async fn forget(&self, speaker: SpeakerId) -> Result<(), HubError> {
        self.ask(Forget(speaker)).await
    }

    /// The receivers that want something of a person before they play for us, each with its kind's name.
    pub async fn asks(&self) -> Result<Vec<(&'static str, Ask)>, HubError> {
        let kinds = self.kinds();
        // A kind may read what it remembers from the disk.
        let asks = tokio::task::spawn_blocking(move || {
            let of = |kind: &Arc<dyn Kind>| kind.asks().into_iter().map(|ask| (kind.name(), ask)).collect();
            kinds.iter().flat_map(|kind| -> Vec<_> { of(kind) }).collect()
        });
        asks.await.map_err(|_| HubError::Ending)
    }

    /// A person's answer to one that asks; carried out when this returns.
    pub async fn answer(
        &self,
        speaker: SpeakerId,
        answer: Answer,
    ) -> Result<Result<(), AnswerError>, HubError> {
        let kinds = self.kinds();
        let told = tokio::task::spawn_blocking(move || {
            for kind in &kinds {
                match kind.answer(&speaker, &answer) {
                    Err(AnswerError::Unknown(_)) => {}
                    told => return told,
                }
            }
            Err(AnswerError::Unknown(speaker))
        });
        told.await.map_err(|_| HubError::Ending)
    }

    /// Ends the hub in order: speakers, discovery, archive. Everything is on disk when this returns.
    pub async fn close(&self) {
        // A hub that is gone already is closed.
        let _ = self.hub.send(Close).await;
    }
}
