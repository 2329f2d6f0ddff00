//! The opening events and the body of the Capabilities API call.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Identity, Secret};
use crate::message::{Event, Retry};

/// The body of `PUT /v1/devices/@self/capabilities` ("Capabilities API").
pub fn capabilities_body(identity: &Identity) -> Value {
    json!({ "envelopeVersion": "20160207", "capabilities": *identity.capabilities })
}

/// `Alexa.ApiGateway.VerifyGateway`.
pub(super) fn verify_gateway() -> Event {
    let mut event = Event::new("Alexa.ApiGateway", "VerifyGateway", json!({}));
    event.retry = Retry::UntilAccepted;
    event
}

/// `Alexa.Discovery.AddOrUpdateReport` for the device itself; its correlation token is in the header.
pub(super) fn report(identity: &Identity, token: &Secret) -> Event {
    let Identity { client_id, product_id, serial_number, friendly_name, capabilities } = identity;
    let payload = json!({
        "scope": { "type": "BearerToken", "token": token.expose() },
        "endpoints": [{
            // The convention of the AVS Device SDK for the device itself.
            "endpointId": format!("{client_id}::{product_id}::{serial_number}"),
            "friendlyName": friendly_name,
            "description": "Antiphon speaker",
            "manufacturerName": "Antiphon",
            "displayCategories": ["ALEXA_VOICE_ENABLED", "SPEAKER"],
            "registration": { "productId": product_id, "deviceSerialNumber": serial_number },
            "additionalAttributes": {
                "manufacturer": "Antiphon",
                "model": product_id,
                "serialNumber": serial_number,
                "softwareVersion": env!("CARGO_PKG_VERSION"),
            },
            "connections": [],
            "cookie": {},
            "capabilities": **capabilities,
        }],
    });
    let mut event = Event::new("Alexa.Discovery", "AddOrUpdateReport", payload);
    event.header.payload_version = Some("3".into());
    event.header.event_correlation_token = Some(Uuid::new_v4().to_string());
    event.retry = Retry::UntilAccepted;
    event
}
