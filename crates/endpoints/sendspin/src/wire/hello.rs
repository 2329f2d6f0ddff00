//! `client/hello`: what a client is and can do (messaging.md).

use serde_json::{Map, Value};

use super::fault::Fault;

/// Names are cut to so many characters; nobody reads more.
const LONGEST_NAME: usize = 200;
/// Roles looked at; there are seven, and each may come in some versions.
const MOST_ROLES: usize = 64;

/// What the client says of its make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Model.
    pub product: Option<String>,
    /// Who made it.
    pub manufacturer: Option<String>,
    /// Its software's version.
    pub version: Option<String>,
}

/// The pairing methods a client offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairMethods {
    /// By its token.
    pub token: bool,
    /// By a code it shows or speaks; whether as digits, whether as a QR code.
    pub digits: bool,
    /// As a QR code.
    pub qr: bool,
    /// By the code printed on it.
    pub fixed: bool,
}

/// A client's introduction.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientHello {
    /// What it is called.
    pub name: String,
    /// Its make.
    pub device: DeviceInfo,
    /// The roles it plays, with versions, best first.
    pub roles: Vec<String>,
    /// The whole message, where each role finds its support object.
    pub supports: Map<String, Value>,
    /// Whether it plays for servers that it is not paired with.
    pub unpaired_access: bool,
    /// How it can be paired.
    pub pair_methods: PairMethods,
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect()
}

impl ClientHello {
    /// Reads it.
    pub fn read(payload: Map<String, Value>) -> Result<Self, Fault> {
        let text = |of: &Map<String, Value>, key: &str| of.get(key).and_then(Value::as_str).map(short);
        let name = text(&payload, "name").ok_or(Fault::Malformed("a hello without a name"))?;
        let device = match payload.get("device_info") {
            Some(Value::Object(info)) => DeviceInfo {
                product: text(info, "product_name"),
                manufacturer: text(info, "manufacturer"),
                version: text(info, "software_version"),
            },
            _ => DeviceInfo::default(),
        };
        let Some(Value::Array(roles)) = payload.get("supported_roles") else {
            return Err(Fault::Malformed("a hello without roles"));
        };
        let roles = roles.iter().take(MOST_ROLES).filter_map(Value::as_str).map(short).collect();
        // Absent in hellos of before these were asked for: then it offers neither.
        let unpaired_access = payload.get("unpaired_access").and_then(|u| u.get("enabled"));
        let unpaired_access = unpaired_access.and_then(Value::as_bool).unwrap_or(false);
        let pair_methods = pair_methods(payload.get("supported_pair_methods"));
        Ok(Self { name, device, roles, unpaired_access, pair_methods, supports: payload })
    }
}

fn pair_methods(offered: Option<&Value>) -> PairMethods {
    let mut methods = PairMethods::default();
    let Some(Value::Object(offered)) = offered else { return methods };
    methods.token = offered.contains_key("pairing_psk");
    let holds = |list: Option<&Value>, word: &str| {
        list.and_then(Value::as_array).is_some_and(|list| list.iter().any(|v| v.as_str() == Some(word)))
    };
    if let Some(dynamic) = offered.get("dynamic_pairing_code") {
        let shown = dynamic.get("out_channels");
        if holds(shown, "display") || holds(shown, "speaker") {
            methods.digits = holds(dynamic.get("formats"), "digits");
            methods.qr = holds(dynamic.get("formats"), "qr_code");
        }
    }
    // One that offers both is taken at the safer.
    methods.fixed = offered.contains_key("static_pairing_code") && !methods.digits && !methods.qr;
    methods
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<ClientHello, Fault> {
        let Value::Object(payload) = value else { panic!() };
        ClientHello::read(payload)
    }

    #[test]
    fn a_hello_is_understood() {
        let hello = read(json!({
            "name": "Küche\u{7}", "supported_roles": ["player@v1", 7, "metadata@v1"],
            "device_info": {"product_name": "Box", "mac_address": "x"},
            "unpaired_access": {"enabled": true},
            "supported_pair_methods": {"pairing_psk": {}, "static_pairing_code": {}, "smell": 3,
                "dynamic_pairing_code": {"out_channels": ["display"], "formats": ["digits", "runes"]}},
        }))
        .unwrap();
        assert_eq!(hello.name, "Küche");
        assert_eq!(hello.roles, ["player@v1", "metadata@v1"]);
        assert_eq!(hello.device.product.as_deref(), Some("Box"));
        assert!(hello.unpaired_access);
        let methods = PairMethods { token: true, digits: true, qr: false, fixed: false };
        assert_eq!(hello.pair_methods, methods);
    }

    #[test]
    fn a_dynamic_method_nobody_can_see_is_none() {
        let hello = read(json!({"name": "x", "supported_roles": [], "supported_pair_methods":
            {"static_pairing_code": {}, "dynamic_pairing_code": {"out_channels": ["scent"], "formats": ["digits"]}}}));
        let methods = PairMethods { fixed: true, ..PairMethods::default() };
        assert_eq!(hello.unwrap().pair_methods, methods);
    }

    proptest! {
        #[test]
        fn any_object_is_answered(text in r#"\{("(name|supported_roles|unpaired_access|supported_pair_methods)":(1|"a"|\[\]|\{\}|null),?)*\}"#) {
            if let Ok(Value::Object(payload)) = serde_json::from_str(&text) {
                let _ = ClientHello::read(payload);
            }
        }
    }
}
