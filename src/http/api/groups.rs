//! Groups: formed, changed, ended.

use actix_web::{delete, put, web};
use antiphon_domain::{GroupId, SpeakerId};
use serde::Deserialize;

use super::super::Hub;
use super::{Answer, done};
use crate::view;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(form_group).service(dissolve_group);
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
    done()
}

#[delete("/groups/{id}")]
async fn dissolve_group(hub: web::Data<Hub>, id: web::Path<String>) -> Answer {
    let group = view::find_group(&hub.handle.snapshot().await?, &id)?;
    hub.handle.dissolve(group).await?;
    done()
}
