//! A refresh token together with the client it was given to, and the one text as which both are stored.

use antiphon_avs::session::Secret;
use serde::Deserialize;
use serde_json::json;

/// What Login with Amazon must be shown together with a code or a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) id: String,
    /// Only a companion site has one.
    pub(crate) secret: Option<Secret>,
}

/// A refresh token and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) token: Secret,
    pub(crate) client: Client,
}

impl Credentials {
    /// The text to store: the bare token if it belongs to the configured client `own`, else JSON around it. The client
    /// secret itself stays in the configuration.
    pub(crate) fn pack(&self, own: &Client) -> Secret {
        if self.client == *own {
            return self.token.clone();
        }
        let text = json!({
            "refresh_token": self.token.expose(),
            "client_id": self.client.id,
            "with_secret": self.client.secret.is_some(),
        });
        Secret::new(text.to_string())
    }

    /// Reads a stored text; `None` for the empty one, which stands for "logged out".
    pub(crate) fn unpack(text: &Secret, own: &Client) -> Option<Self> {
        #[derive(Deserialize)]
        struct Packed {
            refresh_token: Secret,
            client_id: String,
            with_secret: bool,
        }
        if text.expose().is_empty() {
            return None;
        }
        // LWA's tokens begin with letters, never with a brace.
        Some(match serde_json::from_str::<Packed>(text.expose()) {
            Ok(Packed { refresh_token, client_id, with_secret }) => {
                let secret = own.secret.clone().filter(|_| with_secret);
                Self { token: refresh_token, client: Client { id: client_id, secret } }
            }
            Err(_) => Self { token: text.clone(), client: own.clone() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let own = Client { id: "hub".into(), secret: Some(Secret::new("hush")) };
        let token = Secret::new("Atzr|\"x\"");
        for client in [
            own.clone(),
            Client { id: "app".into(), secret: None },
            Client { id: "hub".into(), secret: None },
        ] {
            let credentials = Credentials { token: token.clone(), client };
            let packed = credentials.pack(&own);
            assert!(!packed.expose().contains("hush"));
            assert_eq!(Credentials::unpack(&packed, &own), Some(credentials));
        }
        assert_eq!(Credentials::unpack(&Secret::new(""), &own), None);
        let bare = Credentials::unpack(&token, &own).expect("a token");
        assert_eq!((bare.token, bare.client), (token, own));
    }
}
