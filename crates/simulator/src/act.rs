//! Owns the deeds of a simulator that both its handle and its admin API offer: sending, saying, approving, injecting
//! faults. Each takes the shared state and a device by DSN or friendly name.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::answers::Outgoing;
use crate::downchannel::Down;
use crate::faults::Fault;
use crate::state::{Control, Shared};
use crate::{Error, emit, skills};

/// Longest wait for a directive to be written.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

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
            Fault::Clear => {
                state.refuse = 0;
                state.lwa_errors.clear();
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
