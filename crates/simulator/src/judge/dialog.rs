//! Owns what one Recognize must have to do with what came before: fresh ids, the initiator of ExpectSpeech echoed,
//! the rules of initiators and profiles.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Seen, Sent};

/// Most dialogRequestIds remembered.
const MAX_IDS: usize = 10_000;
/// Samples of pre-roll before a wake word: 500 ms at 16 kHz.
const PRE_ROLL: u64 = 8000;
/// How much longer than its time-out an ExpectSpeech may stay unanswered: the speech before it takes its time.
const SLACK: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Expected {
    initiator: Option<Value>,
    until: Instant,
}

/// Dialogues of one device.
#[derive(Debug, Default)]
pub(crate) struct Dialog {
    ids: HashSet<String>,
    /// The dialogRequestId that counts now.
    current: String,
    expected: Option<Expected>,
}

impl Dialog {
    pub(super) fn sending(&mut self, sent: &Sent<'_>) {
        if sent.name == "NewDialogRequest" {
            self.current = sent.payload["dialogRequestId"].as_str().unwrap_or_default().to_owned();
        }
        // With an id that no longer counts it will be dropped.
        let stale = sent.header["dialogRequestId"].as_str().is_some_and(|id| id != self.current);
        if (sent.namespace, sent.name) == ("SpeechRecognizer", "ExpectSpeech") && !stale {
            let timeout = sent.payload["timeoutInMilliseconds"].as_u64().unwrap_or_default();
            // Beyond a day nobody waits.
            let timeout = Duration::from_millis(timeout.min(86_400_000));
            self.expected = Some(Expected {
                initiator: sent.payload.get("initiator").cloned(),
                until: sent.at + timeout + SLACK,
            });
        }
    }

    /// `speaking`: a Speak may still be waiting or sounding, so that an ExpectSpeech behind it had no turn.
    pub(super) fn event(&mut self, seen: &Seen<'_>, now: Instant, speaking: bool, faults: &mut Vec<String>) {
        if seen.namespace != "SpeechRecognizer" {
            return;
        }
        match seen.name {
            "Recognize" => self.recognize(seen, now, speaking, faults),
            "ExpectSpeechTimedOut" if self.expected.take().is_none() => {
                faults.push("no ExpectSpeech was open".to_owned());
            }
            _ => {}
        }
    }

    fn recognize(&mut self, seen: &Seen<'_>, now: Instant, speaking: bool, faults: &mut Vec<String>) {
        let id = seen.header("dialogRequestId");
        if self.ids.len() >= MAX_IDS {
            self.ids.clear();
        }
        if !self.ids.insert(id.to_owned()) {
            faults.push(format!("dialogRequestId {id} was used before"));
        }
        let initiator = seen.payload().get("initiator");
        id.clone_into(&mut self.current);
        let expected = self.expected.take().filter(|expected| now < expected.until);
        if let Some(expected) = &expected {
            if expected.initiator.as_ref() == initiator {
                // Echoed, so the rules for initiators of its own do not hold.
                return;
            }
            if !speaking {
                let wanted = expected.initiator.clone().unwrap_or_default();
                faults.push(format!("initiator is not that of ExpectSpeech: {wanted}"));
                return;
            }
        }
        check_initiator(seen.payload(), faults);
    }
}

/// The rules of SpeechRecognizer 2.3 for a Recognize that nobody expected.
fn check_initiator(payload: &Value, faults: &mut Vec<String>) {
    let Some(initiator) = payload.get("initiator") else {
        faults.push("initiator is missing".to_owned());
        return;
    };
    let kind = initiator["type"].as_str().unwrap_or_default();
    let close = payload["profile"] == "CLOSE_TALK";
    let inner = &initiator["payload"];
    match kind {
        "PRESS_AND_HOLD" if !close => faults.push("PRESS_AND_HOLD wants CLOSE_TALK".to_owned()),
        "WAKEWORD" if close => faults.push("WAKEWORD wants NEAR_FIELD or FAR_FIELD".to_owned()),
        "PRESS_AND_HOLD" | "TAP" | "WAKEWORD" => {}
        _ => faults.push(format!("initiator {kind:?} was never expected")),
    }
    let indices = inner.get("wakeWordIndices");
    if kind != "WAKEWORD" {
        if indices.is_some() {
            faults.push(format!("{kind} with wake word indices"));
        }
        return;
    }
    if inner["wakeWord"].as_str().is_none_or(str::is_empty) {
        faults.push("wakeWord is missing".to_owned());
    }
    if let Some(indices) = indices {
        let start = indices["startIndexInSamples"].as_u64().unwrap_or_default();
        let end = indices["endIndexInSamples"].as_u64().unwrap_or_default();
        if start != PRE_ROLL || end <= start {
            faults.push(format!("wake word from {start} to {end}: it begins behind {PRE_ROLL} samples"));
        }
    }
}
