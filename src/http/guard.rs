//! Keeps web pages out: a page on the Internet can make its reader's browser send requests to loopback. Such a request
//! bears the page's `Origin`, or reaches us by a host name that is not ours (DNS rebinding), or, where it is a mere link
//! or picture, says in `Sec-Fetch-Site` that it comes from elsewhere.

use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use futures_util::future::{Either, Ready, ready};

use super::problem::Problem;

/// Where a browser says the page stands that asks (W3C, Fetch Metadata Request Headers).
const SITE: header::HeaderName = header::HeaderName::from_static("sec-fetch-site");

/// What other pages may lead to: the page of speakers, and the way back from Login with Amazon, whose `state` nobody
/// else knows (and which ends on that page, as part of the same journey).
const OPEN: [&str; 2] = ["/link", "/link/return"];

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
    let foreign = text(header::ORIGIN).is_some_and(|origin| origin != format!("http://{host}"))
        || is_led_here(text(SITE), request.path());
    if is_loopback(&host) && !foreign {
        return Either::Left(service.call(request));
    }
    let detail = format!("requests for {host:?} are not taken from elsewhere; use http://127.0.0.1");
    Either::Right(ready(Err(Problem::new(StatusCode::FORBIDDEN, detail).into())))
}

/// Whether another page made the browser ask for something it has no business with. Programs do not send the header;
/// a browser says `none` for an address somebody typed.
fn is_led_here(site: Option<&str>, path: &str) -> bool {
    site.is_some_and(|site| site != "same-origin" && site != "none") && !OPEN.contains(&path)
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
    use super::{is_led_here, is_loopback};

    #[test]
    fn other_pages_lead_to_the_page_and_back_from_amazon_alone() {
        for site in ["cross-site", "same-site", "anything new"] {
            assert!(is_led_here(Some(site), "/link/kitchen/local"), "{site}");
            assert!(is_led_here(Some(site), "/api/hub"), "{site}");
            assert!(!is_led_here(Some(site), "/link"), "{site}");
            assert!(!is_led_here(Some(site), "/link/return"), "{site}");
        }
        for site in [None, Some("none"), Some("same-origin")] {
            assert!(!is_led_here(site, "/link/kitchen/local"), "{site:?}");
        }
    }

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
