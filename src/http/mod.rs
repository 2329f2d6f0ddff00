//! The HTTP surface: a JSON API, metrics, health and the page to link speakers on one listener, on loopback alone.
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
//! | `PUT /api/{speakers\|groups}/{id}/low-latency` | `{"on": true}`: as quick as every member can, from the next stream on |
//! | `PUT /api/speakers/{id}/offset` | `{"offset_ms": -1000..1000}`: heard so much later than the others, at once |
//! | `GET /api/sync` | how well each speaker keeps time, as far as its protocol tells |
//! | `GET /api/pairing` | receivers that want something of a person: `approval`, `code`, or `nothing` any more |
//! | `POST /api/pairing/{id}` | `{"answer": "approve\|refuse\|unpair"}` or `{"answer": "code", "code": "…"}` |
//! | `PUT /api/groups/{id}` | `{"name": "…", "speakers": ["…"]}` forms or changes a group |
//! | `DELETE /api/groups/{id}` | everybody is alone again |
//! | `DELETE /api/speakers/{id}` | forgets a speaker |
//! | `GET /metrics`, `GET /healthz` | for Prometheus; for the service manager |
//!
//! Of a speaker's Alexa device, below `/api/speakers/{id}/`:
//!
//! | route | what |
//! |---|---|
//! | `POST listen?initiator=tap\|hold\|wakeword` | the body is speech as it is captured: `audio/wav`, `audio/l16` or `application/octet-stream` (16 kHz, 16 bit, mono, little-endian), `audio/opus` (frames of 80 bytes); also `profile=close-talk\|near-field\|far-field`, `format=pcm\|opus`, `wake_word`, `start`, `end`, `voice_energy`, `ambient_energy`; 204 when it is over |
//! | `GET alerts`, `POST alerts/stop` | alarms, timers and reminders; silence what rings |
//! | `PUT alerts/volume`, `PUT alerts/ramp` | `{"volume": 0..100}`; `{"on": true}`: alarms come up slowly |
//! | `POST buttons/{play\|pause\|next\|previous\|skip-forward\|skip-backward}` | a key: Alexa decides what it does |
//! | `PUT toggles/{shuffle\|loop\|repeat\|thumbs-up\|thumbs-down}` | `{"on": true}` |
//! | `PUT equalizer` | `{"bands": {"bass": -6..6, "midrange": …, "treble": …}, "mode": "movie\|music\|night\|sport\|tv\|none"}` |
//! | `PUT input` | `{"input": "LINE 1"}`: one of the configured inputs |
//! | `PUT locale`, `PUT time-zone` | `{"locales": ["de-DE"]}`; `{"time_zone": "Europe/Berlin"}` |
//! | `PUT tones` | `{"wake_word": true, "speech": true}`: tones when listening begins and ends |
//! | `DELETE card` | puts the card away |
//! | `POST link` | asks for a code to link it to an Amazon account; the speaker shows it |
//! | `POST link/app`, `POST link/code` | for a companion app: what it needs to ask Amazon; then `{"code", "client_id", "redirect_uri"}` |
//! | `DELETE link` | logs out: account, alarms, settings of the device are erased |
//!
//! `GET /link` is a page that shows which speakers are linked and links them (see `login`).
//!
//! Requests that a web page of another origin makes a browser send are refused (`guard`).
//!
//! `{id}` is an id or, where only one fits, a name. Errors are problem details (RFC 9457).

mod api;
mod guard;
pub(crate) mod health;
mod login;
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
    /// The hub's inputs: name in Alexa's list, what people call it.
    pub(crate) inputs: Vec<(String, Vec<String>)>,
    /// The locales that may be chosen.
    pub(crate) locales: Vec<String>,
    /// Where Login with Amazon sends people back to, where that is configured.
    pub(crate) redirect_uri: Option<String>,
    /// Whether a companion site can be used: there is a client's secret.
    pub(crate) site: bool,
    /// Log-ins under way by page.
    pub(crate) pending: std::sync::Arc<login::Pending>,
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
            .app_data(web::PathConfig::default().error_handler(problem::bad_path))
            .app_data(web::QueryConfig::default().error_handler(problem::bad_query))
            .configure(api::routes)
            .configure(login::routes)
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
