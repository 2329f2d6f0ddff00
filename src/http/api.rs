//! The JSON API under `/api`: each route turns a request into the same command every surface uses.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, post, put, web};
use antiphon_domain::group::Target;
use antiphon_domain::media::Media;
use antiphon_domain::{GroupId, LevelCommand, SpeakerId, Volume, VolumeStep};
use serde::Deserialize;
use std::time::Duration;

use super::Hub;
use super::problem::Problem;
use crate::view;

type Answer = Result<HttpResponse, Problem>;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("/api")
            .service(show_hub)
            .service(list_speakers)
            .service(show_speaker)
            .service(list_groups)
            .service(start_link)
            .service(forget_speaker)
            .service(form_group)
            .service(dissolve_group)
            .service(set_volume)
            .service(set_mute)
            .service(play_media)
            .service(stop_content),
    );
}

#[get("/hub")]
async fn show_hub(hub: web::Data<Hub>) -> Answer {
    Ok(HttpResponse::Ok().json(hub.handle.snapshot().await?))
}

#[get("/speakers")]
async fn list_speakers(hub: web::Data<Hub>) -> Answer {
    Ok(HttpResponse::Ok().json(hub.handle.snapshot().await?.speakers))
}

#[get("/speakers/{name}")]
async fn show_speaker(hub: web::Data<Hub>, name: web::Path<String>) -> Answer {
    let snapshot = hub.handle.snapshot().await?;
    let id = view::find_speaker(&snapshot, &name)?;
    Ok(HttpResponse::Ok().json(snapshot.speakers.iter().find(|s| s.id == id)))
}

#[get("/groups")]
async fn list_groups(hub: web::Data<Hub>) -> Answer {
    Ok(HttpResponse::Ok().json(hub.handle.snapshot().await?.groups))
}

/// Whom a command is for, by path and scope.
async fn target(hub: &Hub, place: &str, name: &str, scope: Scope) -> Result<Target, Problem> {
    let snapshot = hub.handle.snapshot().await?;
    match (place, scope) {
        ("groups", Scope::Group) => Ok(Target::Group(view::find_group(&snapshot, name)?)),
        ("groups", Scope::Speaker) => {
            Err(Problem::new(StatusCode::BAD_REQUEST, "a group has no scope \"speaker\"; name the speaker"))
        }
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VolumeBody {
    volume: Option<Volume>,
    step: Option<VolumeStep>,
    #[serde(default)]
    scope: Scope,
}

#[post("/{place}/{name}/volume")]
async fn set_volume(
    hub: web::Data<Hub>,
    path: web::Path<(String, String)>,
    body: web::Json<VolumeBody>,
) -> Answer {
    let command = match (body.volume, body.step) {
        (Some(volume), None) => LevelCommand::SetVolume(volume),
        (None, Some(step)) => LevelCommand::AdjustVolume(step),
        _ => return Err(Problem::new(StatusCode::BAD_REQUEST, "give either \"volume\" or \"step\"")),
    };
    let target = target(&hub, &path.0, &path.1, body.scope).await?;
    hub.handle.change_level(target, command).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MuteBody {
    muted: bool,
    #[serde(default)]
    scope: Scope,
}

#[post("/{place}/{name}/mute")]
async fn set_mute(
    hub: web::Data<Hub>,
    path: web::Path<(String, String)>,
    body: web::Json<MuteBody>,
) -> Answer {
    let target = target(&hub, &path.0, &path.1, body.scope).await?;
    hub.handle.change_level(target, LevelCommand::SetMute(body.muted)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlayBody {
    url: String,
    /// Where in the stream to begin, in milliseconds.
    #[serde(default)]
    offset_ms: u64,
}

#[post("/{place}/{name}/play")]
async fn play_media(
    hub: web::Data<Hub>,
    path: web::Path<(String, String)>,
    body: web::Json<PlayBody>,
) -> Answer {
    // No request can name a file of this machine; media folders come with the page.
    if !body.url.starts_with("http://") && !body.url.starts_with("https://") {
        let detail = format!("expected a URL that begins with http:// or https://, found {:?}", body.url);
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let target = target(&hub, &path.0, &path.1, Scope::Group).await?;
    let media = Media {
        url: body.url.clone(),
        offset: Duration::from_millis(body.offset_ms),
        end: None,
        headers: Vec::new(),
    };
    hub.handle.play(target, media).await?;
    Ok(HttpResponse::Accepted().finish())
}

#[post("/{place}/{name}/stop")]
async fn stop_content(hub: web::Data<Hub>, path: web::Path<(String, String)>) -> Answer {
    let target = target(&hub, &path.0, &path.1, Scope::Group).await?;
    hub.handle.stop(target).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupBody {
    name: Option<String>,
    speakers: Vec<String>,
}

#[put("/groups/{id}")]
async fn form_group(hub: web::Data<Hub>, id: web::Path<String>, body: web::Json<GroupBody>) -> Answer {
    let snapshot = hub.handle.snapshot().await?;
    let mut speakers: Vec<SpeakerId> = Vec::new();
    for name in &body.speakers {
        speakers.push(view::find_speaker(&snapshot, name)?);
    }
    // A name that exists means that group; any other text is the id of a new one.
    let id = view::find_group(&snapshot, &id).unwrap_or_else(|_| GroupId::new(id.into_inner()));
    let known = snapshot.groups.iter().find(|g| g.id == id).map(|g| g.name.clone());
    let name = body.name.clone().or(known).unwrap_or_else(|| id.as_str().to_string());
    hub.handle.form(id, name, speakers).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[delete("/groups/{id}")]
async fn dissolve_group(hub: web::Data<Hub>, id: web::Path<String>) -> Answer {
    let group = view::find_group(&hub.handle.snapshot().await?, &id)?;
    hub.handle.dissolve(group).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[post("/speakers/{name}/link")]
async fn start_link(hub: web::Data<Hub>, name: web::Path<String>) -> Answer {
    let speaker = view::find_speaker(&hub.handle.snapshot().await?, &name)?;
    hub.handle.login(speaker).await?;
    Ok(HttpResponse::Accepted().finish())
}

#[delete("/speakers/{name}")]
async fn forget_speaker(hub: web::Data<Hub>, name: web::Path<String>) -> Answer {
    let speaker = view::find_speaker(&hub.handle.snapshot().await?, &name)?;
    hub.handle.forget(speaker).await?;
    Ok(HttpResponse::NoContent().finish())
}
