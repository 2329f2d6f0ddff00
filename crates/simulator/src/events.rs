//! Owns one event's way through the simulator: request checks, order on its connection, reading, judgement, answer,
//! transcript. One call a request; `strict` judges, `answers` knows what to say.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::request::Parts;
use serde_json::Value;

use crate::answers::{Answer, Outgoing};
use crate::connection::Link;
use crate::downchannel::Down;
use crate::emit::{self, Emitter};
use crate::faults::take;
use crate::multipart::{self, Item, Reader};
use crate::reply;
use crate::state::{Declared, Draft};
use crate::strict::{self, PartSeen};
use crate::transcript::Direction;

/// Longest metadata part, bytes.
const MAX_METADATA: usize = 1 << 20;
const PATH: &str = "/v20160207/events";

/// What arrived with one event.
#[derive(Debug, Default)]
struct Arrived {
    metadata: Vec<u8>,
    whole_at: Option<Instant>,
    parts: Vec<PartSeen>,
    faults: Vec<String>,
    broken_off: bool,
}

/// Serves `POST /v20160207/events`.
pub(crate) async fn serve(
    link: &Arc<Link>,
    head: Parts,
    mut body: RecvStream,
    mut respond: SendResponse<Bytes>,
) {
    let started = Instant::now();
    let stream = u64::from(respond.stream_id().as_u32());
    let mut faults = begin(link, stream);
    let Some(dsn) = link.authorised(&head, &mut respond) else {
        return end(link, stream);
    };
    if link.progress().dsn.is_none() {
        link.shared.violation(Some(&dsn), link.id, PATH, "an event on a connection without downchannel");
    }
    let content_type = reply::text(&head.headers, "content-type");
    let bare = content_type.split(';').next().unwrap_or_default().trim();
    let boundary = multipart::parameter(content_type, "boundary").unwrap_or_default();
    if !bare.eq_ignore_ascii_case("multipart/form-data") || boundary.is_empty() || boundary.len() > 70 {
        link.violation(PATH, format!("content-type {content_type:?}"));
        reply::refuse(&mut respond, 415);
        return end(link, stream);
    }
    let arrived = read(&mut body, &boundary).await;
    if arrived.broken_off {
        tracing::debug!(dsn, "event broken off by the device");
        return end(link, stream);
    }
    faults.extend(arrived.faults);
    strict::check_parts(&arrived.parts, &mut faults);
    let message: Value = serde_json::from_slice(&arrived.metadata).unwrap_or(Value::Null);
    let attachment_bytes = arrived.parts.iter().skip(1).map(|part| part.bytes).sum();
    let layout_faults = faults.len();
    judge(link, &dsn, &message, &mut faults);
    let title = title(&message);
    if title == "Alexa.Discovery.AddOrUpdateReport" {
        let endpoint = &message["event"]["payload"]["endpoints"][0];
        strict::modern(&strict::capabilities(&endpoint["capabilities"], &mut faults), &mut faults);
        check_registration(&dsn, endpoint, &mut faults);
    }
    // What the service would not understand it refuses; what is only out of order it takes.
    let refused = faults.len() > layout_faults || message.is_null();
    order(link, &dsn, &title, &mut faults);
    for fault in &faults {
        link.shared.violation(Some(&dsn), link.id, &title, fault.clone());
    }

    let struck = strike(link, &dsn);
    let answer = match struck.status {
        Some(status) => Answer::status(status),
        None if refused => Answer::status(400),
        None if struck.reset => Answer::nothing(),
        None => accept(link, &dsn, &title, &message),
    };
    let draft = Draft {
        direction: Direction::Event,
        at: arrived.whole_at.unwrap_or_else(Instant::now),
        started,
        connection: link.id,
        message,
        attachment_bytes,
        status: if struck.reset { 0 } else { answer.status },
        violations: faults,
    };
    link.shared.record(&dsn, draft);
    if let Some(delay) = struck.delay {
        tokio::time::sleep(delay).await;
    }
    if struck.reset {
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
        return end(link, stream);
    }
    give(link, &dsn, stream, answer, respond).await;
}

/// Notes the start of an event and finds fault with its timing.
fn begin(link: &Link, stream: u64) -> Vec<String> {
    let mut faults = Vec::new();
    let mut progress = link.progress();
    if progress.dsn.is_some() && progress.open.is_none() {
        faults.push("an event before the downchannel was answered 200".to_owned());
    }
    if !progress.unanswered.is_empty() {
        let waiting = progress.unanswered.len();
        faults.push(format!("started before the answers to {waiting} earlier events had begun"));
    }
    progress.events += 1;
    progress.unanswered.push(stream);
    faults
}

