//! Owns Login with Amazon as the simulator plays it: code pairs, access and refresh tokens, their expiry, rotation
//! and revocation. Sans-IO: `now` is an argument, forms come in parsed, JSON answers go out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::authorize::{Codes, proven};
use crate::options::Options;

/// Secrets remembered for whoever looks for leaks.
const MAX_SECRETS: usize = 10_000;
/// The names under which secrets are shown.
const SECRET_FIELDS: [&str; 5] = ["code", "code_verifier", "client_secret", "device_code", "refresh_token"];

/// Most pending code pairs; the oldest are forgotten.
const MAX_PAIRS: usize = 10_000;

/// An answer to an LWA request: HTTP status and JSON body.
pub(crate) type Reply = (u16, Value);

/// What a token request was, for the counters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A code-based poll or a code, whatever came of it.
    Other,
    /// A refresh that was granted to this DSN.
    Refreshed(String),
    /// A refresh that was refused.
    Refused,
}

#[derive(Debug)]
struct Pair {
    user_code: String,
    dsn: String,
    made: Instant,
    last_poll: Option<Instant>,
    approved: bool,
}

#[derive(Debug)]
struct Access {
    dsn: String,
    expires: Instant,
}

/// All grants.
#[derive(Debug, Default)]
pub(crate) struct Lwa {
    pairs: HashMap<String, Pair>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, String>,
    /// Refresh tokens that were good once: never open the door again, not even in open mode.
    retired: HashMap<String, String>,
    revoked: HashSet<String>,
    pub(crate) codes: Codes,
    /// Devices whose tokens belong to a companion site: their refreshes want its secret.
    sites: HashSet<String>,
    /// All that nobody else may learn: what was given out and what was shown.
    secrets: Vec<String>,
}

/// Who an access token speaks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    Valid(String),
    Expired(String),
    Unknown,
}

impl Lwa {
    /// Makes a refresh token known for a device.
    pub(crate) fn grant_refresh(&mut self, token: &str, dsn: &str) {
        self.refresh.insert(token.to_owned(), dsn.to_owned());
    }

    /// Makes an authorization code for a device, as a companion application would bring it.
    pub(crate) fn grant_code(&mut self, dsn: &str) -> String {
        self.codes.grant(dsn, None, Instant::now())
    }

    /// The device a refresh token is or was good for.
    pub(crate) fn owner(&self, refresh_token: &str, options: &Options) -> Option<String> {
        let known = self.refresh.get(refresh_token).or_else(|| self.retired.get(refresh_token)).cloned();
        // In open mode a token names its device itself.
        let named = || refresh_token.strip_prefix("Atzr|")?.split('|').next().map(str::to_owned);
        known.or_else(|| named().filter(|_| options.open))
    }

    /// Whose token this is.
    pub(crate) fn bearer(&self, token: &str, now: Instant) -> Bearer {
        match self.access.get(token) {
            Some(access) if now < access.expires => Bearer::Valid(access.dsn.clone()),
            Some(access) => Bearer::Expired(access.dsn.clone()),
            None => Bearer::Unknown,
        }
    }

    /// Expires every access token of a device.
    pub(crate) fn expire(&mut self, dsn: &str, now: Instant) {
        for access in self.access.values_mut().filter(|access| access.dsn == dsn) {
            access.expires = access.expires.min(now);
        }
    }

    /// Voids all tokens of a device, for good until it is linked anew.
    pub(crate) fn revoke(&mut self, dsn: &str, now: Instant) {
        self.expire(dsn, now);
        self.refresh.retain(|_, owner| owner != dsn);
        self.revoked.insert(dsn.to_owned());
    }

    /// Approves the pending pair with this user code (case and blanks do not matter); its DSN.
    pub(crate) fn approve(&mut self, user_code: &str, now: Instant, options: &Options) -> Option<String> {
        let wanted = user_code.trim().to_ascii_uppercase();
        let pair = self.pairs.values_mut().find(|pair| {
            pair.user_code == wanted && now.saturating_duration_since(pair.made) < options.code_lifetime
        })?;
        pair.approved = true;
        Some(pair.dsn.clone())
    }

