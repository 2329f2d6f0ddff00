//! Owns the deeds of a simulator that both its handle and its admin API offer: sending, saying, approving, injecting
//! faults. Each takes the shared state and a device by DSN or friendly name.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::answers::Outgoing;
use crate::downchannel::Down;
use crate::faults::Fault;
use crate::judge::HandOver;
use crate::script::Script;
use crate::state::{Control, Shared};
use crate::{Error, authorize, emit, form, skills};

/// Longest wait for a directive to be written.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// Most answers prepared for one device.
const MAX_SCRIPTS: usize = 1000;
/// How long two devices may say that they play one stream, while a group changes its leader.
const HAND_OVER: Duration = Duration::from_secs(5);

fn dsn_of(shared: &Shared, who: &str) -> Result<String, Error> {
    let state = shared.lock();
    state.find(who).map(|device| device.dsn.to_string()).ok_or_else(|| Error::UnknownDevice(who.to_owned()))
}

/// See `Simulator::send`.
pub(crate) async fn send(shared: &Shared, who: &str, outgoing: Outgoing) -> Result<Instant, Error> {
    let dsn = dsn_of(shared, who)?;
    let (told, written) = oneshot::channel();
    {
        let mut state = shared.lock();
        let none = || Error::NoDownchannel(dsn.clone());
        let down = state.device(&dsn).newest().ok_or_else(none)?;
        down.sender.send(Down::Directive(Box::new(outgoing), Some(told))).map_err(|_| none())?;
    }
    match tokio::time::timeout(WRITE_LIMIT, written).await {
        Ok(Ok(at)) => Ok(at),
        Ok(Err(_)) | Err(_) => Err(Error::Gone(dsn)),
    }
}

/// See `Simulator::say`.
pub(crate) async fn say(shared: &Shared, who: &str, sentence: &str) -> Result<Vec<String>, Error> {
    let dsn = dsn_of(shared, who)?;
    let mut titles = Vec::new();
    for outgoing in skills::directives(shared, &dsn, sentence).await? {
        titles.push(outgoing.title());
        send(shared, &dsn, outgoing).await?;
    }
    Ok(titles)
}

/// See `Simulator::approve`.
pub(crate) fn approve(shared: &Shared, user_code: &str) -> Result<String, Error> {
    let dsn = shared.lock().lwa.approve(user_code, Instant::now(), &shared.options);
    dsn.ok_or_else(|| Error::UnknownCode(user_code.to_owned()))
}

/// See `Simulator::inject`.
pub(crate) fn inject(shared: &Shared, who: &str, fault: &Fault) -> Result<(), Error> {
    let dsn = dsn_of(shared, who)?;
    tracing::info!(dsn, ?fault, "fault injected");
    let mut state = shared.lock();
    match fault {
        Fault::ExpireToken => state.lwa.expire(&dsn, Instant::now()),
        Fault::Revoke => state.lwa.revoke(&dsn, Instant::now()),
        _ => {}
    }
    let device = state.device(&dsn);
    device.armed.arm(fault);
    let control = match fault {
        Fault::GoAway => Some(Control::GoAway),
        Fault::TcpReset => Some(Control::TcpReset),
        Fault::HalfClose => Some(Control::HalfClose),
        Fault::Silence => Some(Control::Silence),
        _ => None,
    };
    if matches!(fault, Fault::Silence | Fault::HalfClose) {
        device.silenced = device.controls.keys().copied().collect();
    }
    if let Some(control) = control {
        for connection in device.controls.values() {
            // A connection that has just ended needs no fault.
            let _ = connection.send(control);
        }
    }
    let orders = match fault {
        Fault::EndDownchannel => vec![Down::End],
        Fault::ResetDownchannel => vec![Down::Reset],
        Fault::MalformedPart => emit::malformed().into_iter().map(Down::Raw).collect(),
        Fault::OversizedPart(bytes) => vec![Down::Raw(emit::oversized(*bytes))],
        _ => Vec::new(),
    };
    if let Some(down) = device.newest() {
        for order in orders {
            let _ = down.sender.send(order);
        }
    }
    Ok(())
}

/// See `Simulator::inject_all`.
pub(crate) fn inject_all(shared: &Shared, fault: &Fault) {
    let devices: Vec<String> = {
        let mut state = shared.lock();
        match fault {
            Fault::Refuse(count) => {
                state.refuse = *count;
                return;
            }
            Fault::Lwa(error, count) => {
                let error = std::iter::repeat_n(error.clone(), (*count).min(10_000) as usize);
                state.lwa_errors.extend(error);
                return;
            }
            Fault::LwaPair(error, count) => {
                let error = std::iter::repeat_n(error.clone(), (*count).min(10_000) as usize);
                state.pair_errors.extend(error);
                return;
            }
            Fault::Clear => {
                state.refuse = 0;
                state.lwa_errors.clear();
                state.pair_errors.clear();
            }
            _ => {}
        }
        state.devices.keys().cloned().collect()
    };
    for dsn in devices {
        // Devices are never removed, so each is still there.
        let _ = inject(shared, &dsn, fault);
    }
}

