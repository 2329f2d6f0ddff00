//! When speakers are heard: offsets, groups of low latency, and how well it goes.

use actix_web::{HttpResponse, get, put, web};
use antiphon_actors::snapshot::{LowLatencyView, Snapshot, SyncView};
use antiphon_domain::{GroupId, Offset, SpeakerId};
use serde::{Deserialize, Serialize};

use super::super::Hub;
use super::{Answer, Scope, Switch, done, speaker, target, wrong};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(set_offset).service(set_low_latency).service(show_sync);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OffsetBody {
    offset_ms: i64,
}

#[put("/speakers/{name}/offset")]
async fn set_offset(hub: web::Data<Hub>, name: web::Path<String>, body: web::Json<OffsetBody>) -> Answer {
    let offset = Offset::new(body.offset_ms)
        .map_err(|_| wrong(format!("offset_ms: expected -1000 to 1000, found {}", body.offset_ms)))?;
    hub.handle.set_offset(speaker(&hub, &name).await?, offset).await?;
    done()
}

#[put("/{place}/{name}/low-latency")]
async fn set_low_latency(
    hub: web::Data<Hub>,
    path: web::Path<(String, String)>,
    body: web::Json<Switch>,
) -> Answer {
    let target = target(&hub, &path.0, &path.1, Scope::Group).await?;
    hub.handle.set_low_latency(target, body.on).await?;
    done()
}

/// The house as its clocks see it.
#[derive(Serialize)]
struct Sync<'a> {
    speakers: Vec<SpeakerSync<'a>>,
    groups: Vec<GroupSync<'a>>,
}

#[derive(Serialize)]
struct SpeakerSync<'a> {
    id: &'a SpeakerId,
    name: &'a str,
    kind: &'static str,
    group: Option<&'a GroupId>,
    offset_ms: i32,
    playing: bool,
    /// Absent while no session is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    sync: Option<&'a SyncView>,
}

#[derive(Serialize)]
struct GroupSync<'a> {
    id: &'a GroupId,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    low_latency: Option<&'a LowLatencyView>,
}

fn sync_of(snapshot: &Snapshot) -> Sync<'_> {
    Sync {
        speakers: snapshot
            .speakers
            .iter()
            .map(|s| SpeakerSync {
                id: &s.id,
                name: &s.name,
                kind: s.kind,
                group: s.group.as_ref(),
                offset_ms: s.offset_ms,
                playing: s.playing,
                sync: s.sync.as_ref(),
            })
            .collect(),
        groups: snapshot
            .groups
            .iter()
            .map(|g| GroupSync { id: &g.id, name: &g.name, low_latency: g.low_latency.as_ref() })
            .collect(),
    }
}

#[get("/sync")]
async fn show_sync(hub: web::Data<Hub>) -> Answer {
    Ok(HttpResponse::Ok().json(sync_of(&hub.handle.snapshot().await?)))
}
