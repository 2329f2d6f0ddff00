//! `GET /metrics`: prints the registry; every figure is registered where it is counted.

use actix_web::{HttpResponse, get, http::StatusCode, web};
use prometheus::{Encoder, TextEncoder};

use super::Hub;
use super::problem::Problem;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(print);
}

#[get("/metrics")]
async fn print(hub: web::Data<Hub>) -> Result<HttpResponse, Problem> {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    encoder
        .encode(&hub.registry.gather(), &mut text)
        .map_err(|e| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("metrics: {e}")))?;
    Ok(HttpResponse::Ok().content_type(encoder.format_type().to_string()).body(text))
}
