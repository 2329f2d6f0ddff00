//! The opening events and the body of the Capabilities API call.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Identity, Secret, Stack};
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

/// The name of the device's own endpoint, by the convention of the AVS Device SDK.
fn endpoint_id(identity: &Identity) -> String {
    let Identity { client_id, product_id, serial_number, .. } = identity;
    format!("{client_id}::{product_id}::{serial_number}")
}

/// What makes a declaration stale when it changes (device, gateway, every capability), as 32 hexadecimal digits.
pub(super) fn fingerprint(identity: &Identity, stack: Stack, gateway: &str) -> String {
    let declaration = match stack {
        Stack::Modern => endpoints(identity),
        Stack::Legacy => json!([endpoint_id(identity), capabilities_body(identity)]),
    };
    // FNV-1a with 128 bits: nobody gains by a collision, and this never changes with a release of a library.
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in gateway.bytes().chain([0]).chain(declaration.to_string().bytes()) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    format!("{hash:032x}")
}

/// `Alexa.Discovery.AddOrUpdateReport` for the device itself; its correlation token is in the header.
pub(super) fn report(identity: &Identity, token: &Secret) -> Event {
    discovery("AddOrUpdateReport", endpoints(identity), token, Retry::UntilAccepted)
}

/// `Alexa.Discovery.DeleteReport` for the device itself: the account forgets it.
pub fn delete_report(identity: &Identity, token: &Secret) -> Event {
    let endpoints = json!([{ "endpointId": endpoint_id(identity) }]);
    discovery("DeleteReport", endpoints, token, Retry::BeforeHeaders)
}

fn discovery(name: &str, endpoints: Value, token: &Secret, retry: Retry) -> Event {
    let scope = json!({ "type": "BearerToken", "token": token.expose() });
    let payload = json!({ "scope": scope, "endpoints": endpoints });
    let mut event = Event::new("Alexa.Discovery", name, payload);
    event.header.payload_version = Some("3".into());
    event.header.event_correlation_token = Some(Uuid::new_v4().to_string());
    event.retry = retry;
    event
}

fn endpoints(identity: &Identity) -> Value {
    let Identity { product_id, serial_number, friendly_name, capabilities, .. } = identity;
    json!([{
            "endpointId": endpoint_id(identity),
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
    }])
}
