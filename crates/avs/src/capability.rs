//! Capability objects: what the device says it can do ("Capabilities API", "Alexa.Discovery 3.0").

use serde_json::{Value, json};

use crate::interfaces::Interface;

/// The `AlexaInterface` object of one interface.
pub fn object(interface: &dyn Interface) -> Value {
    let mut object = json!({
        "type": "AlexaInterface",
        "interface": interface.namespace(),
        "version": interface.version(),
    });
    if let Some(configurations) = interface.configurations() {
        object["configurations"] = configurations;
    }
    object
}
