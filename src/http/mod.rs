//! The HTTP surface: a JSON API, metrics and health on one listener, loopback unless the owner says otherwise.
//!
//! | route | what |
//! |---|---|
//! | `GET /api/hub` | the whole picture: speakers and groups |
//! | `GET /api/speakers`, `GET /api/speakers/{id}` | speakers |
//! | `GET /api/groups` | groups that somebody formed |
//! | `POST /api/{speakers\|groups}/{id}/volume` | `{"volume": 0..100}` or `{"step": -100..100}`; `"scope": "speaker"` for one alone |
//! | `POST /api/{speakers\|groups}/{id}/mute` | `{"muted": true}`; the same scope |
//! | `POST /api/{speakers\|groups}/{id}/play` | `{"url": "https://…"}` |
//! | `POST /api/{speakers\|groups}/{id}/stop` | stops what its group plays |
//! | `PUT /api/groups/{id}` | `{"name": "…", "speakers": ["…"]}` forms or changes a group |
//! | `DELETE /api/groups/{id}` | everybody is alone again |
//! | `POST /api/speakers/{id}/link` | asks for a code to link it to an Amazon account; the speaker shows it |
//! | `DELETE /api/speakers/{id}` | forgets a speaker |
//! | `GET /metrics`, `GET /healthz` | for Prometheus; for the service manager |
//!
//! Requests that a web page of another origin makes a browser send are refused (`guard`).
//!
//! `{id}` is an id or, where only one fits, a name. Errors are problem details (RFC 9457).

mod api;
mod guard;
pub(crate) mod health;
mod metrics;
mod problem;

pub(crate) use problem::Problem;

use std::net::{SocketAddr, TcpListener};

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};
use antiphon_actors::HubHandle;
use antiphon_render::Renderer;
use prometheus::Registry;

/// What the handlers hold.
#[derive(Clone)]
pub(crate) struct Hub {
    pub(crate) handle: HubHandle,
    pub(crate) registry: Registry,
    pub(crate) renderer: Renderer,
    pub(crate) clock: std::sync::Arc<dyn antiphon_endpoint::Clock>,
}

/// Binds the listener; fails with the system's words when the address is taken.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address)
}

/// Serves on a bound listener. Runs on the actors' thread with one worker of its own.
pub(crate) fn serve(listener: TcpListener, hub: Hub) -> std::io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .wrap_fn(guard::only_from_here)
            .app_data(web::Data::new(hub.clone()))
            .app_data(web::JsonConfig::default().limit(64 * 1024).error_handler(problem::bad_json))
            .configure(api::routes)
            .configure(health::routes)
            .configure(metrics::routes)
            .default_service(web::to(problem::not_found))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(2)
    .listen(listener)?;
    Ok(server.run())
}
