//! Owns the plain HTTP/1.1 port: media, and the admin API by which people and scripts drive a running simulator.
//! WHO is a DSN or a friendly name in any case; answers are JSON, errors `{"error":…}` with 400 or 404.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /` | | a short guide |
//! | `GET /devices`, `GET /devices/WHO` | | devices with counts, levels, interfaces |
//! | `GET /devices/WHO/transcript?from=N&wait=MS` | | entries from index N on; waits up to MS for an event |
//! | `POST /devices/WHO/say` | a sentence | `{"sent":[titles],"mark":index}` |
//! | `POST /devices/WHO/directive` | `{"directive":…}`, optional `"attachments":[{"id","base64"}]` | `{"mark":index}` |
//! | `POST /devices/WHO/speech` | a script, below | `{}` |
//! | `GET /devices/WHO/hearings`, `GET /devices/WHO/owed` | | what was heard; what wants an answer |
//! | `POST /devices/WHO/revoke` | | `{}` |
//! | `GET /ap/oa`, `POST /ap/oa` | the form | the page a person allows a device on, or a redirect |
//! | `POST /devices/WHO/fault`, `POST /fault` (all) | a fault's spelling | `{}` |
//! | `GET /codes`, `POST /approve` | a user code | pending codes; the DSN linked |
//! | `GET /violations` | | all so far |
//! | `GET /media/NAME`, `GET /fetched/NAME` | | see `media`; the requests for one |
//!
//! A script prepares the answer to the next Recognize: `text` (what will have been said) or `directives` with
//! `attachments` (as above) or `status` or `falseWake: true`; `stop` (`usual`, `never`, `bytes:N`, `ms:N`,
//! `silence:MS`), `road` (`response`, `downchannel`), `tagged`, `processing`, `newDialog`,
//! `expect: {"timeout":MS,"initiator":…}`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::act::Shown;
use crate::answers::Outgoing;
use crate::media::serve::{Payload, text};
use crate::script::{self, Script};
use crate::state::{Device, Shared};
use crate::transcript::{Direction, Entry};
use crate::{Error, act, form, media};

/// Longest body taken, bytes.
const MAX_BODY: usize = 16 << 20;
/// Longest `wait`.
const MAX_WAIT: Duration = Duration::from_secs(60);

const GUIDE: &str = "antiphon simulator

  antiphon-simulator devices
  antiphon-simulator say NAME \"set volume to 5\"
  antiphon-simulator transcript NAME

Media: /media/demo-1.mp3 to demo-3.mp3, /media/tone-440.mp3 (any frequency; .aac .m4a .opus .ogg .flac .wav)
Failing media: /media/404 /media/500 /media/stall /media/garbage
";

/// Serves the port until dropped.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections: JoinSet<()> = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    // Only slower without it.
                    let _ = tcp.set_nodelay(true);
                    let shared = shared.clone();
                    connections.spawn(async move {
                        let service = service_fn(move |request| answer(shared.clone(), request));
                        let connection = hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(tcp), service);
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "admin connection ended");
                        }
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Payload>, Infallible> {
    let (head, body) = request.into_parts();
    // The page at /ap/oa is for browsers; what it grants goes nowhere but to the redirect it shows.
    let page = head.uri.path() == "/ap/oa";
    if head.method == Method::POST && head.headers.contains_key(header::ORIGIN) && !page {
        // A page in somebody's browser has no business here.
        return Ok(text(StatusCode::FORBIDDEN, "not from a browser\n"));
    }
    let path: Option<Vec<String>> =
        head.uri.path().split('/').filter(|word| !word.is_empty()).map(form::decode).collect();
    let path = path.unwrap_or_default();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    if let (&Method::GET | &Method::HEAD, ["media", name]) = (&head.method, &path[..]) {
        return Ok(media::serve::serve(&shared.tracks, name, &head.headers).await);
    }
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(text(StatusCode::PAYLOAD_TOO_LARGE, "too long\n")),
    };
    if page {
        return Ok(authorize(&shared, &head, &body));
    }
    let query = head.uri.query().and_then(form::parse).unwrap_or_default();
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let done = match (&head.method, &path[..]) {
        (&Method::GET, []) => return Ok(text(StatusCode::OK, GUIDE)),
        (&Method::GET, ["devices"]) => {
            Ok(json!(shared.lock().devices.values().map(Device::view).collect::<Vec<_>>()))
        }
        (&Method::GET, ["devices", who]) => device(&shared, who, |device| json!(device.view())),
        (&Method::GET, ["devices", who, "transcript"]) => {
            let wait = Duration::from_millis(number("wait")).min(MAX_WAIT);
            transcript(&shared, who, number("from"), wait).await
        }
        (&Method::POST, ["devices", who, "say"]) => say(&shared, who, &body).await,
        (&Method::POST, ["devices", who, "directive"]) => directive(&shared, who, &body).await,
        (&Method::POST, ["devices", who, "speech"]) => speech(&shared, who, &body),
        (&Method::GET, ["devices", who, "hearings"]) => device(&shared, who, |device| json!(device.hearings)),
        (&Method::GET, ["devices", who, "owed"]) => {
            device(&shared, who, |device| json!(device.ledger.owed()))
        }
        (&Method::POST, ["devices", who, "revoke"]) => act::revoke(&shared, who).map(|()| json!({})),
        (&Method::GET, ["fetched", name]) => Ok(json!(shared.tracks.fetched(name))),
        (&Method::POST, ["devices", who, "fault"]) => words(&body)
            .and_then(|words| words.parse())
            .and_then(|fault| act::inject(&shared, who, &fault))
            .map(|()| json!({})),
        (&Method::POST, ["fault"]) => words(&body).and_then(|words| words.parse()).map(|fault| {
            act::inject_all(&shared, &fault);
            json!({})
        }),
        (&Method::GET, ["codes"]) => {
            let pending = shared.lock().lwa.pending();
            Ok(pending.iter().map(|(code, dsn)| json!({ "user_code": code, "dsn": dsn })).collect())
        }
        (&Method::POST, ["approve"]) => {
            words(&body).and_then(|code| act::approve(&shared, &code)).map(|dsn| json!({ "dsn": dsn }))
        }
        (&Method::GET, ["violations"]) => {
            act::settle(&shared);
            Ok(json!(shared.lock().violations))
        }
        _ => return Ok(text(StatusCode::NOT_FOUND, "no such path; GET / tells which there are\n")),
    };
    Ok(match done {
        Ok(value) => json_answer(StatusCode::OK, &value),
        Err(error) => {
            let status = match error {
                Error::UnknownDevice(_) | Error::UnknownCode(_) => StatusCode::NOT_FOUND,
                Error::NoDownchannel(_) | Error::Gone(_) => StatusCode::CONFLICT,
                Error::Media { .. } => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::BAD_REQUEST,
            };
            json_answer(status, &json!({ "error": error.to_string() }))
        }
    })
}