/// Tells every connection.
pub(crate) fn each_control(shared: &Shared, control: Control) {
    let state = shared.lock();
    for connection in state.devices.values().flat_map(|device| device.controls.values()) {
        let _ = connection.send(control);
    }
}

/// See `Simulator::answer_speech`.
pub(crate) fn answer_speech(shared: &Shared, who: &str, script: Script) -> Result<(), Error> {
    let dsn = dsn_of(shared, who)?;
    let mut state = shared.lock();
    let scripts = &mut state.device(&dsn).speech;
    if scripts.len() >= MAX_SCRIPTS {
        return Err(Error::BadScript("too many wait already".to_owned()));
    }
    scripts.push_back(script);
    Ok(())
}

/// Makes violations of what is overdue: directives unanswered, streams taken over that were never given up.
pub(crate) fn settle(shared: &Shared) {
    let now = Instant::now();
    let within = shared.options.answer_within;
    let mut found: Vec<(String, u64, String)> = Vec::new();
    {
        let mut state = shared.lock();
        for (dsn, device) in &mut state.devices {
            let silenced = &device.silenced;
            let connections = &device.connections;
            let open = |id: u64| {
                let live = connections.get(&id).is_some_and(|one| one.closed.is_none() && one.downchannel);
                live && !silenced.contains(&id)
            };
            let overdue = device.ledger.overdue(now, within, open);
            found.extend(overdue.into_iter().map(|(connection, what)| (dsn.clone(), connection, what)));
        }
        let limit = HAND_OVER.min(within);
        let late: Vec<HandOver> = state
            .hand_overs
            .extract_if(.., |one| now.saturating_duration_since(one.since) >= limit)
            .collect();
        for over in late {
            // A leader that has died cannot say that it stopped.
            if state.device(&over.from).connected() {
                found.push((over.to, 0, format!("{:?} plays {:?} as well", over.from, over.token)));
            }
        }
    }
    for (dsn, connection, what) in found {
        shared.violation(Some(&dsn), connection, "judgement", what);
    }
}

/// See `Simulator::revoke`.
pub(crate) fn revoke(shared: &Shared, who: &str) -> Result<(), Error> {
    inject(shared, who, &Fault::Revoke)
}

/// What a person's answer to an authorization request comes to: a page to show, or where the browser goes.
pub(crate) enum Shown {
    Page(String),
    Redirect(String),
    /// Not even an error may be told by a redirect.
    Refused(String),
}

/// Takes a request to `/ap/oa`: its query, and the form's `decision` once there is one.
pub(crate) fn authorize(shared: &Shared, form: &BTreeMap<String, String>) -> Shown {
    let request = match authorize::check(form, &shared.options) {
        Ok(request) => request,
        Err(wrong) => {
            shared.violation(None, 0, "/ap/oa", format!("{}: {}", wrong.error, wrong.why));
            return wrong.redirect.map_or(Shown::Refused(wrong.why), Shown::Redirect);
        }
    };
    match form.get("decision").map(String::as_str) {
        Some("allow") => {}
        None if shared.options.allow_all => {}
        Some(_) => return Shown::Redirect(request.denied()),
        None => return Shown::Page(authorize::page(&request, form)),
    }
    let dsn = request.dsn.clone();
    let code = shared.lock().lwa.codes.grant(&dsn, Some(request.clone()), Instant::now());
    Shown::Redirect(request.granted(&code))
}

/// See `Simulator::allow`.
pub(crate) fn allow(shared: &Shared, url: &str) -> Result<String, Error> {
    let wrong = |why: &str| Error::Authorization(why.to_owned());
    let query = url.split_once('?').ok_or_else(|| wrong("the URL has no query"))?.1;
    let query = query.split('#').next().unwrap_or_default();
    let mut form = form::parse(query).ok_or_else(|| wrong("the query cannot be read"))?;
    form.insert("decision".to_owned(), "allow".to_owned());
    match authorize(shared, &form) {
        Shown::Redirect(url) => Ok(url),
        Shown::Page(_) => Err(wrong("nobody pressed a button")),
        Shown::Refused(why) => Err(Error::Authorization(why)),
    }
}
