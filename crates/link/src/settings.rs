//! The `[avs]` and `[speakers.avs]` tables of the configuration file, and how a link's configuration is made of them.

use std::path::PathBuf;
use std::time::Duration;

use antiphon_avs::session::{Secret, Stack, Timers};
use serde::Deserialize;
use thiserror::Error;

use crate::config::{LinkConfig, Region};
use crate::tokens::TokenTimers;

/// Where LWA is ("Code-Based Linking").
const LWA: &str = "https://api.amazon.com";

/// Where a browser is sent ("Authorize from a Companion Site"). The host is recalled, not read.
const AUTHORIZE: &str = "https://www.amazon.com/ap/oa";

/// Where the Capabilities API is ("Capabilities API").
const CAPABILITIES: &str = "https://api.amazonalexa.com";

/// Amazon's domains: where the cloud may send a device whose gateway is one of them.
const AMAZON: [&str; 2] = [".a2z.com", ".amazon.com"];

/// The keys of `[avs]`; all may be absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvsSettings {
    /// The gateway's URL; wins over `region`.
    pub gateway: Option<String>,
    /// `na`, `eu` or `fe`.
    pub region: Option<String>,
    /// Whether `region` means the hosts used before 2019.
    pub legacy_hosts: Option<bool>,
    /// Base URL of Login with Amazon.
    pub lwa: Option<String>,
    /// Where a browser is sent to authorise a speaker.
    pub authorize: Option<String>,
    /// Whether to ask Login with Amazon whose account a speaker belongs to.
    pub profile: Option<bool>,
    /// Language of the page on which a code is entered, e.g. `de-DE`.
    pub locale: Option<String>,
    /// Base URL of the Capabilities API.
    pub capabilities: Option<String>,
    /// PEM file of roots trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The LWA client id.
    pub client_id: Option<String>,
    /// The LWA client secret, where there is one.
    pub client_secret: Option<Text>,
    /// The AVS product id.
    pub product_id: Option<String>,
    /// `modern` (Alexa.Discovery) or `legacy` (Capabilities API).
    pub stack: Option<String>,
    /// Time limits.
    #[serde(default)]
    pub timers: TimerSettings,
}

/// A secret text in a file.
#[derive(Clone, Debug)]
pub struct Text(Secret);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// The keys of `[avs.timers]`, in seconds; the defaults are those of [`Timers`] and [`TokenTimers`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimerSettings {
    /// Limit of a connection attempt.
    pub connect_s: Option<f64>,
    /// Limit for the downchannel's answer.
    pub downchannel_s: Option<f64>,
    /// Idle time before `/ping`.
    pub ping_idle_s: Option<f64>,
    /// Limit for the answer to `/ping`.
    pub ping_limit_s: Option<f64>,
    /// Silence before an HTTP/2 PING.
    pub liveness_idle_s: Option<f64>,
    /// Limit for the answer to an HTTP/2 PING.
    pub liveness_limit_s: Option<f64>,
    /// Limit for an event without progress.
    pub event_progress_s: Option<f64>,
    /// Wait for `Alexa.EventProcessed`.
    pub processed_s: Option<f64>,
    /// Delays between connection attempts; the last repeats.
    pub connect_delays_s: Option<Vec<f64>>,
    /// Delays between repeats of refused events; the last repeats.
    pub event_delays_s: Option<Vec<f64>>,
    /// Life after which a connection counts as sound.
    pub stable_after_s: Option<f64>,
    /// Life of a replaced downchannel after its successor is synchronised.
    pub linger_s: Option<f64>,
    /// Age at which a waiting event is stale.
    pub event_age_s: Option<f64>,
    /// How long before its end a token is refreshed.
    pub refresh_early_s: Option<f64>,
    /// Delays between repeats of calls to LWA; the last repeats.
    pub lwa_delays_s: Option<Vec<f64>>,
    /// Least distance of two polls for a code pair.
    pub poll_least_s: Option<f64>,
}

