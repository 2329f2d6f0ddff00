//! Owns what the cloud does with an event it understood: notes it, has it judged against what came before, and finds
//! the answer. `events` asks here once for each event.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::answers::{Answer, Outgoing};
use crate::connection::Link;
use crate::downchannel::Down;
use crate::judge::{Claim, HandOver, Seen};
use crate::provider::Press;
use crate::script::{Reply, Script};
use crate::state::{Declared, Device, State};
use crate::strict;

/// What follows from an accepted event.
pub(crate) enum Accepted {
    /// This answer, at once.
    Answer(Answer),
    /// It is a Recognize: this answer, while its sound comes.
    Speech(Box<Script>),
}

/// An event as the ledgers see it.
pub(crate) fn seen<'a>(title: &'a str, message: &'a Value, connection: u64, started: Instant) -> Seen<'a> {
    let (namespace, name) = title.rsplit_once('.').unwrap_or_default();
    Seen { namespace, name, message, connection, started }
}

/// Acts on an event that was understood; adds to `faults` what is wrong with its place among the others.
pub(crate) fn accept(
    link: &Arc<Link>,
    dsn: &str,
    title: &str,
    message: &Value,
    started: Instant,
    faults: &mut Vec<String>,
) -> Accepted {
    let event = &message["event"];
    let mut state = link.shared.lock();
    let device = state.device(dsn);
    let mut replay = false;
    if let Some(id) = event["header"]["messageId"].as_str() {
        // Only accepted ids are used up: an event that was refused may be sent again as it was.
        if device.message_ids.len() >= link.shared.options.transcript_limit.max(1) {
            device.message_ids.clear();
        }
        replay = device.message_ids.insert(id.to_owned(), link.id).is_some();
    }
    if let Some(seen) = device.connections.get_mut(&link.id) {
        seen.events += 1;
        seen.synchronised |= title == "System.SynchronizeState";
    }
    if !link.shared.options.require_declaration {
        // Whoever need not declare itself to this simulator may know another from before.
        device.ledger.had_forerunner();
    }
    if !replay {
        judge(&mut state, dsn, &seen(title, message, link.id, started), faults);
    }
    let device = state.device(dsn);
    let script = device.scripts.iter().position(|s| title == format!("{}.{}", s.namespace, s.name));
    let scripted = script.and_then(|at| device.scripts.remove(at)).map(|script| script.answer);
    if title == "SpeechRecognizer.Recognize" {
        let fixed = scripted.map(|answer| match answer.status {
            200 => Script::directives(answer.directives),
            204 => Script::nothing(),
            status => Script::reply(Reply::Status(status)),
        });
        let script = fixed.or_else(|| device.speech.pop_front()).unwrap_or_default();
        return Accepted::Speech(Box::new(script));
    }
    let base = link.shared.media();
    let own = match title {
        "System.SynchronizeState" => {
            link.progress().synchronised = true;
            Answer::nothing()
        }
        "Alexa.Discovery.AddOrUpdateReport" | "Alexa.Discovery.DeleteReport" => {
            discovered(device, title, event, scripted.is_none())
        }
        _ => reaction(device, title, message, &base),
    };
    Accepted::Answer(scripted.unwrap_or(own))
}

/// Has the ledgers judge an event, first whether the stream it speaks of is this device's.
fn judge(state: &mut State, dsn: &str, seen: &Seen<'_>, faults: &mut Vec<String>) {
    let now = Instant::now();
    let token = seen.token().to_owned();
    let claim = state.device(dsn).ledger.player.claim(seen);
    let owners: Vec<(String, bool)> = if claim == Claim::None {
        Vec::new()
    } else {
        let knowing = state.devices.iter().filter(|(_, other)| other.ledger.player.knows(&token));
        knowing
            .map(|(owner, other)| (owner.clone(), other.connected() && other.ledger.player.active(&token)))
            .collect()
    };
    match (claim, owners.first()) {
        (Claim::Takes, Some(_)) => {
            if let Some((from, _)) = owners.iter().find(|(_, active)| *active) {
                // Its PlaybackStopped may be on its way on the other connection.
                let (from, to) = (from.clone(), dsn.to_owned());
                state.hand_overs.push(HandOver { token: token.clone(), from, to, since: now });
            }
            state.device(dsn).ledger.player.adopt(&token, seen.connection);
        }
        (Claim::Reports, Some((owner, _))) => {
            faults.push(format!("{token:?} is the stream of {owner}, which this device never began"));
        }
        _ => {}
    }
    let leaving = state.hand_overs.iter().position(|one| one.from == dsn && one.token == token);
    if let Some(at) = leaving.filter(|_| seen.namespace == "AudioPlayer") {
        let over = state.hand_overs.remove(at);
        if seen.name != "PlaybackStopped" {
            faults.push(format!("{token:?} was begun by {} meanwhile", over.to));
        }
    }
    let ledger = &mut state.device(dsn).ledger;
    if claim != Claim::Reports || owners.is_empty() {
        ledger.player.event(seen, faults);
    }
    ledger.event(seen, now, faults);
}

/// Takes a declaration in and says on the downchannel that it was processed.
fn discovered(device: &mut Device, title: &str, event: &Value, tell: bool) -> Answer {
    let endpoint = &event["payload"]["endpoints"][0];
    if title.ends_with("AddOrUpdateReport") {
        let interfaces = strict::capabilities(&endpoint["capabilities"], &mut Vec::new());
        device.declared = Some(Arc::new(Declared { modern: true, interfaces }));
        device.counts.declarations += 1;
        if let Some(name) = endpoint["friendlyName"].as_str() {
            name.clone_into(&mut device.name);
        }
    }
    let token = event["header"]["eventCorrelationToken"].as_str().unwrap_or_default();
    let processed = Outgoing::new("Alexa", "EventProcessed", json!({}))
        .with_header("payloadVersion", "3")
        .with_header("eventCorrelationToken", token);
    if let Some(down) = device.newest().filter(|_| tell) {
        // Without a downchannel there is nobody to tell.
        let _ = down.sender.send(Down::Directive(Box::new(processed), None));
    }
    Answer::status(202)
}

/// What the music's provider and the skills say to an event of their own accord.
fn reaction(device: &mut Device, title: &str, message: &Value, base: &str) -> Answer {
    let payload = &message["event"]["payload"];
    let token = payload["token"].as_str().unwrap_or_default();
    let cards = device.declares("TemplateRuntime");
    let player = &mut device.player;
    let directives = match title {
        "AudioPlayer.PlaybackNearlyFinished" => player.follow(token, cards, base),
        "Alerts.AlertStarted" => {
            match device.ledger.alerts.get(token).and_then(|alert| alert.music.clone()) {
                Some(album) => device.player.wake(album, token, cards, base),
                None => Vec::new(),
            }
        }
        _ => match Press::of(title, payload) {
            Some(press) => player.press(press, offset(message), cards, base),
            None => Vec::new(),
        },
    };
    if directives.is_empty() { Answer::nothing() } else { Answer::directives(directives) }
}

/// Where the stream stood, by the event's context.
fn offset(message: &Value) -> u64 {
    let entries = message["context"].as_array().map_or(&[][..], Vec::as_slice);
    let state = entries.iter().find(|entry| entry["header"]["name"] == "PlaybackState");
    state.and_then(|entry| entry["payload"]["offsetInMilliseconds"].as_u64()).unwrap_or_default()
}
