//! What is there: the whole picture, speakers, groups; and forgetting a speaker.

use actix_web::{HttpResponse, delete, get, web};

use super::super::Hub;
use super::{Answer, done, speaker};
use crate::view;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(show_hub)
        .service(list_speakers)
        .service(show_speaker)
        .service(list_groups)
        .service(forget_speaker);
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

#[delete("/speakers/{name}")]
async fn forget_speaker(hub: web::Data<Hub>, name: web::Path<String>) -> Answer {
    hub.handle.forget(speaker(&hub, &name).await?).await?;
    done()
}
