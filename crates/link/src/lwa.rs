//! Login with Amazon: code pairs, polling, codes, refreshing, whose account it is. One function a call; `answers` reads
//! what comes back, what to do about a failure is said by `LwaError` and decided by `tokens`.
//!
//! Sources: Amazon's "Code-Based Linking", "Companion App" and "Companion Site" pages; the AVS Device SDK's LWA adapter
//! where they are silent.

use antiphon_avs::session::Secret;
use reqwest::Client as Http;
use reqwest::header::ACCEPT_LANGUAGE;

use crate::answers::{self, CodePair, Tokens};
use crate::authorization::{Code, scope, scope_data};
use crate::credentials::{Client, Credentials};
use crate::{LinkConfig, LwaError};

/// Where tokens are asked for.
const TOKEN: &str = "/auth/O2/token";

/// Asks for a code pair.
pub(crate) async fn code_pair(http: Http, config: LinkConfig) -> Result<CodePair, LwaError> {
    let (scope, scope_data) = (scope(&config), scope_data(&config));
    let form = [
        ("response_type", "device_code"),
        ("client_id", config.client_id.as_str()),
        ("scope", scope.as_str()),
        ("scope_data", scope_data.as_str()),
    ];
    let mut request = http.post(url(&config.lwa, "/auth/O2/create/codepair")).form(&form);
    if let Some(locale) = &config.locale {
        // The page on which the code is entered speaks this language.
        request = request.header(ACCEPT_LANGUAGE, locale);
    }
    answers::code_pair(&ask(request).await?)
}

/// Asks whether the person has entered the code.
pub(crate) async fn poll(http: Http, lwa: String, pair: CodePair) -> Result<Tokens, LwaError> {
    let form = [
        ("grant_type", "device_code"),
        ("device_code", pair.device_code.expose()),
        ("user_code", pair.user_code.as_str()),
    ];
    answers::grant(&ask(http.post(url(&lwa, TOKEN)).form(&form)).await?, None)
}

/// Trades an authorization code for tokens.
pub(crate) async fn exchange(http: Http, lwa: String, code: Code) -> Result<Tokens, LwaError> {
    let Code { code, redirect_uri, client, verifier } = code;
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code.expose()),
        ("redirect_uri", redirect_uri.as_str()),
    ];
    show(&client, &mut form);
    if let Some(verifier) = &verifier {
        form.push(("code_verifier", verifier.expose()));
    }
    answers::grant(&ask(http.post(url(&lwa, TOKEN)).form(&form)).await?, None)
}

/// Trades a refresh token for an access token, and perhaps a new refresh token.
pub(crate) async fn refresh(http: Http, lwa: String, credentials: Credentials) -> Result<Tokens, LwaError> {
    let Credentials { token, client } = credentials;
    let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token.expose())];
    show(&client, &mut form);
    answers::grant(&ask(http.post(url(&lwa, TOKEN)).form(&form)).await?, Some(&token))
}

/// Asks whose account this access token is for; needs the scope `profile:user_id`.
pub(crate) async fn profile(http: Http, lwa: String, access: Secret) -> Result<String, LwaError> {
    // The token in the query is LWA's own way. No error that reqwest makes of this is ever shown.
    let query = [("access_token", access.expose())];
    let url = reqwest::Url::parse_with_params(&url(&lwa, "/user/profile"), &query);
    answers::user_id(&ask(http.get(url.map_err(|_| LwaError::Unusable)?)).await?)
}

fn show<'a>(client: &'a Client, form: &mut Vec<(&'static str, &'a str)>) {
    form.push(("client_id", client.id.as_str()));
    if let Some(secret) = &client.secret {
        form.push(("client_secret", secret.expose()));
    }
}

fn url(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}

/// The body of a 200.
async fn ask(request: reqwest::RequestBuilder) -> Result<Vec<u8>, LwaError> {
    let answer = request.send().await.map_err(|_| LwaError::Unreachable)?;
    let status = answer.status().as_u16();
    let body = bounded(answer).await?;
    if status == 200 { Ok(body) } else { Err(answers::refusal(status, &body)) }
}

/// A whole body, if it is no longer than an answer of LWA can be.
async fn bounded(mut answer: reqwest::Response) -> Result<Vec<u8>, LwaError> {
    const MAX: usize = 64 * 1024;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| LwaError::Unreachable)? {
        if body.len() + chunk.len() > MAX {
            return Err(LwaError::Unusable);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
