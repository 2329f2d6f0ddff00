//! Errors as problem details (RFC 9457): what happened, where, and what to do.

use actix_web::error::{JsonPayloadError, PathError, QueryPayloadError};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use antiphon_actors::HubError;
use antiphon_domain::house::HouseError;
use serde_json::json;

/// An error on its way to a client.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// Nothing of that name.
    pub(crate) fn unknown(what: &str, name: &str, known: &[String]) -> Self {
        let known = if known.is_empty() {
            "there is none yet".into()
        } else {
            format!("known: {}", known.join(", "))
        };
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what} {name:?}; {known}"))
    }
}

impl Problem {
    pub(crate) fn ambiguous(what: &str, name: &str, ids: &[&str]) -> Self {
        let ids = ids.join(", ");
        Self::new(StatusCode::CONFLICT, format!("more than one {what} is called {name:?}; use an id: {ids}"))
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        HttpResponse::build(self.status).content_type("application/problem+json").body(body.to_string())
    }
}

impl From<HubError> for Problem {
    fn from(error: HubError) -> Self {
        let status = match &error {
            HubError::House(HouseError::NoSpeaker(_) | HouseError::NoGroup(_)) => StatusCode::NOT_FOUND,
            HubError::House(HouseError::Nobody) => StatusCode::BAD_REQUEST,
            HubError::House(_) => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

pub(crate) fn bad_json(error: JsonPayloadError, _: &HttpRequest) -> actix_web::Error {
    Problem::new(StatusCode::BAD_REQUEST, format!("the request's body: {error}")).into()
}

pub(crate) fn bad_query(error: QueryPayloadError, _: &HttpRequest) -> actix_web::Error {
    Problem::new(StatusCode::BAD_REQUEST, format!("the request's query: {error}")).into()
}

pub(crate) fn bad_path(error: PathError, _: &HttpRequest) -> actix_web::Error {
    Problem::new(StatusCode::NOT_FOUND, format!("the request's path: {error}")).into()
}

pub(crate) async fn not_found(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::new(
        StatusCode::NOT_FOUND,
        format!("there is nothing at {} {}", request.method(), request.path()),
    ))
}
