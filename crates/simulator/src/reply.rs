//! Owns the short answers on the HTTP/2 port: statuses, JSON bodies, AVS exceptions; and the reading of short bodies.

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Response};
use serde_json::{Value, json};

/// Longest body read for LWA and Capabilities, bytes.
const MAX_BODY: usize = 256 * 1024;

/// The bare exception body that belongs to a status ("Exceptions", AVS pages); 503 and others have none.
pub(crate) fn exception(status: u16) -> Option<Value> {
    let code = match status {
        400 => "INVALID_REQUEST_EXCEPTION",
        401 | 403 => "UNAUTHORIZED_REQUEST_EXCEPTION",
        415 => "UNSUPPORTED_MEDIA_TYPE",
        429 => "THROTTLING_EXCEPTION",
        500 => "INTERNAL_SERVICE_EXCEPTION",
        _ => return None,
    };
    let id = uuid::Uuid::new_v4().to_string();
    Some(json!({
        "header": { "namespace": "System", "name": "Exception", "messageId": id },
        "payload": { "code": code, "description": null },
    }))
}

/// Response head with a request id, as the service gives one to each.
pub(crate) fn head(status: u16, content_type: Option<&str>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = http::HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set("x-amzn-requestid", &uuid::Uuid::new_v4().to_string());
    if let Some(content_type) = content_type {
        set("content-type", content_type);
    }
    response
}

/// Answers with a status and, if given, a JSON body. A peer that is gone does not matter.
pub(crate) fn send(respond: &mut SendResponse<Bytes>, status: u16, body: Option<&Value>) {
    let content_type = body.map(|_| "application/json");
    let Ok(mut stream) = respond.send_response(head(status, content_type), body.is_none()) else { return };
    if let Some(body) = body {
        let _ = stream.send_data(body.to_string().into(), true);
    }
}

/// Answers with a status and its exception body, if it has one.
pub(crate) fn refuse(respond: &mut SendResponse<Bytes>, status: u16) {
    send(respond, status, exception(status).as_ref());
}

/// Answers with a page.
pub(crate) fn page(respond: &mut SendResponse<Bytes>, status: u16, text: &str) {
    let head = head(status, Some("text/html; charset=utf-8"));
    if let Ok(mut stream) = respond.send_response(head, false) {
        let _ = stream.send_data(text.to_owned().into(), true);
    }
}

/// Sends a browser elsewhere.
pub(crate) fn redirect(respond: &mut SendResponse<Bytes>, url: &str) {
    let mut head = head(302, None);
    if let Ok(location) = http::HeaderValue::from_str(url) {
        head.headers_mut().insert("location", location);
    }
    let _ = respond.send_response(head, true);
}

/// Reads a short body whole; `None` if it is too long or breaks off.
pub(crate) async fn body(stream: &mut RecvStream) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk.ok()?;
        let _ = stream.flow_control().release_capacity(chunk.len());
        if whole.len() + chunk.len() > MAX_BODY {
            return None;
        }
        whole.extend_from_slice(&chunk);
    }
    Some(whole)
}

/// A header as text; empty if absent.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