/// The answer to this event has begun, or it will have none.
fn end(link: &Link, stream: u64) {
    link.progress().unanswered.retain(|id| *id != stream);
}

async fn read(body: &mut RecvStream, boundary: &str) -> Arrived {
    let mut arrived = Arrived::default();
    let mut reader = Reader::new(boundary);
    while let Some(chunk) = body.data().await {
        let Ok(chunk) = chunk else {
            arrived.broken_off = true;
            return arrived;
        };
        let _ = body.flow_control().release_capacity(chunk.len());
        for item in reader.push(&chunk) {
            match item {
                Item::Part(headers) if arrived.parts.len() < 8 => {
                    arrived.parts.push(PartSeen { headers, bytes: 0 });
                }
                Item::Part(_) => arrived.faults.push("more than eight parts".to_owned()),
                Item::Data(data) => {
                    let first = arrived.parts.len() == 1;
                    if let Some(part) = arrived.parts.last_mut() {
                        part.bytes += data.len() as u64;
                    }
                    if first && arrived.metadata.len() + data.len() <= MAX_METADATA {
                        arrived.metadata.extend_from_slice(&data);
                    }
                }
                Item::PartEnd if arrived.parts.len() == 1 => arrived.whole_at = Some(Instant::now()),
                Item::PartEnd | Item::End => {}
            }
        }
    }
    arrived.faults.extend(reader.finish().map(str::to_owned));
    arrived
}

/// `Namespace.Name` of an event.
fn title(message: &Value) -> String {
    let header = &message["event"]["header"];
    format!(
        "{}.{}",
        header["namespace"].as_str().unwrap_or_default(),
        header["name"].as_str().unwrap_or_default()
    )
}

fn judge(link: &Link, dsn: &str, message: &Value, faults: &mut Vec<String>) {
    if message.is_null() {
        faults.push("the metadata is not JSON".to_owned());
        return;
    }
    let declared = link.shared.lock().device(dsn).declared.clone();
    strict::check_message(message, &link.shared.catalogue, declared.as_deref(), faults);
    let id = message["event"]["header"]["messageId"].as_str().unwrap_or_default();
    // On another connection it is a replay: that one may have ended before its answer arrived.
    if link.shared.lock().device(dsn).message_ids.get(id) == Some(&link.id) {
        faults.push(format!("messageId {id} was used before"));
    }
}

/// The endpoint must be the device's own, and say so.
fn check_registration(dsn: &str, endpoint: &Value, faults: &mut Vec<String>) {
    let declared = endpoint["registration"]["deviceSerialNumber"].as_str();
    if declared != Some(dsn) {
        faults.push(format!("registration.deviceSerialNumber {declared:?} on a connection of {dsn}"));
    }
}

/// Checks the opening order: gateway, discovery, synchronise, then all else (connection page, section "opening").
fn order(link: &Link, dsn: &str, title: &str, faults: &mut Vec<String>) {
    let declared = link.shared.lock().device(dsn).declared.clone();
    let mut progress = link.progress();
    match title {
        "Alexa.ApiGateway.VerifyGateway" => {
            if progress.synchronised {
                faults.push("after SynchronizeState".to_owned());
            }
            progress.verified = true;
        }
        "Alexa.Discovery.AddOrUpdateReport" => {
            if !progress.verified {
                faults.push("before VerifyGateway".to_owned());
            }
            if declared.is_some_and(|declared| !declared.modern) {
                faults.push("Alexa.Discovery after the Capabilities API: stacks are mixed".to_owned());
            }
        }
        "System.SynchronizeState" => {
            let undeclared = link.shared.options.require_declaration && declared.is_none();
            faults.extend(undeclared.then(|| "before any capabilities were declared".to_owned()));
        }
        _ if !progress.synchronised => faults.push("before SynchronizeState".to_owned()),
        _ => {}
    }
}

/// Faults that strike this event.
struct Struck {
    status: Option<u16>,
    delay: Option<std::time::Duration>,
    reset: bool,
}

fn strike(link: &Link, dsn: &str) -> Struck {
    let mut state = link.shared.lock();
    let armed = &mut state.device(dsn).armed;
    Struck {
        status: armed.event_status.pop_front(),
        delay: armed.delays.pop_front(),
        reset: take(&mut armed.reset_events),
    }
}

