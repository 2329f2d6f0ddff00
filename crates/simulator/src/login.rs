//! Owns the two services beside AVS on the HTTP/2 port: Login with Amazon under `/auth/o2` and the Capabilities API.
//! Reads and checks the requests; `lwa` decides.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::request::Parts;
use serde_json::{Value, json};

use crate::act::{self, Shown};
use crate::connection::Link;
use crate::lwa::{self, Bearer, Outcome};
use crate::state::Declared;
use crate::{form, reply, strict};

/// `POST /auth/O2/create/codepair` and `POST /auth/O2/token`; `path` is in lower case.
pub(crate) async fn lwa(
    link: &Arc<Link>,
    path: &str,
    head: &Parts,
    mut body: RecvStream,
    mut respond: SendResponse<Bytes>,
) {
    let bytes = reply::body(&mut body).await;
    let content_type = reply::text(&head.headers, "content-type");
    if !content_type.starts_with("application/x-www-form-urlencoded") {
        link.violation(path, format!("content-type {content_type:?} instead of a form"));
    }
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(form) = text.and_then(|text| form::parse(&text)) else {
        link.violation(path, "the body is not a form");
        let (status, body) = lwa::error("invalid_request", "the body is not a form");
        return reply::send(&mut respond, status, Some(&body));
    };
    let now = Instant::now();
    let shared = &link.shared;
    let mut touched = None;
    let mut mischief = None;
    let (status, answer) = {
        let mut state = shared.lock();
        let state = &mut *state;
        match path {
            "/auth/o2/create/codepair" => match state.pair_errors.pop_front() {
                Some(error) => {
                    mischief = Some(error);
                    lwa::error("servererror", "injected")
                }
                None => state.lwa.create_pair(&form, now, &shared.options),
            },
            "/auth/o2/token" => {
                let owner =
                    form.get("refresh_token").and_then(|token| state.lwa.owner(token, &shared.options));
                let own = owner.as_deref().and_then(|dsn| state.device(dsn).armed.lwa.pop_front());
                let (answer, outcome) = match own.or_else(|| state.lwa_errors.pop_front()) {
                    Some(error) => {
                        let answer = lwa::error(&error, "injected");
                        mischief = Some(error);
                        (answer, Outcome::Refused)
                    }
                    None => state.lwa.token(&form, now, &shared.options),
                };
                touched = match outcome {
                    Outcome::Refreshed(dsn) => {
                        state.device(&dsn).counts.refreshes += 1;
                        Some(dsn)
                    }
                    Outcome::Refused => {
                        // A token that never was anybody's counts nowhere.
                        if let Some(dsn) = &owner {
                            state.device(dsn).counts.refused_refreshes += 1;
                        }
                        owner
                    }
                    Outcome::Other => None,
                };
                answer
            }
            _ => (404, json!({ "error": "invalid_request", "error_description": "no such path" })),
        }
    };
    tracing::info!(path, status, dsn = touched, "login");
    if let Some(dsn) = touched {
        shared.touch(&dsn);
    }
    match mischief.as_deref() {
        Some("garbage") => reply::page(&mut respond, 200, "<html>{\"access_token\":"),
        Some("reset") => respond.send_reset(h2::Reason::INTERNAL_ERROR),
        Some("silence") => {
            // Until the peer gives up.
            let _ = std::future::poll_fn(|context| respond.poll_reset(context)).await;
        }
        Some(error) => {
            let (status, answer) = lwa::error(error, "injected");
            reply::send(&mut respond, status, Some(&answer));
        }
        None => reply::send(&mut respond, status, Some(&answer)),
    }
}

/// `GET /user/profile?access_token=…`.
pub(crate) fn profile(link: &Link, head: &Parts, mut respond: SendResponse<Bytes>) {
    let query = head.uri.query().and_then(form::parse).unwrap_or_default();
    let token = query.get("access_token").map_or("", String::as_str);
    let (status, body) = link.shared.lock().lwa.profile(token, Instant::now());
    reply::send(&mut respond, status, Some(&body));
}

/// `GET /ap/oa?…`, and the form it shows.
pub(crate) async fn page(link: &Link, head: &Parts, mut body: RecvStream, mut respond: SendResponse<Bytes>) {
    let body = reply::body(&mut body).await.unwrap_or_default();
    let text = String::from_utf8(body).unwrap_or_default();
    let asked =
        if head.method == http::Method::POST { text.as_str() } else { head.uri.query().unwrap_or_default() };
    match act::authorize(&link.shared, &form::parse(asked).unwrap_or_default()) {
        Shown::Page(page) => reply::page(&mut respond, 200, &page),
        Shown::Refused(why) => reply::page(&mut respond, 400, &why),
        Shown::Redirect(url) => reply::redirect(&mut respond, &url),
    }
}

/// `PUT /v1/devices/@self/capabilities`.
pub(crate) async fn capabilities(
    link: &Arc<Link>,
    head: &Parts,
    mut body: RecvStream,
    mut respond: SendResponse<Bytes>,
) {
    let path = head.uri.path();
    let bytes = reply::body(&mut body).await.unwrap_or_default();
    let token = reply::text(&head.headers, "x-amz-access-token");
    if head.headers.contains_key("authorization") {
        link.violation(path, "authorization instead of x-amz-access-token");
    }
    let bearer = link.shared.lock().lwa.bearer(token, Instant::now());
    let Bearer::Valid(dsn) = bearer else {
        return reply::send(&mut respond, 403, Some(&json!({ "message": "the access token is not valid" })));
    };
    let forced = link.shared.lock().device(&dsn).armed.capabilities_status.pop_front();
    if let Some(status) = forced {
        return reply::send(&mut respond, status, Some(&json!({ "message": "injected" })));
    }
    let mut faults = Vec::new();
    if !reply::text(&head.headers, "content-type").starts_with("application/json") {
        faults.push("content-type is not application/json".to_owned());
    }
    let tree: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if tree["envelopeVersion"] != "20160207" {
        faults.push("envelopeVersion is not \"20160207\"".to_owned());
    }
    let interfaces = strict::capabilities(&tree["capabilities"], &mut faults);
    if !faults.is_empty() {
        for fault in &faults {
            link.shared.violation(Some(&dsn), link.id, path, fault.clone());
        }
        return reply::send(&mut respond, 400, Some(&json!({ "message": faults.join("; ") })));
    }
    let mixed = {
        let mut state = link.shared.lock();
        let device = state.device(&dsn);
        let mixed = device.declared.as_ref().is_some_and(|before| before.modern);
        device.declared = Some(Arc::new(Declared { modern: false, interfaces }));
        device.counts.declarations += 1;
        mixed
    };
    if mixed {
        link.shared.violation(
            Some(&dsn),
            link.id,
            path,
            "Capabilities API after Alexa.Discovery: stacks are mixed",
        );
    }
    link.shared.touch(&dsn);
    reply::send(&mut respond, 204, None);
}