    /// User codes that wait for approval, with their DSN.
    pub(crate) fn pending(&self) -> Vec<(String, String)> {
        let waiting = self.pairs.values().filter(|pair| !pair.approved);
        waiting.map(|pair| (pair.user_code.clone(), pair.dsn.clone())).collect()
    }

    /// `POST /auth/O2/create/codepair`.
    pub(crate) fn create_pair(
        &mut self,
        form: &BTreeMap<String, String>,
        now: Instant,
        options: &Options,
    ) -> Reply {
        if form.get("response_type").map(String::as_str) != Some("device_code") {
            return error("invalid_request", "response_type must be device_code");
        }
        if form.get("client_id").is_none_or(String::is_empty) {
            return error("invalid_client", "client_id is missing");
        }
        let scope = form.get("scope").map_or("", String::as_str);
        if !scope.split(' ').any(|word| word == "alexa:all") {
            return error("invalid_scope", "scope must hold alexa:all");
        }
        let Some(dsn) = form.get("scope_data").and_then(|text| device_of(text)) else {
            return error("InvalidValue", "scope_data must name productID and deviceSerialNumber");
        };
        if self.pairs.len() >= MAX_PAIRS {
            self.pairs.retain(|_, pair| now.saturating_duration_since(pair.made) < options.code_lifetime);
        }
        if self.pairs.len() >= MAX_PAIRS {
            return error("servererror", "too many code pairs");
        }
        let device_code = random();
        let user_code: String = random().chars().take(6).collect::<String>().to_ascii_uppercase();
        let pair = Pair {
            user_code: user_code.clone(),
            dsn,
            made: now,
            last_poll: None,
            approved: options.approve_all,
        };
        self.note_secret(&device_code);
        self.pairs.insert(device_code.clone(), pair);
        let body = json!({
            "user_code": user_code,
            "device_code": device_code,
            "verification_uri": "https://amazon.com/us/code",
            "expires_in": options.code_lifetime.as_secs(),
            "interval": options.code_interval.as_secs(),
        });
        (200, body)
    }

