//! The Capabilities API of the legacy stack: one PUT before the connection ("Capabilities API").

use antiphon_avs::session::{DeclareFailed, Secret};
use reqwest::Client;
use serde_json::Value;

/// Declares the complete list; only `204` is success.
pub(crate) async fn declare(
    http: Client,
    base: String,
    token: Secret,
    body: Value,
) -> Result<(), DeclareFailed> {
    let url = format!("{}/v1/devices/@self/capabilities", base.trim_end_matches('/'));
    let answer = http.put(url).header("x-amz-access-token", token.expose()).json(&body).send().await;
    match answer.map(|answer| answer.status().as_u16()) {
        Ok(204) => Ok(()),
        Ok(401 | 403) => Err(DeclareFailed::Unauthorized),
        Ok(400) => Err(DeclareFailed::Invalid),
        _ => Err(DeclareFailed::Retry),
    }
}
