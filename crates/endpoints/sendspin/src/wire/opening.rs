//! The cleartext opening: `client/init` in, `server/init` and `server/error` out (connection.md, "Failure Handling").

use serde_json::{Value, json};

use super::key::PeerId;
use super::noise::Suite;

/// The one version of the core messages there is.
const VERSION: u64 = 1;

/// Why a `client/init` is refused; told to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another version than ours.
    UnsupportedVersion,
    /// A suite nobody has heard of.
    UnsupportedSuite,
    /// Not the shape it should have.
    Malformed,
}

impl Refusal {
    /// As `server/error` says it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnsupportedVersion => "unsupported_version",
            Self::UnsupportedSuite => "unsupported_suite",
            Self::Malformed => "malformed",
        }
    }

    /// The whole message.
    pub fn message(self) -> String {
        json!({"type": "server/error", "payload": {"reason": self.reason()}}).to_string()
    }
}

/// What a client opens with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientInit {
    /// Who it says it is; the handshake proves it.
    pub client: PeerId,
    /// The suite it chose.
    pub suite: Suite,
}

/// Reads a `client/init`: version first, then suite, then the rest.
pub fn client_init(text: &str) -> Result<ClientInit, Refusal> {
    let message: Value = serde_json::from_str(text).map_err(|_| Refusal::Malformed)?;
    let payload = match (message.get("type").and_then(Value::as_str), message.get("payload")) {
        (Some("client/init"), Some(Value::Object(payload))) => payload,
        _ => return Err(Refusal::Malformed),
    };
    match payload.get("version") {
        Some(Value::Number(version)) if version.as_u64() == Some(VERSION) => {}
        Some(Value::Number(version)) if !version.is_f64() => return Err(Refusal::UnsupportedVersion),
        _ => return Err(Refusal::Malformed),
    }
    let suite = payload.get("suite").and_then(Value::as_str).ok_or(Refusal::Malformed)?;
    let suite = Suite::parse(suite).ok_or(Refusal::UnsupportedSuite)?;
    let client = payload.get("client_id").and_then(Value::as_str).ok_or(Refusal::Malformed)?;
    let client = PeerId::parse(client).ok_or(Refusal::Malformed)?;
    Ok(ClientInit { client, suite })
}

/// Our answer.
pub fn server_init(server: PeerId) -> String {
    json!({"type": "server/init", "payload": {"server_id": server.to_string(), "version": VERSION}})
        .to_string()
}

/// A `noise/handshake` message around Noise's bytes.
pub fn handshake(data: &[u8]) -> String {
    json!({"type": "noise/handshake", "payload": {"data": super::key::encode(data)}}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::key::Identity;

    fn init(version: &str, suite: &str, client: &str) -> String {
        format!(
            r#"{{"type":"client/init","payload":{{"version":{version},"suite":{suite},"client_id":{client},"new":1}}}}"#
        )
    }

    #[test]
    fn the_first_thing_wrong_is_told() {
        let id = Identity::new([1; 32]).id();
        let client = format!("\"{id}\"");
        let (chacha, aes) = ("\"25519_ChaChaPoly_SHA256\"", "\"25519_AESGCM_SHA256\"");
        let expected = Ok(ClientInit { client: id, suite: Suite::ChaChaPoly });
        assert_eq!(client_init(&init("1", chacha, &client)), expected);
        assert_eq!(client_init(&init("1", aes, &client)).map(|i| i.suite), Ok(Suite::AesGcm));
        for (text, refusal) in [
            (init("2", "7", "7"), Refusal::UnsupportedVersion),
            (init("-1", "7", "7"), Refusal::UnsupportedVersion),
            (init("1.0", chacha, &client), Refusal::Malformed),
            (init("\"1\"", chacha, &client), Refusal::Malformed),
            (init("1", "\"448_AESGCM_SHA512\"", "7"), Refusal::UnsupportedSuite),
            (init("1", "7", &client), Refusal::Malformed),
            (init("1", chacha, "\"short\""), Refusal::Malformed),
            ("{".into(), Refusal::Malformed),
            ("[]".into(), Refusal::Malformed),
            (r#"{"type":"client/hello","payload":{}}"#.into(), Refusal::Malformed),
        ] {
            assert_eq!(client_init(&text), Err(refusal), "{text}");
        }
    }
}
