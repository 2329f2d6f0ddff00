//! Owns alarms, timers, reminders and notifications as the cloud sets and cancels them.

use serde_json::{Value, json};

use super::one;
use crate::answers::Outgoing;
use crate::say::Utterance;
use crate::state::Shared;
use crate::{Error, clock, form, media};

/// Seconds of a day.
const DAY: u64 = 86_400;

pub(super) async fn directives(
    shared: &Shared,
    dsn: &str,
    utterance: Utterance,
) -> Result<Vec<Outgoing>, Error> {
    let base = shared.media();
    Ok(match utterance {
        Utterance::Timer(after, label) => {
            let mut set = alert("TIMER", clock::due(after));
            if let Some(label) = label {
                set["label"] = json!(label);
            }
            one("Alerts", "SetAlert", set)
        }
        Utterance::AlarmIn(after) => one("Alerts", "SetAlert", alert("ALARM", clock::due(after))),
        Utterance::AlarmAt(second) => {
            let now = clock::now().as_secs();
            let today = now / DAY * DAY + u64::from(second);
            one("Alerts", "SetAlert", alert("ALARM", if today > now { today } else { today + DAY }))
        }
        Utterance::Wake(after, name) => {
            let album = media::album(&name, &base).ok_or(Error::NotUnderstood(name))?;
            let set = alert("ALARM", clock::due(after));
            let token = set["token"].as_str().unwrap_or_default();
            shared.lock().device(dsn).ledger.alerts.with_music(token, album);
            one("Alerts", "SetAlert", set)
        }
        Utterance::Reminder(after, text) => {
            let mut set = alert("REMINDER", clock::due(after));
            let tone = json!({ "assetId": "tone", "url": format!("{base}/tone-880-1s.mp3") });
            let speech =
                json!({ "assetId": "speech", "url": format!("{base}/say-{}.mp3", form::encode(&text)) });
            // Made now: it must be there when the device asks for it.
            shared.tracks.speech(&text).await?;
            set["assets"] = json!([tone, speech]);
            set["assetPlayOrder"] = json!(["tone", "speech"]);
            set["backgroundAlertAsset"] = json!("tone");
            set["loopCount"] = json!(2);
            set["loopPauseInMilliSeconds"] = json!(1000);
            set["label"] = json!(text);
            one("Alerts", "SetAlert", set)
        }
        Utterance::Cancel(kind) => cancel(shared, dsn, kind),
        Utterance::Snooze(after) => {
            let mut state = shared.lock();
            let alerts = &state.device(dsn).ledger.alerts;
            let next = || {
                let soonest = alerts.alive().min_by_key(|(_, alert)| alert.times.last().copied());
                soonest.map(|(token, _)| token.as_str())
            };
            let Some(token) = alerts.ringing().or_else(next) else { return Ok(Vec::new()) };
            let kind = alerts.alive().find(|(name, _)| *name == token).map(|(_, alert)| alert.kind.clone());
            let mut set = alert(&kind.unwrap_or_default(), clock::due(after));
            set["token"] = json!(token);
            one("Alerts", "SetAlert", set)
        }
        Utterance::AlarmVolume(volume) => one("Alerts", "SetVolume", json!({ "volume": volume })),
        Utterance::AlarmStep(step) => one("Alerts", "AdjustVolume", json!({ "volume": step })),
        Utterance::Ramp(on) => {
            let ramp = if on { "ASCENDING" } else { "NONE" };
            one("Alerts", "SetAlarmVolumeRamp", json!({ "alarmVolumeRamp": ramp }))
        }
        Utterance::Notify(sounds) => {
            let mut payload = json!({ "persistVisualIndicator": true, "playAudioIndicator": sounds });
            if sounds {
                let id = uuid::Uuid::new_v4().to_string();
                payload["asset"] = json!({ "assetId": id, "url": format!("{base}/tone-1320-1s.mp3") });
            }
            one("Notifications", "SetIndicator", payload)
        }
        Utterance::ClearNotifications => one("Notifications", "ClearIndicator", json!({})),
        // Everything else has been seen to before.
        _ => Vec::new(),
    })
}

/// What "stop" means: the alert that rings, else the music.
pub(super) fn stop(shared: &Shared, dsn: &str) -> Vec<Outgoing> {
    let mut state = shared.lock();
    match state.device(dsn).ledger.alerts.ringing() {
        Some(token) => one("Alerts", "DeleteAlert", json!({ "token": token })),
        None => one("AudioPlayer", "Stop", json!({})),
    }
}

fn cancel(shared: &Shared, dsn: &str, kind: Option<&str>) -> Vec<Outgoing> {
    let mut state = shared.lock();
    let alive = state.device(dsn).ledger.alerts.alive();
    let fits = alive.filter(|(_, alert)| kind.is_none_or(|kind| alert.kind == kind));
    let tokens: Vec<String> = fits.map(|(token, _)| token.clone()).collect();
    match &tokens[..] {
        [] => Vec::new(),
        [token] => one("Alerts", "DeleteAlert", json!({ "token": token })),
        tokens => one("Alerts", "DeleteAlerts", json!({ "tokens": tokens })),
    }
}

fn alert(kind: &str, due: u64) -> Value {
    json!({
        "token": format!("{}:{}", kind.to_ascii_lowercase(), uuid::Uuid::new_v4()),
        "type": kind,
        "scheduledTime": clock::timestamp(due),
    })
}
