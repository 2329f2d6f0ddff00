//! Alarms, timers and reminders of one speaker: what is set, silencing what rings, their loudness.

use actix_web::{HttpResponse, get, post, put, web};
use antiphon_avs::signal::Wish;
use antiphon_domain::Volume;
use serde::Deserialize;
use serde_json::json;

use super::super::Hub;
use super::{Answer, Switch, wish};
use crate::view;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(list).service(stop).service(volume).service(ramp);
}

#[get("/speakers/{name}/alerts")]
async fn list(hub: web::Data<Hub>, name: web::Path<String>) -> Answer {
    let snapshot = hub.handle.snapshot().await?;
    let id = view::find_speaker(&snapshot, &name)?;
    let found = snapshot.speakers.iter().find(|s| s.id == id);
    let answer = found.map(|s| {
        json!({
            "alerts": s.device.alerts,
            "volume": s.device.alert_volume,
            "ramp": s.device.alarm_ramp,
            "rung_by": s.rung_by,
            "rings_for": s.rings_for,
            "unheard": s.unheard,
        })
    });
    Ok(HttpResponse::Ok().json(answer))
}

#[post("/speakers/{name}/alerts/stop")]
async fn stop(hub: web::Data<Hub>, name: web::Path<String>) -> Answer {
    wish(&hub, &name, Wish::StopAlert).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VolumeBody {
    volume: Volume,
}

#[put("/speakers/{name}/alerts/volume")]
async fn volume(hub: web::Data<Hub>, name: web::Path<String>, body: web::Json<VolumeBody>) -> Answer {
    wish(&hub, &name, Wish::AlertVolume(body.volume)).await
}

#[put("/speakers/{name}/alerts/ramp")]
async fn ramp(hub: web::Data<Hub>, name: web::Path<String>, body: web::Json<Switch>) -> Answer {
    wish(&hub, &name, Wish::AlarmRamp(body.on)).await
}
