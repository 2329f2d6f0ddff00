//! Owns authorization codes: the request a person is shown ("Authorize from a companion app", "… companion site"),
//! the code it ends in, and the proof asked for when the code is turned into tokens. Sans-IO, as `lwa`.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::lwa::device_of;
use crate::options::{Client, Options};

/// Most codes that wait to be used.
const MAX_CODES: usize = 1000;

type Form = BTreeMap<String, String>;

/// A request that may be shown to a person.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) dsn: String,
    client_id: String,
    pub(crate) redirect_uri: String,
    state: Option<String>,
    challenge: Option<String>,
}

/// Why a request is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) error: &'static str,
    pub(crate) why: String,
    /// Where the error may be told; `None`: who asks cannot be trusted with a redirect.
    pub(crate) redirect: Option<String>,
}

#[derive(Clone, Debug)]
struct Code {
    dsn: String,
    made: Instant,
    /// `None`: given out by a test, good for whoever brings it.
    bound: Option<Request>,
}

/// Codes that wait to be used.
#[derive(Debug, Default)]
pub(crate) struct Codes(HashMap<String, Code>);

/// Checks the query of `/ap/oa`.
pub(crate) fn check(form: &Form, options: &Options) -> Result<Request, Wrong> {
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let plain = |error, why: &str| Wrong { error, why: why.to_owned(), redirect: None };
    let client_id = field("client_id");
    if client_id.is_empty() {
        return Err(plain("invalid_client", "client_id is missing"));
    }
    let client = client(client_id, options).map_err(|why| plain("invalid_client", why))?;
    let redirect_uri = field("redirect_uri");
    if redirect_uri.is_empty() {
        return Err(plain("invalid_request", "redirect_uri is missing"));
    }
    let allowed = client.is_none_or(|client| {
        client.redirects.is_empty() || client.redirects.iter().any(|one| one == redirect_uri)
    });
    if !allowed {
        return Err(plain("invalid_request", "redirect_uri is not one of the client's"));
    }
    let state = form.get("state").filter(|state| !state.is_empty()).cloned();
    let wrong = |error: &'static str, why: &str| {
        let told = [("error", error), ("error_description", why)];
        Wrong { error, why: why.to_owned(), redirect: Some(redirect(redirect_uri, &told, state.as_deref())) }
    };
    if field("response_type") != "code" {
        return Err(wrong("unsupported_response_type", "response_type must be code"));
    }
    if !field("scope").split(' ').any(|word| word == "alexa:all") {
        return Err(wrong("invalid_scope", "scope must hold alexa:all"));
    }
    let dsn = device_of(field("scope_data"));
    let dsn =
        dsn.ok_or_else(|| wrong("invalid_request", "scope_data must name productID and deviceSerialNumber"))?;
    let challenge = form.get("code_challenge").cloned();
    match &challenge {
        Some(_) if field("code_challenge_method") != "S256" => {
            return Err(wrong("invalid_request", "code_challenge_method must be S256"));
        }
        Some(text) if URL_SAFE_NO_PAD.decode(text).is_ok_and(|digest| digest.len() == 32) => {}
        Some(_) => return Err(wrong("invalid_request", "code_challenge is no base64url SHA-256")),
        // A site proves itself by its secret and guards its way back by the state.
        None if client.is_some_and(|client| client.secret.is_none()) => {
            return Err(wrong("invalid_request", "code_challenge is missing and the client has no secret"));
        }
        None if state.is_none() => return Err(wrong("invalid_request", "state is missing")),
        None => {}
    }
    let (client_id, redirect_uri) = (client_id.to_owned(), redirect_uri.to_owned());
    Ok(Request { dsn, client_id, redirect_uri, state, challenge })
}

impl Request {
    /// Where the browser goes with a code.
    pub(crate) fn granted(&self, code: &str) -> String {
        redirect(&self.redirect_uri, &[("code", code), ("scope", "alexa:all")], self.state.as_deref())
    }

    /// Where the browser goes when the person refused.
    pub(crate) fn denied(&self) -> String {
        let told = [("error", "access_denied"), ("error_description", "the person said no")];
        redirect(&self.redirect_uri, &told, self.state.as_deref())
    }
}