    /// Tokens, codes, verifiers and client secrets so far, whether good or not, each once.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.secrets.clone()
    }

    fn note_secret(&mut self, text: &str) {
        let new = !text.is_empty() && !self.secrets.iter().any(|one| one == text);
        if new && self.secrets.len() < MAX_SECRETS {
            self.secrets.push(text.to_owned());
        }
    }

    /// `POST /auth/O2/token`.
    pub(crate) fn token(
        &mut self,
        form: &BTreeMap<String, String>,
        now: Instant,
        options: &Options,
    ) -> (Reply, Outcome) {
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        for name in SECRET_FIELDS {
            self.note_secret(field(name));
        }
        match field("grant_type") {
            "device_code" => {
                (self.poll(field("device_code"), field("user_code"), now, options), Outcome::Other)
            }
            "refresh_token" if field("client_id").is_empty() => {
                (error("invalid_client", "client_id is missing"), Outcome::Refused)
            }
            "refresh_token" => {
                let site = self.owner(field("refresh_token"), options);
                if site.is_some_and(|dsn| self.sites.contains(&dsn))
                    && let Err((name, why)) = proven(field("client_id"), field("client_secret"), options)
                {
                    return (error(name, why), Outcome::Refused);
                }
                self.refresh(field("refresh_token"), now, options)
            }
            "authorization_code" => match self.codes.redeem(form, now, options) {
                Ok((dsn, site)) => {
                    self.revoked.remove(&dsn);
                    self.sites.remove(&dsn);
                    if site {
                        self.sites.insert(dsn.clone());
                    }
                    (self.issue(&dsn, None, now, options), Outcome::Other)
                }
                Err((name, why)) => (error(name, why), Outcome::Other),
            },
            "" => (error("invalid_request", "grant_type is missing"), Outcome::Other),
            _ => (error("unsupported_grant_type", "no such grant type"), Outcome::Other),
        }
    }

    fn poll(&mut self, device_code: &str, user_code: &str, now: Instant, options: &Options) -> Reply {
        let Some(pair) = self.pairs.get_mut(device_code).filter(|pair| pair.user_code == user_code) else {
            return error("invalid_code_pair", "no such code pair");
        };
        if now.saturating_duration_since(pair.made) >= options.code_lifetime {
            self.pairs.remove(device_code);
            return error("invalid_code_pair", "the code pair has expired");
        }
        // A tenth is granted for jitter on the way.
        let least = options.code_interval.mul_f64(0.9);
        let early = pair.last_poll.is_some_and(|last| now.saturating_duration_since(last) < least);
        pair.last_poll = Some(now);
        if early {
            return error("slow_down", "polled too soon");
        }
        if !pair.approved {
            return error("authorization_pending", "not approved yet");
        }
        let dsn = pair.dsn.clone();
        self.pairs.remove(device_code);
        self.revoked.remove(&dsn);
        self.sites.remove(&dsn);
        self.issue(&dsn, None, now, options)
    }

    /// `GET /user/profile`: whose account a device belongs to.
    pub(crate) fn profile(&self, access_token: &str, now: Instant) -> Reply {
        match self.bearer(access_token, now) {
            Bearer::Valid(_) => {
                let id = "amzn1.account.SIMULATOR";
                (200, json!({ "user_id": id, "name": "Simulated Person", "email": "person@example.org" }))
            }
            Bearer::Expired(_) | Bearer::Unknown => error("invalid_token", "the access token is not valid"),
        }
    }

    fn refresh(&mut self, token: &str, now: Instant, options: &Options) -> (Reply, Outcome) {
        let dsn = match self.refresh.get(token) {
            Some(dsn) => dsn.clone(),
            None => match self.opened(token, options) {
                Some(dsn) => dsn,
                None => return (error("invalid_grant", "the refresh token is not valid"), Outcome::Refused),
            },
        };
        let kept = if options.rotate {
            self.refresh.remove(token);
            self.retired.insert(token.to_owned(), dsn.clone());
            None
        } else {
            self.refresh.insert(token.to_owned(), dsn.clone());
            Some(token)
        };
        (self.issue(&dsn, kept, now, options), Outcome::Refreshed(dsn))
    }

    /// The device an unknown token speaks for in open mode.
    fn opened(&self, token: &str, options: &Options) -> Option<String> {
        let dsn = token.strip_prefix("Atzr|")?.split('|').next().filter(|dsn| !dsn.is_empty())?;
        let good = options.open && !self.retired.contains_key(token) && !self.revoked.contains(dsn);
        good.then(|| dsn.to_owned())
    }

    fn issue(&mut self, dsn: &str, kept: Option<&str>, now: Instant, options: &Options) -> Reply {
        // A day keeps the answer "expired" apart from "unknown" long enough.
        self.access
            .retain(|_, access| now.saturating_duration_since(access.expires) < Duration::from_secs(86_400));
        let access = format!("Atza|{}", random());
        let refresh = kept.map_or_else(|| format!("Atzr|{dsn}|{}", random()), str::to_owned);
        self.access
            .insert(access.clone(), Access { dsn: dsn.to_owned(), expires: now + options.token_lifetime });
        self.refresh.insert(refresh.clone(), dsn.to_owned());
        self.note_secret(&access);
        self.note_secret(&refresh);
        let body = json!({
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "bearer",
            "expires_in": options.token_lifetime.as_secs(),
        });
        (200, body)
    }
}

/// An LWA error: HTTP 400, for `servererror` 500.
pub(crate) fn error(name: &str, description: &str) -> Reply {
    let status = if name == "servererror" { 500 } else { 400 };
    (status, json!({ "error": name, "error_description": description }))
}

/// The device serial number in a `scope_data`.
pub(crate) fn device_of(scope_data: &str) -> Option<String> {
    let tree: Value = serde_json::from_str(scope_data).ok()?;
    let scope = &tree["alexa:all"];
    scope["productID"].as_str().filter(|product| !product.is_empty())?;
    let dsn = scope["productInstanceAttributes"]["deviceSerialNumber"].as_str()?;
    (!dsn.is_empty()).then(|| dsn.to_owned())
}

fn random() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
