//! Authorisation by a code that a person's browser or application brings: companion application, companion site, and the
//! hub's own page. Owns the requests that wait for their code; no I/O, driven by `tokens`.
//!
//! Promises: a `state` is good once and for ten minutes; a PKCE verifier never leaves this process but to Login with
//! Amazon itself. Sources: Amazon's "Authorize an AVS Device Through a Companion App", "Authorize from a Companion Site";
//! RFC 6749 4.1, RFC 7636.

use std::time::Duration;

use antiphon_avs::session::Secret;
use antiphon_domain::HubTime;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use thiserror::Error;

use crate::LinkConfig;
use crate::credentials::Client;

/// How long a request waits for its code (ours; LWA's codes live for five minutes).
const PATIENCE: Duration = Duration::from_secs(600);

/// Requests that wait at a time; the oldest is forgotten.
const MAX_BEGUN: usize = 4;

/// Longest text taken from a surface (LWA's codes and URLs are far shorter).
const MAX_TEXT: usize = 2048;

/// Who brings the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grant {
    /// An application on a person's telephone: it has a client id of its own, and PKCE ties its code to this speaker.
    App,
    /// A web site: the hub's configuration holds its client secret.
    Site,
    /// The hub's own page, opened on the hub's own machine.
    Local,
}

/// What a surface needs to send a person to Login with Amazon.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// Where to send the browser; an application may make its own request of the parts below.
    pub url: String,
    /// Comes back with the code; good once, until `expires`.
    pub state: String,
    /// The PKCE challenge by method S256; a site has a secret instead.
    pub code_challenge: Option<String>,
    /// The hub's LWA client id.
    pub client_id: String,
    /// The AVS product id.
    pub product_id: String,
    /// The speaker's serial number.
    pub dsn: String,
    /// The scopes, separated by blanks.
    pub scope: String,
    /// Product and serial number as LWA's `scope_data` wants them, JSON.
    pub scope_data: String,
    /// When it is forgotten.
    pub expires: HubTime,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct AuthorizationAnswer {
    /// The authorization code.
    pub code: Secret,
    /// Where LWA sent the code, if an application used another address than the request's.
    pub redirect_uri: Option<String>,
    /// The application's own client id, if it has one.
    pub client_id: Option<String>,
    /// The request's `state`; an application may leave it out.
    pub state: Option<String>,
}

/// Why an authorisation came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoginError {
    /// No request waits for this answer: it was used, has expired, or never was.
    #[error("no authorization request of this state waits for an answer")]
    UnknownState,
    /// A field is missing, too long or not what it should be.
    #[error("`{field}` is missing or unfit")]
    Unfit {
        /// The field.
        field: &'static str,
    },
    /// A site's tokens need the client secret, and the configuration has none.
    #[error("a companion site needs avs.client_secret")]
    NoClientSecret,
    /// Login with Amazon refused.
    #[error("login with amazon refused: {code}")]
    Refused {
        /// Its error code.
        code: String,
    },
    /// Login with Amazon gave no usable answer.
    #[error("login with amazon gave no usable answer")]
    Unreachable,
    /// Another login, or a log-out, took its place.
    #[error("another login took its place")]
    Superseded,
    /// The link has ended or is busy.
    #[error("the link takes no requests")]
    Closed,
}

/// A code with all that must be shown together with it.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) code: Secret,
    pub(crate) redirect_uri: String,
    pub(crate) client: Client,
    pub(crate) verifier: Option<Secret>,
}

/// A request that waits for its code.
#[derive(Debug)]
struct Begun {
    grant: Grant,
    state: String,
    redirect_uri: String,
    verifier: Option<Secret>,
    expires: HubTime,
}

/// The requests of one speaker that wait for their codes.
#[derive(Debug, Default)]
pub(crate) struct Requests(Vec<Begun>);

