//! One alert: what a SetAlert says, checked, in the form in which it is kept on disk.

use std::time::Duration;

use antiphon_domain::WallTime;
use antiphon_domain::sound::BuiltIn;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::effect::AssetId;
use crate::exception::Refusal;
use crate::iso8601;

/// How many assets, and how many places in their order, an alert may have (ours; one that has more rings by itself).
const ASSETS: usize = 64;
/// How many characters of a label are kept (ours).
const LABEL: usize = 1000;

/// What an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Kind {
    /// At a time of the day.
    Alarm,
    /// After a time.
    Timer,
    /// With something to be said.
    Reminder,
}

impl Kind {
    /// An unknown one is an alarm ("Alerts": the reference client refuses it instead).
    fn named(name: &str) -> Self {
        match name {
            "TIMER" => Kind::Timer,
            "REMINDER" => Kind::Reminder,
            _ => Kind::Alarm,
        }
    }

    /// The word on the wire.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Kind::Alarm => "ALARM",
            Kind::Timer => "TIMER",
            Kind::Reminder => "REMINDER",
        }
    }

    /// One pass of it.
    pub(super) const fn tone(self) -> BuiltIn {
        match self {
            Kind::Alarm => BuiltIn::Alarm,
            Kind::Timer => BuiltIn::Timer,
            Kind::Reminder => BuiltIn::Reminder,
        }
    }

    /// What is heard of it under a conversation.
    pub(super) const fn short_tone(self) -> BuiltIn {
        match self {
            Kind::Alarm => BuiltIn::AlarmShort,
            Kind::Timer => BuiltIn::TimerShort,
            Kind::Reminder => BuiltIn::ReminderShort,
        }
    }
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Alert {
    pub(super) token: String,
    pub(super) kind: Kind,
    /// When it rings, a whole second: the interface's resolution.
    pub(super) scheduled: WallTime,
    /// The same in the cloud's own words, for the cloud.
    pub(super) time: String,
    /// The files it plays, none twice.
    pub(super) assets: Vec<Asset>,
    /// One pass: places in `assets`.
    pub(super) order: Vec<usize>,
    /// What is played under a conversation: a place in `assets`.
    pub(super) background: Option<usize>,
    /// How many passes; `None` goes on until stopped.
    pub(super) loops: Option<u32>,
    /// Silence between passes.
    pause_ms: u32,
    pub(super) label: Option<String>,
}

/// A file an alert plays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Asset {
    name: String,
    pub(super) url: String,
}

impl Asset {
    /// Its name while and after it is fetched.
    pub(super) fn id(&self) -> AssetId {
        AssetId(self.name.clone())
    }
}

impl Alert {
    /// Reads the payload of a SetAlert.
    pub(super) fn read(payload: &Value) -> Result<Self, Refusal> {
        let token = text(payload, "token")?;
        if token.is_empty() {
            return Err(Refusal::unexpected("an empty token"));
        }
        let kind = Kind::named(&text(payload, "type")?);
        let time = text(payload, "scheduledTime")?;
        let Some(scheduled) = iso8601::parse(&time) else {
            return Err(Refusal::unexpected("scheduledTime is not a time"));
        };
        // No loop at all would be an alarm that is not heard: it counts as unsaid.
        let loops = count(payload, "loopCount")?.filter(|count| *count > 0);
        let pause_ms = count(payload, "loopPauseInMilliSeconds")?.unwrap_or(0);
        let label = match payload.get("label") {
            None | Some(Value::Null) => None,
            Some(Value::String(label)) => Some(label.chars().take(LABEL).collect()),
            Some(_) => return Err(Refusal::unexpected("label is not a text")),
        };
        let (assets, order, background) = assets(payload, &token).unwrap_or_default();
        let scheduled = WallTime::from_seconds(scheduled.seconds());
        Ok(Self { token, kind, scheduled, time, assets, order, background, loops, pause_ms, label })
    }

    /// Reads what was kept; `None` when it makes no sense.
    pub(super) fn recall(value: &Value) -> Option<Self> {
        let alert: Alert = serde_json::from_value(value.clone()).ok()?;
        let mut places = alert.order.iter().chain(&alert.background);
        places.all(|place| *place < alert.assets.len()).then_some(alert)
    }

    /// Silence between passes.
    pub(super) fn pause(&self) -> Duration {
        Duration::from_millis(u64::from(self.pause_ms))
    }

    /// The order in which alerts ring.
    pub(super) fn key(&self) -> (WallTime, &str) {
        (self.scheduled, &self.token)
    }
}

type Assets = (Vec<Asset>, Vec<usize>, Option<usize>);

/// The assets; `None` when anything is wrong with them, for then the alert has none.
fn assets(payload: &Value, token: &str) -> Option<Assets> {
    let mut assets = Vec::new();
    let mut ids: Vec<&str> = Vec::new();
    for asset in list(payload.get("assets"))? {
        let id = asset.get("assetId").and_then(Value::as_str).filter(|id| !id.is_empty())?;
        let url = asset.get("url").and_then(Value::as_str).filter(|url| is_web(url))?;
        if ids.contains(&id) {
            return None;
        }
        ids.push(id);
        let name = format!("alerts/{:016x}/{:016x}", hash(&[token]), hash(&[id, url]));
        assets.push(Asset { name, url: url.into() });
    }
    let place = |id: &Value| id.as_str().and_then(|id| ids.iter().position(|known| *known == id));
    let mut order = Vec::new();
    for id in list(payload.get("assetPlayOrder"))? {
        order.push(place(id)?);
    }
    let background = match payload.get("backgroundAlertAsset") {
        None | Some(Value::Null) => None,
        Some(id) => Some(place(id)?),
    };
    Some((assets, order, background))
}

fn list(value: Option<&Value>) -> Option<&[Value]> {
    match value {
        None | Some(Value::Null) => Some(&[]),
        Some(Value::Array(list)) if list.len() <= ASSETS => Some(list),
        Some(_) => None,
    }
}

fn text(payload: &Value, name: &str) -> Result<String, Refusal> {
    match payload.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err(Refusal::unexpected(format!("{name} is missing or not a text"))),
    }
}

fn count(payload: &Value, name: &str) -> Result<Option<u32>, Refusal> {
    match payload.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match number(value) {
            Some(count) if count >= 0 => Ok(Some(u32::try_from(count).unwrap_or(u32::MAX))),
            _ => Err(Refusal::unexpected(format!("{name} is not a count"))),
        },
    }
}

/// A whole number, also in quotes, as the samples of "Alerts" show some.
pub(super) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_i64(),
    }
}

/// The cloud names no files of this machine.
fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// FNV-1a, 64 bits: a short name that is the same after every restart and in every version of this program.
fn hash(parts: &[&str]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        // A byte no UTF-8 text has keeps the parts apart.
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}
