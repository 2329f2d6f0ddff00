//! Volume and mute.

use actix_web::{post, web};
use antiphon_domain::{LevelCommand, Volume, VolumeStep};
use serde::Deserialize;

use super::super::Hub;
use super::{Answer, Scope, done, target, wrong};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(set_volume).service(set_mute);
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
        _ => return Err(wrong("give either \"volume\" or \"step\"")),
    };
    let target = target(&hub, &path.0, &path.1, body.scope).await?;
    hub.handle.change_level(target, command).await?;
    done()
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
    done()
}
