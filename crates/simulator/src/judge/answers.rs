//! Owns the debts of events: which directive wants which event, and which events exist only as an answer.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::{Seen, Sent};

/// Most open debts of one device.
const MAX_OPEN: usize = 1000;
/// Most keys of directives remembered.
const MAX_ASKED: usize = 10_000;
/// Bluetooth operations may take 45 s (Bluetooth 2.0, reference client), and a little to say so.
const BLUETOOTH: Duration = Duration::from_secs(50);

/// What answers a directive: namespace, directive, and the events of which one must come. Settings reports may come
/// unasked as well (per-interface settings after a reconnect); the events of `ONLY` may not.
const WANTED: &[(&str, &str, &[&str])] = &[
    ("Speaker", "SetVolume", &["VolumeChanged"]),
    ("Speaker", "AdjustVolume", &["VolumeChanged"]),
    ("Alerts", "SetAlert", &["SetAlertSucceeded", "SetAlertFailed"]),
    ("Alerts", "DeleteAlert", &["DeleteAlertSucceeded", "DeleteAlertFailed"]),
    ("Alerts", "DeleteAlerts", &["DeleteAlertsSucceeded", "DeleteAlertsFailed"]),
    ("Alerts", "SetVolume", &["VolumeChanged"]),
    ("Alerts", "AdjustVolume", &["VolumeChanged"]),
    ("Alerts", "SetAlarmVolumeRamp", &["AlarmVolumeRampReport"]),
    ("EqualizerController", "SetBands", &["EqualizerChanged"]),
    ("EqualizerController", "AdjustBands", &["EqualizerChanged"]),
    ("EqualizerController", "ResetBands", &["EqualizerChanged"]),
    ("EqualizerController", "SetMode", &["EqualizerChanged"]),
    ("System", "SetLocales", &["LocalesReport"]),
    ("System", "SetTimeZone", &["TimeZoneReport"]),
    ("System", "ReportState", &["StateReport"]),
    ("System", "ReportSoftwareInfo", &["SoftwareInfo"]),
    ("SpeechRecognizer", "SetWakeWords", &["WakeWordsReport"]),
    ("SpeechRecognizer", "SetWakeWordConfirmation", &["WakeWordConfirmationReport"]),
    ("SpeechRecognizer", "SetSpeechConfirmation", &["SpeechConfirmationReport"]),
    ("AudioPlayer", "ClearQueue", &["PlaybackQueueCleared"]),
    ("Bluetooth", "ScanDevices", &["ScanDevicesReport", "ScanDevicesFailed"]),
    ("Bluetooth", "SetDeviceCategories", &["SetDeviceCategoriesSucceeded", "SetDeviceCategoriesFailed"]),
    (
        "Bluetooth",
        "EnterDiscoverableMode",
        &["EnterDiscoverableModeSucceeded", "EnterDiscoverableModeFailed"],
    ),
    ("Bluetooth", "PairDevices", &["PairDevicesSucceeded", "PairDevicesFailed"]),
    ("Bluetooth", "UnpairDevices", &["UnpairDevicesSucceeded", "UnpairDevicesFailed"]),
    ("Bluetooth", "ConnectByDeviceIds", &["ConnectByDeviceIdsSucceeded", "ConnectByDeviceIdsFailed"]),
    ("Bluetooth", "ConnectByProfile", &["ConnectByProfileSucceeded", "ConnectByProfileFailed"]),
    ("Bluetooth", "DisconnectDevices", &["DisconnectDevicesSucceeded", "DisconnectDevicesFailed"]),
    ("Bluetooth", "Play", &["MediaControlPlaySucceeded", "MediaControlPlayFailed"]),
    ("Bluetooth", "Stop", &["MediaControlStopSucceeded", "MediaControlStopFailed"]),
    ("Bluetooth", "Next", &["MediaControlNextSucceeded", "MediaControlNextFailed"]),
    ("Bluetooth", "Previous", &["MediaControlPreviousSucceeded", "MediaControlPreviousFailed"]),
];

/// Events that are nothing but an answer: one for one directive.
const ONLY: &[(&str, &[&str])] = &[(
    "Alerts",
    &[
        "SetAlertSucceeded",
        "SetAlertFailed",
        "DeleteAlertSucceeded",
        "DeleteAlertFailed",
        "DeleteAlertsSucceeded",
        "DeleteAlertsFailed",
    ],
)];

/// A directive that waits for its answer.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Owed {
    /// `Namespace.Name` of the directive.
    pub directive: String,
    /// Its messageId.
    pub message_id: String,
    /// The events of which one must come, in its namespace.
    pub wants: Vec<&'static str>,
    /// When it was written.
    #[serde(skip)]
    pub since: Instant,
    #[serde(skip)]
    connection: u64,
    #[serde(skip)]
    key: Option<Value>,
    #[serde(skip)]
    told: bool,
}

