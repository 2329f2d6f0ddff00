//! The JSON API under `/api`, a file a subject: each route turns a request into the same command every surface uses.

mod account;
mod alerts;
mod content;
mod groups;
mod levels;
mod pairing;
mod picture;
mod remote;
mod settings;
mod speech;
mod timing;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use antiphon_avs::signal::Wish;
use antiphon_domain::SpeakerId;
use antiphon_domain::group::Target;
use serde::Deserialize;

use super::Hub;
use super::problem::Problem;
use crate::view;

type Answer = Result<HttpResponse, Problem>;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("/api")
            .configure(picture::routes)
            .configure(account::routes)
            .configure(groups::routes)
            .configure(alerts::routes)
            .configure(remote::routes)
            .configure(settings::routes)
            .configure(speech::routes)
            .configure(levels::routes)
            .configure(content::routes)
            .configure(pairing::routes)
            .configure(timing::routes),
    );
}

/// Carried out, nothing to tell.
fn done() -> Answer {
    Ok(HttpResponse::NoContent().finish())
}

/// A request that makes no sense, and what would.
fn wrong(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// The speaker of that id or name.
async fn speaker(hub: &Hub, name: &str) -> Result<SpeakerId, Problem> {
    view::find_speaker(&hub.handle.snapshot().await?, name)
}

/// Tells a speaker's device what a person wishes.
async fn wish(hub: &Hub, name: &str, wish: Wish) -> Answer {
    let speaker = speaker(hub, name).await?;
    hub.handle.wish(speaker, wish).await?;
    done()
}

/// Whom a command is for, by path and scope.
async fn target(hub: &Hub, place: &str, name: &str, scope: Scope) -> Result<Target, Problem> {
    let snapshot = hub.handle.snapshot().await?;
    match (place, scope) {
        ("groups", Scope::Group) => Ok(Target::Group(view::find_group(&snapshot, name)?)),
        ("groups", Scope::Speaker) => Err(wrong("a group has no scope \"speaker\"; name the speaker")),
        ("speakers", Scope::Group) => Ok(Target::SpeakerInGroup(view::find_speaker(&snapshot, name)?)),
        ("speakers", Scope::Speaker) => Ok(Target::SpeakerAlone(view::find_speaker(&snapshot, name)?)),
        _ => Err(Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at /api/{place}"))),
    }
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    #[default]
    Group,
    Speaker,
}

/// A switch: `{"on": true}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    on: bool,
}