fn json_answer(status: StatusCode, value: &Value) -> Response<Payload> {
    let mut response = Response::new(Payload::new(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn words(body: &Bytes) -> Result<String, Error> {
    let wrong = || Error::NotUnderstood(String::from_utf8_lossy(body).into_owned());
    std::str::from_utf8(body).map(|text| text.trim().to_owned()).map_err(|_| wrong())
}

fn device<T>(shared: &Shared, who: &str, view: impl FnOnce(&Device) -> T) -> Result<T, Error> {
    shared.lock().find(who).map(view).ok_or_else(|| Error::UnknownDevice(who.to_owned()))
}

async fn say(shared: &Shared, who: &str, body: &Bytes) -> Result<Value, Error> {
    let mark = device(shared, who, Device::next_index)?;
    let sent = act::say(shared, who, &words(body)?).await?;
    Ok(json!({ "sent": sent, "mark": mark }))
}

async fn directive(shared: &Shared, who: &str, body: &Bytes) -> Result<Value, Error> {
    let mut tree = tree(body)?;
    let attachments = script::attachments(&tree["attachments"])?;
    if let Some(object) = tree.as_object_mut() {
        object.remove("attachments");
    }
    // Not sent by hand as a rule.
    script::complete(&mut tree);
    let mark = device(shared, who, Device::next_index)?;
    act::send(shared, who, Outgoing { message: tree, attachments, attachments_first: false }).await?;
    Ok(json!({ "mark": mark }))
}

fn speech(shared: &Shared, who: &str, body: &Bytes) -> Result<Value, Error> {
    act::answer_speech(shared, who, Script::read(&tree(body)?)?)?;
    Ok(json!({ "mark": device(shared, who, Device::next_index)? }))
}

fn tree(body: &Bytes) -> Result<Value, Error> {
    serde_json::from_slice(body).map_err(|error| Error::NotUnderstood(error.to_string()))
}

fn authorize(shared: &Shared, head: &http::request::Parts, body: &Bytes) -> Response<Payload> {
    let text = String::from_utf8_lossy(body);
    let asked = if head.method == Method::POST { &*text } else { head.uri.query().unwrap_or_default() };
    let (status, content, kind) = match act::authorize(shared, &form::parse(asked).unwrap_or_default()) {
        Shown::Page(page) => (StatusCode::OK, page, header::CONTENT_TYPE),
        Shown::Refused(why) => (StatusCode::BAD_REQUEST, why, header::CONTENT_TYPE),
        Shown::Redirect(url) => (StatusCode::FOUND, url, header::LOCATION),
    };
    let redirected = kind == header::LOCATION;
    let mut response = Response::new(Payload::new(if redirected { String::new() } else { content.clone() }));
    *response.status_mut() = status;
    let value = if redirected { content } else { "text/html; charset=utf-8".to_owned() };
    if let Ok(value) = header::HeaderValue::from_str(&value) {
        response.headers_mut().insert(kind, value);
    }
    response
}

async fn transcript(shared: &Shared, who: &str, from: u64, wait: Duration) -> Result<Value, Error> {
    let mut changed = device(shared, who, |device| device.changed.subscribe())?;
    let entries = || {
        device(shared, who, |device| {
            device.entries.iter().filter(|entry| entry.index >= from).cloned().collect::<Vec<Arc<Entry>>>()
        })
    };
    let event_seen = async {
        loop {
            if entries().is_ok_and(|list| list.iter().any(|entry| entry.direction == Direction::Event)) {
                return;
            }
            // The sender lives in the device, which is never removed.
            let _ = changed.changed().await;
        }
    };
    // Without an event in time the answer is what there is.
    let _ = tokio::time::timeout(wait, event_seen).await;
    let list = entries()?;
    Ok(list.iter().map(|entry| json!(**entry)).collect())
}
