//! Login with Amazon: code pairs, polling, refreshing. One function a call; `answers` reads what comes back, what to do
//! about a failure is said by `LwaError` and decided by `tokens`.
//!
//! Sources: Amazon's "Code-Based Linking" pages; the AVS Device SDK's LWA adapter where they are silent.

use antiphon_avs::session::Secret;
use reqwest::Client;
use serde_json::json;

use crate::answers::{self, CodePair, Grant};
use crate::{LinkConfig, LwaError};

/// Where tokens are asked for.
const TOKEN: &str = "/auth/O2/token";

/// Asks for a code pair.
pub(crate) async fn code_pair(http: Client, config: LinkConfig) -> Result<CodePair, LwaError> {
    let scope_data = json!({ "alexa:all": {
        "productID": config.product_id,
        "productInstanceAttributes": { "deviceSerialNumber": config.serial_number },
    }})
    .to_string();
    let form = [
        ("response_type", "device_code"),
        ("client_id", config.client_id.as_str()),
        ("scope", "alexa:all"),
        ("scope_data", scope_data.as_str()),
    ];
    answers::code_pair(&post(&http, &config.lwa, "/auth/O2/create/codepair", &form).await?)
}

/// Asks whether the person has entered the code.
pub(crate) async fn poll(http: Client, config: LinkConfig, pair: CodePair) -> Result<Grant, LwaError> {
    let form = [
        ("grant_type", "device_code"),
        ("device_code", pair.device_code.expose()),
        ("user_code", pair.user_code.as_str()),
    ];
    answers::grant(&post(&http, &config.lwa, TOKEN, &form).await?, None)
}

/// Trades a refresh token for an access token, and perhaps a new refresh token.
pub(crate) async fn refresh(http: Client, config: LinkConfig, token: Secret) -> Result<Grant, LwaError> {
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", token.expose()),
        ("client_id", config.client_id.as_str()),
    ];
    if let Some(secret) = &config.client_secret {
        form.push(("client_secret", secret.expose()));
    }
    answers::grant(&post(&http, &config.lwa, TOKEN, &form).await?, Some(&token))
}

/// The body of a 200.
async fn post(http: &Client, base: &str, path: &str, form: &[(&str, &str)]) -> Result<Vec<u8>, LwaError> {
    let url = format!("{}{path}", base.trim_end_matches('/'));
    let answer = http.post(url).form(form).send().await.map_err(|_| LwaError::Unreachable)?;
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