/// Open debts, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    open: VecDeque<Owed>,
    /// What was ever asked for: the first event that would do, and what ties it to its directive.
    asked: BTreeSet<(&'static str, String)>,
    /// Another simulator may have asked before this one came up, so an answer to what this one never asked is right.
    forerunner: bool,
}

/// What ties an answer to its directive where several may be open: the alert's token, or the list of tokens.
fn key(payload: &Value) -> Option<Value> {
    payload.get("tokens").or_else(|| payload.get("token")).cloned()
}

impl Answers {
    pub(super) fn had_forerunner(&mut self) {
        self.forerunner = true;
    }

    pub(super) fn sending(&mut self, sent: &Sent<'_>) {
        let line = WANTED.iter().find(|(space, name, _)| *space == sent.namespace && *name == sent.name);
        let Some((_, _, wants)) = line else { return };
        if self.open.len() >= MAX_OPEN {
            self.open.pop_front();
        }
        let key = if sent.namespace == "Alerts" { key(sent.payload) } else { None };
        if self.asked.len() >= MAX_ASKED {
            self.asked.clear();
        }
        self.asked.extend(key.as_ref().zip(wants.first()).map(|(key, first)| (*first, key.to_string())));
        self.open.push_back(Owed {
            directive: format!("{}.{}", sent.namespace, sent.name),
            message_id: sent.header["messageId"].as_str().unwrap_or_default().to_owned(),
            wants: wants.to_vec(),
            since: sent.at,
            connection: sent.connection,
            key,
            told: false,
        });
    }

    pub(super) fn event(&mut self, seen: &Seen<'_>, faults: &mut Vec<String>) {
        if seen.name == "ExceptionEncountered" {
            let text = seen.payload()["unparsedDirective"].as_str().unwrap_or_default();
            // SetAlert alone is answered by both: an exception and SetAlertFailed.
            self.open.retain(|owed| {
                owed.directive == "Alerts.SetAlert"
                    || owed.message_id.is_empty()
                    || !text.contains(&owed.message_id)
            });
            return;
        }
        let answered = key(seen.payload());
        let fits = |owed: &Owed| {
            let space = namespace(&owed.directive);
            let same = owed.key.is_none() || answered.is_none() || owed.key == answered;
            // A SetAlert without a token is refused with an empty one.
            let unnamed = owed.key.is_none() && answered.as_ref().is_some_and(|token| token == "");
            space == seen.namespace && owed.wants.contains(&seen.name) && (same || unnamed)
        };
        // What was said into a connection that is gone may never have come: who answers means what came last.
        let newest = self.open.iter().filter(|owed| fits(owed)).map(|owed| owed.connection).max();
        let found = self.open.iter().position(|owed| fits(owed) && Some(owed.connection) == newest);
        if let Some(at) = found {
            self.open.remove(at);
            return;
        }
        if only(seen) && (!self.forerunner || self.was_asked(seen, answered.as_ref())) {
            let token = answered.unwrap_or_default();
            faults.push(format!("answers no directive that is still open: {token}"));
        }
    }

    /// Whether a directive that this answers was sent by this simulator, open or not.
    fn was_asked(&self, seen: &Seen<'_>, answered: Option<&Value>) -> bool {
        let fits = |line: &&(&str, &str, &[&str])| line.0 == seen.namespace && line.2.contains(&seen.name);
        let first = WANTED.iter().find(fits).and_then(|(_, _, wants)| wants.first());
        first.zip(answered).is_some_and(|(first, key)| self.asked.contains(&(*first, key.to_string())))
    }

    /// The device's answer was lost by our own doing: only a certified one comes again.
    pub(super) fn lost(&mut self, seen: &Seen<'_>) {
        if seen.namespace != "Alerts" {
            self.event(seen, &mut Vec::new());
        }
    }

    pub(super) fn owed(&self) -> Vec<Owed> {
        self.open.iter().cloned().collect()
    }

    pub(super) fn overdue(
        &mut self,
        now: Instant,
        within: Duration,
        open: impl Fn(u64) -> bool,
    ) -> Vec<(u64, String)> {
        let mut told = Vec::new();
        for owed in self.open.iter_mut().filter(|owed| !owed.told) {
            let limit =
                if namespace(&owed.directive) == "Bluetooth" { within.max(BLUETOOTH) } else { within };
            if now.saturating_duration_since(owed.since) < limit || !open(owed.connection) {
                continue;
            }
            owed.told = true;
            told.push((owed.connection, format!("{} was not answered by {:?}", owed.directive, owed.wants)));
        }
        told
    }
}

/// Whether an event is nothing but an answer.
fn only(seen: &Seen<'_>) -> bool {
    ONLY.iter().any(|(space, names)| *space == seen.namespace && names.contains(&seen.name))
}

/// The namespace of a title; names have no dot, namespaces may.
fn namespace(title: &str) -> &str {
    title.rsplit_once('.').map_or("", |(namespace, _)| namespace)
}