impl Codes {
    /// Makes a code for a request a person has allowed; for `bound: None` one that proves itself.
    pub(crate) fn grant(&mut self, dsn: &str, bound: Option<Request>, now: Instant) -> String {
        if self.0.len() >= MAX_CODES {
            let oldest = self.0.iter().min_by_key(|(_, code)| code.made).map(|(name, _)| name.clone());
            oldest.and_then(|name| self.0.remove(&name));
        }
        let name = uuid::Uuid::new_v4().simple().to_string();
        self.0.insert(name.clone(), Code { dsn: dsn.to_owned(), made: now, bound });
        name
    }

    /// Uses a code up: the device it authorizes, and whether its tokens belong to a site with a secret.
    pub(crate) fn redeem(
        &mut self,
        form: &Form,
        now: Instant,
        options: &Options,
    ) -> Result<(String, bool), (&'static str, &'static str)> {
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        let refused = |why| Err(("invalid_grant", why));
        // Good once, whatever comes of it.
        let Some(code) = self.0.remove(field("code")) else { return refused("unknown or used code") };
        let Some(request) = code.bound else { return Ok((code.dsn, false)) };
        if now.saturating_duration_since(code.made) >= options.grant_lifetime {
            return refused("the code has expired");
        }
        if field("client_id") != request.client_id {
            return refused("the code belongs to another client_id");
        }
        if field("redirect_uri") != request.redirect_uri {
            return refused("redirect_uri is not that of the authorization");
        }
        if let Some(challenge) = &request.challenge {
            let verifier = field("code_verifier");
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
            if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(plain) {
                return refused("code_verifier is not 43 to 128 unreserved characters");
            }
            if URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())) != *challenge {
                return refused("code_verifier does not fit the code_challenge");
            }
            return Ok((code.dsn, false));
        }
        proven(field("client_id"), field("client_secret"), options)?;
        Ok((code.dsn, true))
    }
}

/// Whether a site's secret is its own.
pub(crate) fn proven(
    client_id: &str,
    secret: &str,
    options: &Options,
) -> Result<(), (&'static str, &'static str)> {
    let known = client(client_id, options).map_err(|why| ("invalid_client", why))?;
    let wanted = known.and_then(|client| client.secret.as_deref());
    match wanted {
        _ if secret.is_empty() => Err(("invalid_client", "client_secret is missing")),
        Some(wanted) if wanted != secret => Err(("invalid_client", "client_secret is wrong")),
        _ => Ok(()),
    }
}

/// The client of this id; `None` when all are welcome.
fn client<'a>(id: &str, options: &'a Options) -> Result<Option<&'a Client>, &'static str> {
    if options.clients.is_empty() {
        return Ok(None);
    }
    options.clients.iter().find(|client| client.id == id).map(Some).ok_or("client_id is not known")
}

fn redirect(uri: &str, pairs: &[(&str, &str)], state: Option<&str>) -> String {
    let state = state.map(|state| ("state", state));
    let mut out = uri.to_owned();
    for (name, value) in pairs.iter().copied().chain(state) {
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(&format!("{name}={}", crate::form::encode(value)));
    }
    out
}

/// SHA-256, as the TLS library has it.
fn sha256(data: &[u8]) -> Vec<u8> {
    match rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256 {
        rustls::SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider.hash(data).as_ref().to_vec(),
        // This suite is one of TLS 1.3; with no digest nothing would ever fit.
        rustls::SupportedCipherSuite::Tls12(_) => Vec::new(),
    }
}

/// The page a person is shown: what is asked for, and two buttons.
pub(crate) fn page(request: &Request, form: &Form) -> String {
    let hidden: String = form
        .iter()
        .map(|(name, value)| {
            format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escape(name), escape(value))
        })
        .collect();
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Allow?</title>\n\
         <h1>Antiphon simulator</h1>\n<p>May <b>{}</b> make the device <b>{}</b> an Alexa device of yours?</p>\n\
         <form method=\"post\" action=\"/ap/oa\">\n{hidden}\
         <button name=\"decision\" value=\"allow\">Allow</button>\n\
         <button name=\"decision\" value=\"deny\">Deny</button>\n</form></html>\n",
        escape(&request.client_id),
        escape(&request.dsn),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_rfc_7636() {
        let digest = sha256(b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(URL_SAFE_NO_PAD.encode(digest), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