impl Requests {
    /// Makes a request and remembers it.
    pub(crate) fn begin(
        &mut self,
        config: &LinkConfig,
        grant: Grant,
        redirect_uri: String,
        now: HubTime,
    ) -> Result<AuthorizationRequest, LoginError> {
        if !is_address(&redirect_uri, grant) {
            return Err(LoginError::Unfit { field: "redirect_uri" });
        }
        if grant == Grant::Site && config.client_secret.is_none() {
            return Err(LoginError::NoClientSecret);
        }
        let state = random_text();
        let verifier = (grant != Grant::Site).then(random_text);
        let code_challenge = verifier.as_deref().map(challenge);
        let expires = now + PATIENCE;
        let (scope, scope_data) = (scope(config), scope_data(config));
        let mut url =
            reqwest::Url::parse(&config.authorize).map_err(|_| LoginError::Unfit { field: "authorize" })?;
        url.query_pairs_mut()
            .append_pair("client_id", &config.client_id)
            .append_pair("scope", &scope)
            .append_pair("scope_data", &scope_data)
            .append_pair("response_type", "code")
            .append_pair("redirect_uri", &redirect_uri)
            .append_pair("state", &state);
        if let Some(challenge) = &code_challenge {
            url.query_pairs_mut()
                .append_pair("code_challenge", challenge)
                .append_pair("code_challenge_method", "S256");
        }
        self.0.retain(|begun| begun.expires > now);
        if self.0.len() >= MAX_BEGUN {
            self.0.remove(0);
        }
        let verifier = verifier.map(Secret::new);
        self.0.push(Begun { grant, state: state.clone(), redirect_uri, verifier, expires });
        Ok(AuthorizationRequest {
            url: url.into(),
            state,
            code_challenge,
            client_id: config.client_id.clone(),
            product_id: config.product_id.clone(),
            dsn: config.serial_number.clone(),
            scope,
            scope_data,
            expires,
        })
    }

    /// Finds the request that an answer belongs to; it is used up by that.
    pub(crate) fn take(
        &mut self,
        answer: AuthorizationAnswer,
        own: &Client,
        now: HubTime,
    ) -> Result<(Grant, Code), LoginError> {
        let AuthorizationAnswer { code, redirect_uri, client_id, state } = answer;
        if !is_text(code.expose()) {
            return Err(LoginError::Unfit { field: "code" });
        }
        self.0.retain(|begun| begun.expires > now);
        let at = match state.filter(|state| !state.is_empty()) {
            Some(state) => self.0.iter().position(|begun| begun.state == state),
            None => self.0.iter().rposition(|begun| begun.grant == Grant::App),
        };
        let begun = self.0.remove(at.ok_or(LoginError::UnknownState)?);
        let Begun { grant, redirect_uri: asked, verifier, .. } = begun;
        if grant != Grant::App {
            // Whatever came back, the code is good only where it was asked for.
            let secret = own.secret.clone().filter(|_| grant == Grant::Site);
            let client = Client { id: own.id.clone(), secret };
            return Ok((grant, Code { code, redirect_uri: asked, client, verifier }));
        }
        let redirect_uri = redirect_uri.unwrap_or(asked);
        if !is_address(&redirect_uri, grant) {
            return Err(LoginError::Unfit { field: "redirect_uri" });
        }
        let id = client_id.unwrap_or_else(|| own.id.clone());
        if !is_text(&id) {
            return Err(LoginError::Unfit { field: "client_id" });
        }
        // An application's tokens are refreshed without secret.
        Ok((grant, Code { code, redirect_uri, client: Client { id, secret: None }, verifier }))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The scopes asked for: Alexa, and if the configuration wants to know whose account it is, the user's id.
pub(crate) fn scope(config: &LinkConfig) -> String {
    if config.profile { "alexa:all profile:user_id".into() } else { "alexa:all".into() }
}

/// Which device asks. `productID` is spelled so here and nowhere else.
pub(crate) fn scope_data(config: &LinkConfig) -> String {
    json!({ "alexa:all": {
        "productID": config.product_id,
        "productInstanceAttributes": { "deviceSerialNumber": config.serial_number },
    }})
    .to_string()
}

/// 256 random bits as 43 characters, which RFC 7636 4.1 asks of a verifier at least.
fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// The S256 challenge of a verifier (RFC 7636 4.2).
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()))
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Where a code may go: over TLS, or to this very machine; an application's scheme may be its own.
fn is_address(text: &str, grant: Grant) -> bool {
    let Ok(url) = reqwest::Url::parse(text) else { return false };
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let safe = match url.scheme() {
        "https" => true,
        "http" => local,
        "javascript" | "data" | "file" => false,
        _ => grant == Grant::App,
    };
    safe && is_text(text) && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636() {
        // Appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!((43..=128).contains(&random_text().len()) && random_text() != random_text());
    }

    #[test]
    fn codes_go_over_tls_or_stay_here() {
        for (text, app, site) in [
            ("https://hub.example/login", true, true),
            ("http://localhost:8080/login", true, true),
            ("http://127.0.0.1/login", true, true),
            ("http://hub.example/login", false, false),
            ("amzn://com.example.app", true, false),
            ("javascript:alert(1)", false, false),
            ("https://hub.example/#here", false, false),
            ("login", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_address(text, Grant::App), app, "{text}");
            assert_eq!(is_address(text, Grant::Site), site, "{text}");
            assert_eq!(is_address(text, Grant::Local), site, "{text}");
        }
        assert!(!is_address(&format!("https://a/{}", "x".repeat(MAX_TEXT)), Grant::App));
    }
}
