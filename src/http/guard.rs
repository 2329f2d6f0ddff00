//! Keeps web pages out: a page on the Internet can make its reader's browser send requests to loopback. Such a request
//! bears the page's `Origin`, or reaches us by a host name that is not ours (DNS rebinding).

use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use futures_util::future::{Either, Ready, ready};

use super::problem::Problem;

/// Passes requests of programs on this machine; refuses those of foreign pages with 403.
pub(super) fn only_from_here<S>(
    request: ServiceRequest,
    service: &S,
) -> Either<S::Future, Ready<Result<ServiceResponse<BoxBody>, Error>>>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let text = |name| request.headers().get(name).and_then(|v: &header::HeaderValue| v.to_str().ok());
    let host = text(header::HOST).unwrap_or("").to_string();
    let foreign = text(header::ORIGIN).is_some_and(|origin| origin != format!("http://{host}"));
    if is_loopback(&host) && !foreign {
        return Either::Left(service.call(request));
    }
    let detail = format!("requests for {host:?} are not taken from elsewhere; use http://127.0.0.1");
    Either::Right(ready(Err(Problem::new(StatusCode::FORBIDDEN, detail).into())))
}

/// Whether a `Host` header names this machine's loopback.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_loopback_is_here() {
        for host in ["127.0.0.1:8780", "localhost", "[::1]:8780", "127.0.0.5"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "evil.example:8780", "192.168.1.4", "localhost.evil.example", "[fe80::1]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