/// Acts on an event that was understood; the answer to give.
fn accept(link: &Arc<Link>, dsn: &str, title: &str, message: &Value) -> Answer {
    let event = &message["event"];
    let mut state = link.shared.lock();
    let device = state.device(dsn);
    if let Some(id) = event["header"]["messageId"].as_str() {
        // Only accepted ids are used up: an event that was refused may be sent again as it was.
        if device.message_ids.len() >= link.shared.options.transcript_limit.max(1) {
            device.message_ids.clear();
        }
        device.message_ids.insert(id.to_owned(), link.id);
    }
    if let Some(seen) = device.connections.get_mut(&link.id) {
        seen.events += 1;
        seen.synchronised |= title == "System.SynchronizeState";
    }
    let script = device.scripts.iter().position(|s| title == format!("{}.{}", s.namespace, s.name));
    let scripted = script.and_then(|at| device.scripts.remove(at)).map(|script| script.answer);
    let follow =
        |play: Option<Outgoing>| play.map_or_else(Answer::nothing, |play| Answer::directives(vec![play]));
    let own = match title {
        "System.SynchronizeState" => {
            link.progress().synchronised = true;
            Answer::nothing()
        }
        "Alexa.Discovery.AddOrUpdateReport" | "Alexa.Discovery.DeleteReport" => {
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
            let processed = Outgoing::new("Alexa", "EventProcessed", serde_json::json!({}))
                .with_header("payloadVersion", "3")
                .with_header("eventCorrelationToken", token);
            if scripted.is_none()
                && let Some(down) = device.newest()
            {
                // Without a downchannel there is nobody to tell.
                let _ = down.sender.send(Down::Directive(Box::new(processed), None));
            }
            Answer::status(202)
        }
        "AudioPlayer.PlaybackNearlyFinished" => {
            let token = event["payload"]["token"].as_str().unwrap_or_default();
            follow(device.player.follow(token))
        }
        "PlaybackController.PlayCommandIssued" => follow(device.player.again()),
        "PlaybackController.NextCommandIssued" => follow(device.player.skip()),
        "PlaybackController.PreviousCommandIssued" => follow(device.player.back()),
        "PlaybackController.PauseCommandIssued" => {
            Answer::directives(vec![Outgoing::new("AudioPlayer", "Stop", serde_json::json!({}))])
        }
        _ => Answer::nothing(),
    };
    scripted.unwrap_or(own)
}

/// Sends an answer; the response headers first, which frees the device to start its next event.
async fn give(link: &Arc<Link>, dsn: &str, stream: u64, answer: Answer, mut respond: SendResponse<Bytes>) {
    if answer.status != 200 {
        // Before the bytes, or the device's next event could overtake the note.
        end(link, stream);
        return reply::refuse(&mut respond, answer.status);
    }
    let boundary = emit::boundary();
    end(link, stream);
    let head = reply::head(200, Some(&emit::content_type(&boundary)));
    let Ok(send) = respond.send_response(head, false) else { return };
    let mut emitter = Emitter::new(send, &boundary);
    let closed = !take(&mut link.shared.lock().device(dsn).armed.unclosed);
    let emission = || link.shared.lock().device(dsn).armed.emission();
    let first = emission();
    if emitter.delimiter(first).await.is_err() {
        return;
    }
    let mut parts: Vec<(Bytes, Option<Outgoing>)> = Vec::new();
    for outgoing in answer.directives {
        let bodies = emit::parts(&outgoing);
        let last = bodies.len() - 1;
        for (index, body) in bodies.into_iter().enumerate() {
            parts.push((body, (index == last).then(|| outgoing.clone())));
        }
    }
    let count = parts.len();
    for (index, (body, whole)) in parts.into_iter().enumerate() {
        let how = emission();
        let done = if index + 1 == count {
            emitter.last(Some(&body), closed, how).await
        } else {
            emitter.part(&body, how).await
        };
        if done.is_err() {
            return;
        }
        if let Some(outgoing) = whole {
            let at = Instant::now();
            let attachment_bytes = outgoing.attachments.iter().map(|one| one.data.len() as u64).sum();
            let draft = Draft {
                direction: Direction::Directive,
                at,
                started: at,
                connection: link.id,
                message: outgoing.message,
                attachment_bytes,
                status: 0,
                violations: Vec::new(),
            };
            link.shared.record(dsn, draft);
        }
    }
    if count == 0 {
        let how = emission();
        // The peer may have gone; nothing is owed to it then.
        let _ = emitter.last(None, closed, how).await;
    }
}
