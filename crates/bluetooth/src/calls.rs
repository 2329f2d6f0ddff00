//! What each command is on the bus.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use antiphon_domain::bluetooth::{Command, DeviceId, Key};

use zbus::{Connection, ObjectPath, Proxy, Variant};

use crate::objects::{ADAPTER, DEVICE, Mirror, PLAYER, Seen};

/// BlueZ's own limits are longer than the patience of who waits (45 s).
const LIMIT: Duration = Duration::from_secs(40);

/// What a person reads of a device that BlueZ has not, or no longer.
const UNKNOWN: &str = "the device is not known to bluez";

/// Characters of BlueZ's words that are kept.
const LONGEST_ERROR: usize = 200;

/// One call, ready to be made.
enum Call {
    Look { path: String },
    Adapter { path: String, method: &'static str },
    Visible { path: String, on: bool },
    Forget { adapter: String, device: String },
    Pair { device: String },
    Device { path: String, method: &'static str },
    Key { path: String, interface: &'static str, method: &'static str },
    Unknown,
}

/// The future of a command; the error is in words.
pub(crate) fn carry_out(
    bus: Connection,
    mirror: &Mirror,
    seen: &Seen,
    command: &Command,
    welcoming: Arc<AtomicBool>,
) -> impl Future<Output = Result<(), String>> + Send + 'static {
    let call = plan(mirror, seen, command);
    async move {
        match tokio::time::timeout(LIMIT, make(&bus, call, &welcoming)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(words(&error)),
            Err(_) => Err("no answer in 40 s".into()),
        }
    }
}

fn plan(mirror: &Mirror, seen: &Seen, command: &Command) -> Call {
    let adapter = || mirror.adapter().to_string();
    let path = |id: &DeviceId| seen.devices.get(id).map(|device| device.path.clone());
    let device = |id: &DeviceId, method| path(id).map(|path| Call::Device { path, method });
    let call = match command {
        Command::Scan(true) => Some(Call::Look { path: adapter() }),
        Command::Scan(false) => Some(Call::Adapter { path: adapter(), method: "StopDiscovery" }),
        Command::Discoverable(on) => Some(Call::Visible { path: adapter(), on: *on }),
        Command::Pair(id) => path(id).map(|device| Call::Pair { device }),
        Command::Unpair(id) => path(id).map(|device| Call::Forget { adapter: adapter(), device }),
        Command::Connect(id) => device(id, "Connect"),
        Command::Disconnect(id) => device(id, "Disconnect"),
        Command::Control(id, key) => path(id).map(|device| {
            let method = match key {
                Key::Play => "Play",
                Key::Pause => "Pause",
                Key::Next => "Next",
                Key::Previous => "Previous",
            };
            match mirror.player_of(&device) {
                Some(player) => Call::Key { path: player.into(), interface: PLAYER, method },
                // Peers that show no player still take keys by the older interface.
                None => Call::Key { path: device, interface: "org.bluez.MediaControl1", method },
            }
        }),
    };
    call.unwrap_or(Call::Unknown)
}

async fn make(bus: &Connection, call: Call, welcoming: &AtomicBool) -> zbus::Result<()> {
    match call {
        Call::Look { path } => {
            let adapter = proxy(bus, &path, ADAPTER).await?;
            // Phones and speakers are on one transport, remote controls on the other.
            let filter = HashMap::from([("Transport", Variant::from("auto"))]);
            adapter.call_method("SetDiscoveryFilter", &(filter,)).await?;
            adapter.call_method("StartDiscovery", &()).await.map(drop)
        }
        Call::Adapter { path, method } => {
            proxy(bus, &path, ADAPTER).await?.call_method(method, &()).await.map(drop)
        }
        Call::Visible { path, on } => {
            welcoming.store(on, Ordering::Release);
            proxy(bus, &path, ADAPTER).await?.set_property("Discoverable", on).await.map_err(Into::into)
        }
        Call::Forget { adapter, device } => {
            let device = ObjectPath::try_from(device)?;
            proxy(bus, &adapter, ADAPTER).await?.call_method("RemoveDevice", &(device,)).await.map(drop)
        }
        Call::Pair { device } => {
            let device = proxy(bus, &device, DEVICE).await?;
            device.call_method("Pair", &()).await?;
            // A trusted device may come back by itself. Not all BlueZ let it be set at once; pairing stands without.
            let _ = device.set_property("Trusted", true).await;
            Ok(())
        }
        Call::Device { path, method } => {
            proxy(bus, &path, DEVICE).await?.call_method(method, &()).await.map(drop)
        }
        Call::Key { path, interface, method } => {
            proxy(bus, &path, interface).await?.call_method(method, &()).await.map(drop)
        }
        Call::Unknown => Err(zbus::Error::Failure(UNKNOWN.into())),
    }
}

async fn proxy(bus: &Connection, path: &str, interface: &'static str) -> zbus::Result<Proxy<'static>> {
    // Properties come by the mirror; a cache of their own would only make more calls.
    zbus::proxy::Builder::new(bus)
        .destination("org.bluez")
        .path(path.to_owned())
        .interface(interface)
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await
}

/// BlueZ's own words, as far as a person wants to read them.
fn words(error: &zbus::Error) -> String {
    // A device that was just removed: whether its removal or this answer is read first is chance.
    if matches!(error, zbus::Error::MethodError(name, ..) if name.as_str().ends_with(".UnknownObject")) {
        return UNKNOWN.to_owned();
    }
    let text = error.to_string();
    text.lines().next().unwrap_or_default().chars().take(LONGEST_ERROR).collect()
}
