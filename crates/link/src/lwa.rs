//! Login with Amazon: code pairs, polling, refreshing. One function a call; what to do about a failure is said by
//! `LwaError` and decided by `tokens`.
//!
//! Sources: Amazon's "Code-Based Linking" pages; the AVS Device SDK's LWA adapter where they are silent.

use std::time::Duration;

use antiphon_avs::session::Secret;
use reqwest::Client;
use serde::Deserialize;
use serde_json::json;

use crate::{LinkConfig, LwaError};

/// A pair of codes: one for the person, one for us.
#[derive(Clone, Debug)]
pub(crate) struct CodePair {
    pub(crate) user_code: String,
    pub(crate) device_code: Secret,
    pub(crate) verification_uri: String,
    pub(crate) expires_in: Duration,
    pub(crate) interval: Duration,
}

/// Tokens.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) access_token: Secret,
    pub(crate) refresh_token: Secret,
    pub(crate) expires_in: Duration,
}

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
    #[derive(Deserialize)]
    struct Answer {
        user_code: String,
        device_code: String,
        verification_uri: String,
        expires_in: u64,
        #[serde(default)]
        interval: u64,
    }
    let answer: Answer = post(&http, &config.lwa, "/auth/O2/create/codepair", &form).await?;
    let Answer { user_code, device_code, verification_uri, expires_in, interval } = answer;
    if user_code.is_empty() || device_code.is_empty() || verification_uri.is_empty() || expires_in == 0 {
        return Err(LwaError::Unusable);
    }
    Ok(CodePair {
        user_code,
        device_code: Secret::new(device_code),
        verification_uri,
        expires_in: Duration::from_secs(expires_in),
        interval: Duration::from_secs(interval),
    })
}

/// Asks whether the person has entered the code.
pub(crate) async fn poll(http: Client, config: LinkConfig, pair: CodePair) -> Result<Grant, LwaError> {
    let form = [
        ("grant_type", "device_code"),
        ("device_code", pair.device_code.expose()),
        ("user_code", pair.user_code.as_str()),
    ];
    grant(&http, &config.lwa, &form, None).await
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
    grant(&http, &config.lwa, &form, Some(&token)).await
}

async fn grant(
    http: &Client,
    base: &str,
    form: &[(&str, &str)],
    present: Option<&Secret>,
) -> Result<Grant, LwaError> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: String,
        refresh_token: Option<String>,
        token_type: String,
        expires_in: u64,
    }
    let answer: Answer = post(http, base, "/auth/O2/token", form).await?;
    // OAuth lets a refresh keep the refresh token by leaving it out.
    let refresh_token = answer.refresh_token.filter(|text| !text.is_empty()).map(Secret::new);
    let refresh_token = refresh_token.or_else(|| present.cloned()).ok_or(LwaError::Unusable)?;
    if answer.access_token.is_empty() || answer.token_type != "bearer" || answer.expires_in == 0 {
        return Err(LwaError::Unusable);
    }
    Ok(Grant {
        access_token: Secret::new(answer.access_token),
        refresh_token,
        expires_in: Duration::from_secs(answer.expires_in),
    })
}

async fn post<T: for<'de> Deserialize<'de>>(
    http: &Client,
    base: &str,
    path: &str,
    form: &[(&str, &str)],
) -> Result<T, LwaError> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let url = format!("{}{path}", base.trim_end_matches('/'));
    let answer = http.post(url).form(form).send().await.map_err(|_| LwaError::Unreachable)?;
    let status = answer.status().as_u16();
    let body = bounded(answer).await?;
    if status == 200 {
        return serde_json::from_slice(&body).map_err(|_| LwaError::Unusable);
    }
    match serde_json::from_slice::<Refusal>(&body) {
        Ok(Refusal { error }) => Err(LwaError::Refused { code: error, status }),
        Err(_) => Err(LwaError::Status(status)),
    }
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
