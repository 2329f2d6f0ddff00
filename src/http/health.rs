//! `GET /healthz`: 200 while the actors answer and the render thread ticks, else 503 with the reason.

use std::time::Duration;

use actix_web::{HttpResponse, get, http::StatusCode, web};
use serde_json::json;

use super::Hub;
use super::problem::Problem;

/// A render thread that has not ticked for so long is stuck; it ticks about every 8 ms.
const STUCK: Duration = Duration::from_secs(2);

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(healthz);
}

#[get("/healthz")]
async fn healthz(hub: web::Data<Hub>) -> Result<HttpResponse, Problem> {
    check(&hub).await.map_err(|why| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why))?;
    Ok(HttpResponse::Ok().json(json!({ "status": "ok" })))
}

/// What the service manager's watchdog asks too.
pub(crate) async fn check(hub: &Hub) -> Result<(), String> {
    let idle = hub.clock.now().since(hub.renderer.last_tick());
    if idle > STUCK {
        return Err(format!("the render thread has not ticked for {} ms", idle.as_millis()));
    }
    let answer = tokio::time::timeout(Duration::from_secs(2), hub.handle.snapshot()).await;
    match answer {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err("the actors did not answer within 2 s".into()),
    }
}
