//! Our agent at BlueZ: a speaker has no keys and no display, so pairing needs no code. A stranger may pair only while
//! somebody asked us to be visible.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zbus::{Connection, ObjectPath, OwnedObjectPath, fdo};

const PATH: &str = "/io/antiphon/agent";

struct Agent {
    welcoming: Arc<AtomicBool>,
}

impl Agent {
    fn decide(&self) -> fdo::Result<()> {
        if self.welcoming.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(fdo::Error::AccessDenied("not visible to strangers now".into()))
        }
    }
}

#[zbus::interface(name = "org.bluez.Agent1")]
impl Agent {
    fn release(&self) {}

    fn cancel(&self) {}

    fn request_confirmation(&self, _device: OwnedObjectPath, _passkey: u32) -> fdo::Result<()> {
        self.decide()
    }

    fn request_authorization(&self, _device: OwnedObjectPath) -> fdo::Result<()> {
        self.decide()
    }

    /// A paired device uses a service: that was decided when it was paired.
    fn authorize_service(&self, _device: OwnedObjectPath, _uuid: String) {}
}

/// Offers our agent to BlueZ.
pub(crate) async fn register(bus: &Connection, welcoming: Arc<AtomicBool>) -> zbus::Result<()> {
    bus.object_server().at(PATH, Agent { welcoming }).await?;
    let manager = zbus::Proxy::new(bus, "org.bluez", "/org/bluez", "org.bluez.AgentManager1").await?;
    let path = ObjectPath::try_from(PATH)?;
    manager.call_method("RegisterAgent", &(&path, "NoInputNoOutput")).await?;
    manager.call_method("RequestDefaultAgent", &(&path,)).await?;
    Ok(())
}
