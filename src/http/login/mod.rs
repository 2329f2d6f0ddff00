//! `/link`: the hub's own page on which people link speakers to their Amazon accounts, and the roads back from there.
//!
//! | route | what |
//! |---|---|
//! | `GET /link` | the page: every speaker, how it is linked, and each way of linking it |
//! | `POST /link/{speaker}/code` | asks for a code; the page shows it |
//! | `GET /link/{speaker}/local`, `…/site` | sends the person to Login with Amazon |
//! | `GET /link/return?code&state` | where Login with Amazon sends the person back to |
//! | `POST /link/{speaker}/logout` | gives the account up |
//!
//! The page works without scripts; its one script only shows news sooner. Everything comes from the hub itself, which
//! the Content-Security-Policy enforces. `{speaker}` is an id or a name.

mod page;
mod pending;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use antiphon_actors::requests::{AuthorizationAnswer, Grant};
use antiphon_domain::{Secret, SpeakerId};
use serde::Deserialize;

use super::Hub;
use super::problem::Problem;
use crate::view;
use page::Page;
pub(crate) use pending::Pending;

/// Nothing but what the hub serves, no frames around it, nothing remembered. `form-action` is for the page's own forms;
/// the roads to Login with Amazon are links, which a redirect may lead away.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

type Shown = Result<HttpResponse, Trouble>;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(show)
        .service(style)
        .service(script)
        .service(come_back)
        .service(ask_code)
        .service(log_out)
        .service(go_local)
        .service(go_site);
}

/// An error as a page of its own: what happened, where, what to do.
#[derive(Debug)]
struct Trouble {
    problem: Problem,
    place: String,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl actix_web::ResponseError for Trouble {
    fn status_code(&self) -> StatusCode {
        self.problem.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        html(self.status_code(), page::trouble(&self.place, &self.problem.to_string()))
    }
}

/// Says where something went wrong.
fn at<E: Into<Problem>>(place: impl Into<String>) -> impl FnOnce(E) -> Trouble {
    let place = place.into();
    |error| Trouble { problem: error.into(), place }
}

fn html(status: StatusCode, text: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // Codes and states stand in addresses: they are told to nobody.
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(text)
}

/// To another page, by GET.
fn see_other(to: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, to))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .finish()
}

#[get("/link")]
async fn show(hub: web::Data<Hub>) -> Shown {
    let snapshot = hub.handle.snapshot().await.map_err(at("the list of speakers"))?;
    let page = Page { snapshot: &snapshot, site: hub.site };
    Ok(html(StatusCode::OK, page.to_string()))
}

#[get("/link/style.css")]
async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(include_str!("style.css"))
}

#[get("/link/page.js")]
async fn script() -> HttpResponse {
    HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(include_str!("page.js"))
}

async fn speaker(hub: &Hub, name: &str) -> Result<SpeakerId, Trouble> {
    let snapshot = hub.handle.snapshot().await.map_err(at("the list of speakers"))?;
    view::find_speaker(&snapshot, name).map_err(at("the list of speakers"))
}

#[post("/link/{name}/code")]
async fn ask_code(hub: web::Data<Hub>, name: web::Path<String>) -> Shown {
    let speaker = speaker(&hub, &name).await?;
    hub.handle.login(speaker).await.map_err(at(format!("asking for a code for {name}")))?;
    Ok(see_other("/link"))
}

#[post("/link/{name}/logout")]
async fn log_out(hub: web::Data<Hub>, name: web::Path<String>) -> Shown {
    let speaker = speaker(&hub, &name).await?;
    hub.handle.log_out(speaker).await.map_err(at(format!("logging out {name}")))?;
    Ok(see_other("/link"))
}

#[get("/link/{name}/local")]
async fn go_local(hub: web::Data<Hub>, name: web::Path<String>, request: HttpRequest) -> Shown {
    go(&hub, &name, &request, Grant::Local).await
}

#[get("/link/{name}/site")]
async fn go_site(hub: web::Data<Hub>, name: web::Path<String>, request: HttpRequest) -> Shown {
    go(&hub, &name, &request, Grant::Site).await
}

/// Where Login with Amazon sends people back to.
pub(super) fn way_back(hub: &Hub, request: &HttpRequest) -> String {
    // The guard has seen to it that this is an address of this machine.
    let host =
        || request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let here = || format!("http://{}/link/return", host());
    hub.redirect_uri.clone().unwrap_or_else(here)
}

/// Sends a person to Login with Amazon, and remembers for which speaker.
async fn go(hub: &Hub, name: &str, request: &HttpRequest, kind: Grant) -> Shown {
    let speaker = speaker(hub, name).await?;
    let asked = hub.handle.begin_authorization(speaker.clone(), way_back(hub, request), kind).await;
    let asked = asked.map_err(at(format!("beginning to link {name}")))?;
    hub.pending.begin(asked.state, speaker, asked.expires, hub.clock.now());
    Ok(see_other(&asked.url))
}

#[derive(Deserialize)]
struct Returned {
    code: Option<Secret>,
    state: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

#[get("/link/return")]
async fn come_back(hub: web::Data<Hub>, query: web::Query<Returned>) -> Shown {
    let Returned { code, state, error, error_description } = query.into_inner();
    let place = "coming back from Amazon";
    let refused = |status, detail: String| Err(at::<Problem>(place)(Problem::new(status, detail)));
    // Good once: whatever comes of it, the same address opened again links nothing.
    let speaker = state.as_deref().and_then(|state| hub.pending.take(state, hub.clock.now()));
    let (Some(speaker), Some(state)) = (speaker, state) else {
        let detail = "this hub did not ask for this log-in, or it was used already, or it is too old. Begin again \
                      on the page of speakers.";
        return refused(StatusCode::BAD_REQUEST, detail.into());
    };
    let Some(code) = code else {
        let said = error_description.or(error).unwrap_or_else(|| "nothing more".into());
        let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
        let detail =
            format!("Amazon gave no code for {speaker} and said: {said}. Nothing was changed; try again.");
        return refused(StatusCode::BAD_REQUEST, detail);
    };
    let answer = AuthorizationAnswer { code, redirect_uri: None, client_id: None, state: Some(state) };
    let linked = hub.handle.authorize(speaker.clone(), answer).await;
    linked.map_err(at(format!("linking {speaker}")))?;
    Ok(see_other("/link"))
}
