//! A speaker's Amazon account: linked by a code or by a companion app, and given up. Sites and the hub's own page come
//! by `/link` (`http::login`).

use actix_web::{HttpRequest, HttpResponse, delete, post, web};
use antiphon_actors::requests::{AuthorizationAnswer, Grant};
use antiphon_domain::Secret;
use serde::Deserialize;
use serde_json::json;

use super::super::Hub;
use super::super::login::way_back;
use super::{Answer, done, speaker, wrong};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(start_link).service(log_out).service(begin_app).service(finish_app);
}

#[post("/speakers/{name}/link")]
async fn start_link(hub: web::Data<Hub>, name: web::Path<String>) -> Answer {
    hub.handle.login(speaker(&hub, &name).await?).await?;
    Ok(HttpResponse::Accepted().finish())
}

#[delete("/speakers/{name}/link")]
async fn log_out(hub: web::Data<Hub>, name: web::Path<String>) -> Answer {
    hub.handle.log_out(speaker(&hub, &name).await?).await?;
    done()
}

/// What a companion app needs to ask Login with Amazon on this speaker's behalf. Where the code goes is the app's own.
#[post("/speakers/{name}/link/app")]
async fn begin_app(hub: web::Data<Hub>, name: web::Path<String>, request: HttpRequest) -> Answer {
    let speaker = speaker(&hub, &name).await?;
    // Only for an app that has none of its own; with the code it says which it used.
    let back = way_back(&hub, &request);
    let request = hub.handle.begin_authorization(speaker, back, Grant::App).await?;
    Ok(HttpResponse::Ok().json(json!({
        "client_id": request.client_id,
        "product_id": request.product_id,
        "dsn": request.dsn,
        "code_challenge": request.code_challenge,
        "code_challenge_method": "S256",
        "scope": request.scope,
        "scope_data": request.scope_data,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeBody {
    code: Secret,
    client_id: String,
    redirect_uri: String,
}

/// The code that Login with Amazon gave the app; the speaker is linked when this answers.
#[post("/speakers/{name}/link/code")]
async fn finish_app(hub: web::Data<Hub>, name: web::Path<String>, body: web::Json<CodeBody>) -> Answer {
    let CodeBody { code, client_id, redirect_uri } = body.into_inner();
    for (key, value) in [("client_id", &client_id), ("redirect_uri", &redirect_uri)] {
        if value.is_empty() || value.len() > 2_048 {
            return Err(wrong(format!("{key}: expected that of the app, 1 to 2048 bytes")));
        }
    }
    let speaker = speaker(&hub, &name).await?;
    let answer = AuthorizationAnswer {
        code,
        redirect_uri: Some(redirect_uri),
        client_id: Some(client_id),
        state: None,
    };
    hub.handle.authorize(speaker, answer).await?;
    done()
}
