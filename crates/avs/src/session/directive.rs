//! From a JSON part to a directive, and what a session reads of it itself.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::message::{Directive, Header, StreamId};

#[derive(Deserialize)]
struct Envelope {
    directive: Inner,
}

#[derive(Deserialize)]
struct Inner {
    header: Header,
    // Always present by the book; `{}` is meant when it is not.
    payload: Option<Box<RawValue>>,
}

/// A part that is not a directive.
pub(super) struct NotADirective {
    pub(super) raw: String,
    pub(super) description: String,
}

/// Parses `{"directive":{"header":…,"payload":…}}`; unknown fields are ignored.
pub(super) fn parse(json: Vec<u8>, stream: StreamId) -> Result<Directive, NotADirective> {
    let raw = match String::from_utf8(json) {
        Ok(raw) => raw,
        Err(error) => {
            let raw = String::from_utf8_lossy(error.as_bytes()).into_owned();
            return Err(NotADirective { raw, description: "not UTF-8".into() });
        }
    };
    match serde_json::from_str::<Envelope>(&raw) {
        Ok(Envelope { directive: Inner { header, payload } }) => {
            let payload = match payload {
                Some(payload) => payload,
                None => empty_object(),
            };
            Ok(Directive { header, payload, raw, stream })
        }
        Err(error) => Err(NotADirective { raw, description: error.to_string() }),
    }
}

#[expect(clippy::expect_used, reason = "`{}` is JSON")]
fn empty_object() -> Box<RawValue> {
    RawValue::from_string("{}".into()).expect("valid JSON")
}

/// The code and description of an AVS exception body, empty where there is none ("AVS Exceptions").
pub(super) fn exception(body: &[u8]) -> (String, String) {
    #[derive(Deserialize)]
    struct Body {
        payload: Payload,
    }
    #[derive(Deserialize)]
    struct Payload {
        code: Option<String>,
        description: Option<String>,
    }
    match serde_json::from_slice::<Body>(body) {
        Ok(Body { payload }) => (payload.code.unwrap_or_default(), payload.description.unwrap_or_default()),
        Err(_) => (String::new(), String::new()),
    }
}

/// The gateway named by a SetGateway or SetEndpoint payload.
pub(super) fn named_gateway(directive: &Directive) -> Option<String> {
    #[derive(Deserialize)]
    struct Payload {
        #[serde(alias = "endpoint")]
        gateway: String,
    }
    let payload: Payload = serde_json::from_str(directive.payload.get()).ok()?;
    normal_gateway(&payload.gateway)
}

/// `https://host[:port]` in lower case and without a final slash; `None` for anything else.
pub(super) fn normal_gateway(url: &str) -> Option<String> {
    let url = url.trim().to_ascii_lowercase();
    let authority = url.strip_prefix("https://")?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = split_port(authority)?;
    let host_is_plain = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'[' | b']' | b':'));
    let port_is_number = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    (host_is_plain && port_is_number).then(|| format!("https://{authority}"))
}

/// The host of a normal gateway.
pub(super) fn host_of(gateway: &str) -> &str {
    let authority = gateway.strip_prefix("https://").unwrap_or(gateway);
    split_port(authority).map_or(authority, |(host, _)| host)
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.starts_with('[') {
        let (host, rest) = authority.split_at(authority.find(']')? + 1);
        return if rest.is_empty() {
            Some((host, None))
        } else {
            Some((host, Some(rest.strip_prefix(':')?)))
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

/// Whether `host` is one of `allowed`, or ends in one that begins with a dot.
pub(super) fn is_allowed(host: &str, allowed: &[String]) -> bool {
    allowed
        .iter()
        .any(|entry| if entry.starts_with('.') { host.ends_with(entry.as_str()) } else { host == entry })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_and_others_told() {
        let text = br#"{"directive":{"header":{"namespace":"Speaker","name":"SetVolume","messageId":"1","instance":"x"},
            "endpoint":{"endpointId":"e"},"payload":{"volume": 5}}}"#;
        let directive = parse(text.to_vec(), StreamId(3)).ok().expect("a directive");
        assert_eq!((directive.header.name.as_str(), directive.stream), ("SetVolume", StreamId(3)));
        assert_eq!(directive.payload.get(), "{\"volume\": 5}");
        for bad in [&b"{"[..], b"[]", b"{\"directive\":{\"header\":{}}}", b"\xff"] {
            assert!(parse(bad.to_vec(), StreamId(1)).is_err());
        }
    }

    #[test]
    fn gateways_are_scheme_host_and_port_only() {
        assert_eq!(normal_gateway("https://A.example/"), Some("https://a.example".into()));
        assert_eq!(normal_gateway("https://127.0.0.1:8443"), Some("https://127.0.0.1:8443".into()));
        assert_eq!(normal_gateway("https://[::1]:8443").as_deref().map(host_of), Some("[::1]"));
        for bad in [
            "http://a",
            "https://",
            "https://a/b",
            "https://u@a",
            "https://a:0",
            "https://a:99999",
            "https://a?b",
            "a",
        ] {
            assert_eq!(normal_gateway(bad), None, "{bad}");
        }
        let allowed = [".a2z.com".to_owned(), "one.example".to_owned()];
        assert!(
            is_allowed("alexa.eu.gateway.devices.a2z.com", &allowed) && is_allowed("one.example", &allowed)
        );
        assert!(!is_allowed("evila2z.com", &allowed) && !is_allowed("x.one.example", &allowed));
    }
}
