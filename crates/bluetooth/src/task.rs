//! The task that holds the bus.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use antiphon_domain::bluetooth::{Command, News};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};
use zbus::fdo::{DBusProxy, ObjectManagerProxy};
use zbus::{Connection, MatchRule, MessageStream, connection, message};

use crate::objects::{Mirror, Properties};
use crate::{BluetoothConfig, Shared, agent, calls};

const BLUEZ: &str = "org.bluez";
/// How long to wait before BlueZ is looked for again.
const AGAIN: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10), Duration::from_secs(30)];
/// Calls under way at once; the interface has few devices to speak to.
const CALLS: usize = 32;

/// Runs until the handle is dropped.
pub(crate) async fn run(config: BluetoothConfig, shared: Arc<Shared>, mut commands: Receiver<Command>) {
    let mut failures = 0;
    loop {
        match serve(&config, &shared, &mut commands, &mut failures).await {
            Ok(()) => return,
            Err(error) => {
                // A machine without Bluetooth is nothing to warn of.
                debug!(%error, "bluez cannot be reached");
                shared.show(None);
            }
        }
        let wait = AGAIN[failures.min(AGAIN.len() - 1)];
        failures += 1;
        let until = tokio::time::sleep(wait);
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => break,
                command = commands.recv() => match command {
                    Some(command) => {
                        shared.tell(News::Done { command, result: Err("there is no bluetooth adapter".into()) });
                    }
                    None => return,
                },
            }
        }
    }
}

/// Serves one connection to the bus; `Ok` when nobody holds the handle any more.
async fn serve(
    config: &BluetoothConfig,
    shared: &Arc<Shared>,
    commands: &mut Receiver<Command>,
    failures: &mut usize,
) -> zbus::Result<()> {
    let bus = match &config.bus {
        Some(address) => connection::Builder::address(address.as_str()).build().await?,
        None => Connection::system().await?,
    };
    let daemon = DBusProxy::new(&bus).await?;
    let mut owners = daemon.receive_name_owner_changed_with_args(&[(0, BLUEZ)]).await?;
    let manager = ObjectManagerProxy::builder(&bus).destination(BLUEZ).path("/").build().await?;
    let mut added = manager.receive_interfaces_added().await?;
    let mut removed = manager.receive_interfaces_removed().await?;
    let changes = MatchRule::builder()
        .msg_type(message::Type::Signal)
        .sender(BLUEZ)
        .interface("org.freedesktop.DBus.Properties")
        .member("PropertiesChanged")
        .build()?;
    let mut changed = MessageStream::for_match_rule(changes, &bus, None).await?;

    let mut mirror = Mirror::new(&config.adapter, config.salt);
    for (path, interfaces) in manager.get_managed_objects().await? {
        for (interface, properties) in interfaces {
            mirror.added(&path, &interface, properties);
        }
    }
    let welcoming = Arc::new(AtomicBool::new(false));
    if let Err(error) = agent::register(&bus, welcoming.clone()).await {
        warn!(%error, "bluez takes no agent from us: only devices that need no pairing can come");
    }
    *failures = 0;
    info!(adapter = %config.adapter, "bluez is there");
    shared.show(Some(&mirror));

    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            command = commands.recv() => {
                let Some(command) = command else { return Ok(()) };
                if calls.len() >= CALLS {
                    shared.tell(News::Done { command, result: Err("too many calls are under way".into()) });
                    continue;
                }
                let call = calls::carry_out(bus.clone(), &mirror, &mirror.seen(), &command, welcoming.clone());
                calls.spawn(async move { (command, call.await) });
            }
            Some(done) = calls.join_next() => {
                // A call that panicked is one that never answers; the interface's own limit ends it.
                let Ok((command, result)) = done else { continue };
                shared.metrics.command(&command, result.is_ok());
                // What it changed is told before its answer.
                drain(&mut mirror, &mut changed);
                shared.show(Some(&mirror));
                shared.tell(News::Done { command, result });
            }
            signal = added.next() => {
                let Some(signal) = signal else { return Err(zbus::Error::InputOutput(Arc::new(closed()))) };
                let Ok(args) = signal.args() else { continue };
                for (interface, properties) in args.interfaces_and_properties() {
                    let mut owned = Properties::new();
                    for (name, value) in properties {
                        if let Ok(value) = value.try_to_owned() {
                            owned.insert(name.to_string(), value);
                        }
                    }
                    mirror.added(args.object_path(), interface, owned);
                }
                shared.show(Some(&mirror));
            }
            signal = removed.next() => {
                let Some(signal) = signal else { return Err(zbus::Error::InputOutput(Arc::new(closed()))) };
                let Ok(args) = signal.args() else { continue };
                for interface in args.interfaces().iter() {
                    mirror.removed(args.object_path(), interface);
                }
                shared.show(Some(&mirror));
            }
            message = changed.next() => {
                let Some(message) = message else { return Err(zbus::Error::InputOutput(Arc::new(closed()))) };
                apply(&mut mirror, &message?);
                shared.show(Some(&mirror));
            }
            owner = owners.next() => {
                let gone = owner.is_none_or(|owner| owner.args().is_ok_and(|a| a.new_owner().is_none()));
                if gone {
                    return Err(zbus::Error::InputOutput(Arc::new(closed())));
                }
            }
        }
    }
}

/// Takes in the changes of properties that have arrived already.
fn drain(mirror: &mut Mirror, changed: &mut MessageStream) {
    while let Some(Some(Ok(message))) = changed.next().now_or_never() {
        apply(mirror, &message);
    }
}

fn apply(mirror: &mut Mirror, message: &zbus::Message) {
    let header = message.header();
    let Some(path) = header.path() else { return };
    let body = message.body();
    if let Ok((interface, properties, gone)) = body.deserialize::<(String, Properties, Vec<String>)>() {
        mirror.changed(path, &interface, properties, &gone);
    }
}

fn closed() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "bluez has left the bus")
}
