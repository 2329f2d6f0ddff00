//! Owns one event's way through the simulator: request checks, order on its connection, reading, judgement, answer,
//! transcript. One call a request; `strict` and the device's ledger judge, `follow` knows what to say.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::request::Parts;
use serde_json::Value;

use crate::answers::Answer;
use crate::connection::Link;
use crate::faults::take;
use crate::follow::{self, Accepted};
use crate::reception::Reception;
use crate::respond::{self, end};
use crate::state::Draft;
use crate::transcript::Direction;
use crate::{multipart, recognize, reply, strict};

const PATH: &str = "/v20160207/events";

/// Serves `POST /v20160207/events`.
pub(crate) async fn serve(link: &Arc<Link>, head: Parts, body: RecvStream, mut respond: SendResponse<Bytes>) {
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
    let mut reception = Reception::new(body, &boundary);
    reception.metadata().await;
    let message: Value = serde_json::from_slice(&reception.metadata).unwrap_or(Value::Null);
    let title = title(&message);
    // Speech is answered while it comes; anything else is short and taken whole.
    let speech = title == "SpeechRecognizer.Recognize" && reception.whole_at.is_some();
    if !speech {
        reception.rest().await;
    }
    if reception.broken_off {
        tracing::debug!(dsn, "event broken off by the device");
        return end(link, stream);
    }
    if !speech {
        faults.append(&mut reception.faults);
        strict::check_parts(&reception.parts, &mut faults);
        if reception.parts.len() > 1 {
            faults.push("only a Recognize has audio".to_owned());
        }
    }
    let layout_faults = faults.len();
    judge(link, &dsn, &message, &mut faults);
    if title == "Alexa.Discovery.AddOrUpdateReport" {
        let endpoint = &message["event"]["payload"]["endpoints"][0];
        strict::modern(&strict::capabilities(&endpoint["capabilities"], &mut faults), &mut faults);
        check_registration(&dsn, endpoint, &mut faults);
    }
    // What the service would not understand it refuses; what is only out of order it takes.
    let refused = faults.len() > layout_faults || message.is_null();
    order(link, &dsn, &title, &mut faults);

    let struck = strike(link, &dsn);
    if struck.status.is_some() || struck.reset {
        let seen = follow::seen(&title, &message, link.id, started);
        link.shared.lock().device(&dsn).ledger.lost(&seen);
    }
    let accepted = match struck.status {
        Some(status) => Accepted::Answer(Answer::status(status)),
        None if refused => Accepted::Answer(Answer::status(400)),
        None if struck.reset => Accepted::Answer(Answer::nothing()),
        None => follow::accept(link, &dsn, &title, &message, started, &mut faults),
    };
    for fault in &faults {
        link.shared.violation(Some(&dsn), link.id, &title, fault.clone());
    }
    let status = match &accepted {
        Accepted::Answer(answer) => answer.status,
        Accepted::Speech(_) => 200,
    };
    let draft = Draft {
        direction: Direction::Event,
        at: reception.whole_at.unwrap_or_else(Instant::now),
        started,
        connection: link.id,
        attachment_bytes: reception.attached(),
        status: if struck.reset { 0 } else { status },
        violations: faults,
        message: message.clone(),
    };
    link.shared.record(&dsn, draft);
    if let Some(delay) = struck.delay {
        tokio::time::sleep(delay).await;
    }
    if struck.reset {
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
        return end(link, stream);
    }
    match accepted {
        Accepted::Answer(answer) => respond::give(link, &dsn, stream, answer, respond).await,
        Accepted::Speech(script) => {
            recognize::serve(link, &dsn, stream, &message, *script, reception, respond).await;
        }
    }
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
            // One at run time is no part of the opening: the gateway is known to be the right one.
            if !progress.verified && !progress.synchronised {
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