/// A key that is missing or wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("avs.{key}: expected {expected}")]
pub struct ConfigError {
    /// The key, below `avs`.
    pub key: &'static str,
    /// What should stand there.
    pub expected: &'static str,
}

fn wrong<T>(key: &'static str, expected: &'static str) -> Result<T, ConfigError> {
    Err(ConfigError { key, expected })
}

impl AvsSettings {
    /// These settings, completed by `base` where they are silent. A speaker's `region` replaces the base's `gateway`.
    pub fn over(&self, base: &Self) -> Self {
        let own = self.clone();
        let base = base.clone();
        let placed = own.gateway.is_some() || own.region.is_some();
        Self {
            gateway: if placed { own.gateway } else { base.gateway },
            region: if placed { own.region } else { base.region },
            legacy_hosts: own.legacy_hosts.or(base.legacy_hosts),
            lwa: own.lwa.or(base.lwa),
            authorize: own.authorize.or(base.authorize),
            profile: own.profile.or(base.profile),
            locale: own.locale.or(base.locale),
            capabilities: own.capabilities.or(base.capabilities),
            ca_file: own.ca_file.or(base.ca_file),
            client_id: own.client_id.or(base.client_id),
            client_secret: own.client_secret.or(base.client_secret),
            product_id: own.product_id.or(base.product_id),
            stack: own.stack.or(base.stack),
            timers: own.timers.over(base.timers),
        }
    }

    /// A link's configuration for the device with this serial number; says which key is missing or wrong.
    pub fn link_config(&self, serial_number: &str) -> Result<LinkConfig, ConfigError> {
        let gateway = match (&self.gateway, &self.region) {
            (Some(url), _) if is_https(url) => url.clone(),
            (Some(_), _) => return wrong("gateway", "https://host[:port]"),
            (None, Some(region)) => match Region::parse(region) {
                Some(region) => region.gateway(self.legacy_hosts.unwrap_or(false)).to_owned(),
                None => return wrong("region", "\"na\", \"eu\" or \"fe\""),
            },
            (None, None) => return wrong("gateway", "a URL, or `region` instead"),
        };
        let Some(client_id) = self.client_id.clone().filter(|id| !id.is_empty()) else {
            return wrong("client_id", "the client id of a Login with Amazon security profile");
        };
        let Some(product_id) = self.product_id.clone().filter(|id| is_plain(id, 256)) else {
            return wrong("product_id", "1 to 256 letters, digits and underscores");
        };
        if !is_plain(serial_number, 50) {
            return wrong("serial_number", "1 to 50 letters and digits");
        }
        let lwa = self.lwa.clone().unwrap_or_else(|| LWA.into());
        let capabilities = self.capabilities.clone().unwrap_or_else(|| CAPABILITIES.into());
        if !is_https(&lwa) {
            return wrong("lwa", "https://host[:port]");
        }
        if !is_https(&capabilities) {
            return wrong("capabilities", "https://host[:port]");
        }
        let authorize = self.authorize.clone().unwrap_or_else(|| AUTHORIZE.into());
        if !is_https(&authorize) {
            return wrong("authorize", "https://host[:port]/path");
        }
        if self.locale.as_deref().is_some_and(|locale| !is_locale(locale)) {
            return wrong("locale", "a locale such as \"en-US\"");
        }
        let stack = match self.stack.as_deref() {
            None | Some("modern") => Stack::Modern,
            Some("legacy") => Stack::Legacy,
            Some(_) => return wrong("stack", "\"modern\" or \"legacy\""),
        };
        // A test gateway may move its devices only within its own host.
        let amazon = AMAZON.iter().any(|domain| gateway.ends_with(domain));
        let allowed_gateways = if amazon { AMAZON.map(str::to_owned).to_vec() } else { Vec::new() };
        let (timers, token_timers) = self.timers.timers()?;
        Ok(LinkConfig {
            gateway,
            lwa,
            authorize,
            profile: self.profile.unwrap_or(false),
            locale: self.locale.clone(),
            capabilities,
            ca_file: self.ca_file.clone(),
            client_id,
            client_secret: self.client_secret.clone().map(|text| text.0),
            product_id,
            serial_number: serial_number.to_owned(),
            stack,
            allowed_gateways,
            timers,
            token_timers,
        })
    }
}

