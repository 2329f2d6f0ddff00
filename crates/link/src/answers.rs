//! What Login with Amazon answers, read: bodies to code pairs, grants and refusals. No I/O; `lwa` hands bodies in.
//!
//! Sources: Amazon's "Code-Based Linking" pages; RFC 6749 5 and RFC 8628 3.2 where they are silent.

use std::time::Duration;

use antiphon_avs::session::Secret;
use serde::Deserialize;

use crate::LwaError;

/// A pair of codes: one for the person, one for us.
#[derive(Clone, Debug)]
pub(crate) struct CodePair {
    pub(crate) user_code: String,
    pub(crate) device_code: Secret,
    pub(crate) verification_uri: String,
    pub(crate) expires_in: Duration,
    pub(crate) interval: Duration,
}

/// Tokens as they were granted.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) access_token: Secret,
    pub(crate) refresh_token: Secret,
    pub(crate) expires_in: Duration,
}

/// The code pair of a 200.
pub(crate) fn code_pair(body: &[u8]) -> Result<CodePair, LwaError> {
    #[derive(Deserialize)]
    struct Answer {
        user_code: String,
        device_code: String,
        verification_uri: String,
        expires_in: u64,
        #[serde(default)]
        interval: u64,
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|_| LwaError::Unusable)?;
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

/// The tokens of a 200; `present` is the refresh token that was shown, if one was.
pub(crate) fn grant(body: &[u8], present: Option<&Secret>) -> Result<Tokens, LwaError> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: String,
        refresh_token: Option<String>,
        token_type: String,
        expires_in: u64,
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|_| LwaError::Unusable)?;
    // OAuth lets a refresh keep the refresh token by leaving it out.
    let refresh_token = answer.refresh_token.filter(|text| !text.is_empty()).map(Secret::new);
    let refresh_token = refresh_token.or_else(|| present.cloned()).ok_or(LwaError::Unusable)?;
    if answer.access_token.is_empty() || answer.token_type != "bearer" || answer.expires_in == 0 {
        return Err(LwaError::Unusable);
    }
    Ok(Tokens {
        access_token: Secret::new(answer.access_token),
        refresh_token,
        expires_in: Duration::from_secs(answer.expires_in),
    })
}

/// The user's id in a profile.
pub(crate) fn user_id(body: &[u8]) -> Result<String, LwaError> {
    /// LWA's ids ("amzn1.account.…") are far shorter.
    const MAX: usize = 256;
    #[derive(Deserialize)]
    struct Profile {
        user_id: String,
    }
    let Profile { user_id } = serde_json::from_slice(body).map_err(|_| LwaError::Unusable)?;
    let fits = !user_id.is_empty() && user_id.len() <= MAX;
    if fits { Ok(user_id) } else { Err(LwaError::Unusable) }
}

/// What any other status means.
pub(crate) fn refusal(status: u16, body: &[u8]) -> LwaError {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal { error }) => LwaError::Refused { code: error, status },
        Err(_) => LwaError::Status(status),
    }
}