fn is_https(url: &str) -> bool {
    url.strip_prefix("https://").is_some_and(|rest| !rest.trim_end_matches('/').is_empty())
        && url.parse::<http::Uri>().is_ok()
}

fn is_locale(text: &str) -> bool {
    (2..=35).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_plain(text: &str, most: usize) -> bool {
    !text.is_empty()
        && text.len() <= most
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

impl TimerSettings {
    fn over(self, base: Self) -> Self {
        Self {
            connect_s: self.connect_s.or(base.connect_s),
            downchannel_s: self.downchannel_s.or(base.downchannel_s),
            ping_idle_s: self.ping_idle_s.or(base.ping_idle_s),
            ping_limit_s: self.ping_limit_s.or(base.ping_limit_s),
            liveness_idle_s: self.liveness_idle_s.or(base.liveness_idle_s),
            liveness_limit_s: self.liveness_limit_s.or(base.liveness_limit_s),
            event_progress_s: self.event_progress_s.or(base.event_progress_s),
            processed_s: self.processed_s.or(base.processed_s),
            connect_delays_s: self.connect_delays_s.or(base.connect_delays_s),
            event_delays_s: self.event_delays_s.or(base.event_delays_s),
            stable_after_s: self.stable_after_s.or(base.stable_after_s),
            linger_s: self.linger_s.or(base.linger_s),
            event_age_s: self.event_age_s.or(base.event_age_s),
            refresh_early_s: self.refresh_early_s.or(base.refresh_early_s),
            lwa_delays_s: self.lwa_delays_s.or(base.lwa_delays_s),
            poll_least_s: self.poll_least_s.or(base.poll_least_s),
        }
    }

    fn timers(&self) -> Result<(Timers, TokenTimers), ConfigError> {
        let mut timers = Timers::default();
        let mut tokens = TokenTimers::default();
        let single: [(Option<f64>, &mut Duration); 13] = [
            (self.connect_s, &mut timers.connect),
            (self.downchannel_s, &mut timers.downchannel),
            (self.ping_idle_s, &mut timers.ping_idle),
            (self.ping_limit_s, &mut timers.ping_limit),
            (self.liveness_idle_s, &mut timers.liveness_idle),
            (self.liveness_limit_s, &mut timers.liveness_limit),
            (self.event_progress_s, &mut timers.event_progress),
            (self.processed_s, &mut timers.processed),
            (self.stable_after_s, &mut timers.stable_after),
            (self.linger_s, &mut timers.linger),
            (self.event_age_s, &mut timers.event_age),
            (self.refresh_early_s, &mut tokens.refresh_early),
            (self.poll_least_s, &mut tokens.poll_least),
        ];
        for (seconds, place) in single {
            if let Some(seconds) = seconds {
                *place = duration(seconds)?;
            }
        }
        let tables: [(&Option<Vec<f64>>, &mut Vec<Duration>); 3] = [
            (&self.connect_delays_s, &mut timers.connect_delays),
            (&self.event_delays_s, &mut timers.event_delays),
            (&self.lwa_delays_s, &mut tokens.delays),
        ];
        for (seconds, place) in tables {
            if let Some(seconds) = seconds {
                *place = seconds.iter().copied().map(duration).collect::<Result<_, _>>()?;
            }
        }
        Ok((timers, tokens))
    }
}

/// Seconds as a duration: at least a millisecond, so that no timer spins, at most a week.
fn duration(seconds: f64) -> Result<Duration, ConfigError> {
    if !(0.0..=604_800.0).contains(&seconds) {
        return wrong("timers", "seconds from 0 to 604800");
    }
    Ok(Duration::from_secs_f64(seconds).max(Duration::from_millis(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> AvsSettings {
        AvsSettings {
            region: Some("eu".into()),
            client_id: Some("client".into()),
            product_id: Some("product".into()),
            ..AvsSettings::default()
        }
    }

    #[test]
    fn regions_have_their_hosts() {
        let config = base().link_config("DSN1").expect("complete");
        assert_eq!(config.gateway, "https://alexa.eu.gateway.devices.a2z.com");
        assert_eq!((config.lwa.as_str(), config.capabilities.as_str()), (LWA, CAPABILITIES));
        assert_eq!(config.allowed_gateways, AMAZON);
        let legacy =
            AvsSettings { legacy_hosts: Some(true), ..base() }.link_config("DSN1").expect("complete");
        assert_eq!(legacy.gateway, "https://avs-alexa-eu.amazon.com");
    }

    #[test]
    fn a_speakers_own_keys_win() {
        let own = AvsSettings { gateway: Some("https://127.0.0.1:8443".into()), ..AvsSettings::default() };
        let config = own.over(&base()).link_config("DSN1").expect("complete");
        assert_eq!(config.gateway, "https://127.0.0.1:8443");
        assert!(config.allowed_gateways.is_empty());
        let placed = AvsSettings { gateway: Some("https://127.0.0.1:8443".into()), ..base() };
        let own = AvsSettings { region: Some("na".into()), ..AvsSettings::default() };
        let config = own.over(&placed).link_config("DSN1").expect("complete");
        assert_eq!(config.gateway, "https://alexa.na.gateway.devices.a2z.com");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let key = |settings: AvsSettings, dsn: &str| settings.link_config(dsn).err().map(|error| error.key);
        assert_eq!(key(AvsSettings { region: Some("mars".into()), ..base() }, "D"), Some("region"));
        assert_eq!(key(AvsSettings { region: None, ..base() }, "D"), Some("gateway"));
        assert_eq!(key(AvsSettings { gateway: Some("http://a".into()), ..base() }, "D"), Some("gateway"));
        assert_eq!(key(AvsSettings { client_id: None, ..base() }, "D"), Some("client_id"));
        assert_eq!(key(AvsSettings { product_id: Some("a b".into()), ..base() }, "D"), Some("product_id"));
        assert_eq!(key(AvsSettings { stack: Some("old".into()), ..base() }, "D"), Some("stack"));
        assert_eq!(key(AvsSettings { lwa: Some("api".into()), ..base() }, "D"), Some("lwa"));
        assert_eq!(key(AvsSettings { authorize: Some("a".into()), ..base() }, "D"), Some("authorize"));
        assert_eq!(key(AvsSettings { locale: Some("a b".into()), ..base() }, "D"), Some("locale"));
        assert_eq!(key(base(), "a/b"), Some("serial_number"));
        let timers = TimerSettings { connect_s: Some(-1.0), ..TimerSettings::default() };
        assert_eq!(key(AvsSettings { timers, ..base() }, "D"), Some("timers"));
        let timers = TimerSettings { event_delays_s: Some(vec![f64::NAN]), ..TimerSettings::default() };
        assert_eq!(key(AvsSettings { timers, ..base() }, "D"), Some("timers"));
    }

    #[test]
    fn keys_are_read_and_unknown_ones_refused() {
        let text =
            r#"{"region":"na","client_secret":"hush","timers":{"connect_s":5,"connect_delays_s":[0.5,2]}}"#;
        let settings: AvsSettings = serde_json::from_str(text).expect("known keys");
        assert!(!format!("{settings:?}").contains("hush"));
        let config = settings.over(&base()).link_config("D").expect("complete");
        assert_eq!(config.timers.connect, Duration::from_secs(5));
        assert_eq!(config.timers.connect_delays.len(), 2);
        assert_eq!(config.client_secret.expect("a secret").expose(), "hush");
        assert!(serde_json::from_str::<AvsSettings>(r#"{"regoin":"na"}"#).is_err());
    }
}
