//! BlueZ's objects mirrored, and what they mean. Pure: the task feeds it what the bus says.

use std::collections::{BTreeMap, HashMap};

use antiphon_domain::bluetooth::{Device, DeviceId, News, Profile};
use uuid::Uuid;
use zbus::{OwnedVariant, Variant};

use crate::SeenDevice;

/// A room full of radios, and some; beyond this, devices are not looked at.
const MOST_OBJECTS: usize = 1_000;
/// A name longer than this is cut: it comes over the air.
const LONGEST_NAME: usize = 80;

pub(crate) const ADAPTER: &str = "org.bluez.Adapter1";
pub(crate) const DEVICE: &str = "org.bluez.Device1";
pub(crate) const PLAYER: &str = "org.bluez.MediaPlayer1";
const TRANSPORT: &str = "org.bluez.MediaTransport1";

pub(crate) type Properties = HashMap<String, OwnedVariant>;

/// What is there, in our words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub adapter: bool,
    pub devices: BTreeMap<DeviceId, SeenDevice>,
}

/// BlueZ's object tree.
#[derive(Debug)]
pub(crate) struct Mirror {
    adapter: String,
    salt: Uuid,
    objects: BTreeMap<String, BTreeMap<String, Properties>>,
}

impl Mirror {
    pub(crate) fn new(adapter: &str, salt: Uuid) -> Self {
        Self { adapter: format!("/org/bluez/{adapter}"), salt, objects: BTreeMap::new() }
    }

    /// The adapter's object path.
    pub(crate) fn adapter(&self) -> &str {
        &self.adapter
    }

    pub(crate) fn added(&mut self, path: &str, interface: &str, properties: Properties) {
        if self.objects.len() >= MOST_OBJECTS && !self.objects.contains_key(path) {
            return;
        }
        self.objects.entry(path.into()).or_default().insert(interface.into(), properties);
    }

    pub(crate) fn removed(&mut self, path: &str, interface: &str) {
        if let Some(object) = self.objects.get_mut(path) {
            object.remove(interface);
            if object.is_empty() {
                self.objects.remove(path);
            }
        }
    }

    pub(crate) fn changed(&mut self, path: &str, interface: &str, changed: Properties, gone: &[String]) {
        let Some(properties) = self.objects.get_mut(path).and_then(|object| object.get_mut(interface)) else {
            return;
        };
        properties.extend(changed);
        properties.retain(|name, _| !gone.contains(name));
    }

    /// The object of a device's own player (AVRCP), where it shows one.
    pub(crate) fn player_of(&self, device: &str) -> Option<&str> {
        let below = format!("{device}/");
        self.objects
            .iter()
            .find(|(path, object)| path.starts_with(&below) && object.contains_key(PLAYER))
            .map(|(path, _)| path.as_str())
    }

    /// What all this means.
    pub(crate) fn seen(&self) -> Seen {
        let powered = self.objects.get(&self.adapter).and_then(|object| object.get(ADAPTER));
        let mut seen = Seen { adapter: powered.is_some_and(|a| flag(a, "Powered")), ..Seen::default() };
        if !seen.adapter {
            return seen;
        }
        let below = format!("{}/", self.adapter);
        for (path, object) in self.objects.iter().filter(|(path, _)| path.starts_with(&below)) {
            let Some(properties) = object.get(DEVICE) else { continue };
            let Some(address) = text(properties, "Address") else { continue };
            let device = Device {
                id: id_of(self.salt, &address),
                name: name(properties, &address),
                masked_address: masked(&address),
                profiles: profiles(properties),
                paired: flag(properties, "Paired"),
                connected: flag(properties, "Connected"),
            };
            let streaming = self.is_streaming(path);
            seen.devices
                .insert(device.id.clone(), SeenDevice { device, address, path: path.clone(), streaming });
        }
        seen
    }

    fn is_streaming(&self, device: &str) -> bool {
        let active = |properties: &Properties| text(properties, "State").as_deref() == Some("active");
        let below = format!("{device}/");
        self.objects
            .iter()
            .filter(|(path, _)| path.starts_with(&below))
            .any(|(_, object)| object.get(TRANSPORT).is_some_and(active))
    }
}

/// What changed from one picture to the next, in an order in which it can be told: a stream ends before its device goes.
pub(crate) fn news(before: &Seen, now: &Seen) -> Vec<News> {
    let mut news = Vec::new();
    if !now.adapter {
        if before.adapter {
            news.push(News::NoAdapter);
        }
        return news;
    }
    if !before.adapter {
        news.push(News::Adapter(now.devices.values().map(|device| device.device.clone()).collect()));
    }
    let streamed = |seen: &Seen, id: &DeviceId| seen.devices.get(id).is_some_and(|device| device.streaming);
    for id in before.devices.keys() {
        if streamed(before, id) && !streamed(now, id) {
            news.push(News::Streaming(id.clone(), false));
        }
        if !now.devices.contains_key(id) {
            news.push(News::Gone(id.clone()));
        }
    }
    for (id, device) in &now.devices {
        let known = before.devices.get(id).map(|before| &before.device);
        if before.adapter && known != Some(&device.device) {
            news.push(News::Device(device.device.clone()));
        }
        if device.streaming && !streamed(before, id) {
            news.push(News::Streaming(id.clone(), true));
        }
    }
    news
}

/// An id that says nothing of the address and is the same after a restart.
fn id_of(salt: Uuid, address: &str) -> DeviceId {
    DeviceId(Uuid::new_v5(&salt, address.to_ascii_uppercase().as_bytes()).to_string())
}

/// All but the last two octets hidden (AVS Bluetooth 2.0, `truncatedMacAddress`).
fn masked(address: &str) -> String {
    let octets: Vec<&str> = address.split(':').collect();
    let shown = octets.len().saturating_sub(2);
    let hidden: Vec<&str> =
        octets.iter().enumerate().map(|(i, octet)| if i < shown { "XX" } else { octet }).collect();
    hidden.join(":")
}

fn name(properties: &Properties, address: &str) -> String {
    let name = text(properties, "Alias").or_else(|| text(properties, "Name")).unwrap_or_default();
    // BlueZ makes an alias of the address where there is no name; that must not get out.
    let is_address = name.replace('-', ":").eq_ignore_ascii_case(address);
    if is_address { masked(address) } else { name.chars().take(LONGEST_NAME).collect() }
}

/// Service classes by their 16-bit numbers (Bluetooth SIG, assigned numbers).
fn profiles(properties: &Properties) -> Vec<Profile> {
    let mut profiles = Vec::new();
    let uuids = properties.get("UUIDs").and_then(|value| Vec::<String>::try_from(value.clone()).ok());
    for uuid in uuids.unwrap_or_default() {
        let profile = match uuid.to_ascii_lowercase().strip_suffix("-0000-1000-8000-00805f9b34fb") {
            Some("0000110a") => Profile::A2dpSource,
            Some("0000110b") => Profile::A2dpSink,
            Some("0000110c" | "0000110e" | "0000110f") => Profile::Avrcp,
            Some("0000111e" | "0000111f") => Profile::Hfp,
            Some("00001124" | "00001812") => Profile::Hid,
            Some("00001101") => Profile::Spp,
            _ => continue,
        };
        if !profiles.contains(&profile) {
            profiles.push(profile);
        }
    }
    profiles
}

fn flag(properties: &Properties, name: &str) -> bool {
    matches!(properties.get(name).map(|value| &**value), Some(Variant::Bool(true)))
}

fn text(properties: &Properties, name: &str) -> Option<String> {
    match properties.get(name).map(|value| &**value) {
        Some(Variant::Str(text)) => Some(text.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/org/bluez/hci0/dev_11_22_33_44_55_66";

    fn value(value: impl Into<Variant<'static>>) -> OwnedVariant {
        value.into().try_to_owned().unwrap()
    }

    fn mirror() -> Mirror {
        let mut mirror = Mirror::new("hci0", Uuid::nil());
        mirror.added("/org/bluez/hci0", ADAPTER, [("Powered".into(), value(true))].into());
        let uuids = vec!["0000110a-0000-1000-8000-00805f9b34fb".to_string(), "nonsense".to_string()];
        let device = [
            ("Address".to_string(), value("11:22:33:44:55:66")),
            ("Alias".to_string(), value("11-22-33-44-55-66")),
            ("UUIDs".to_string(), value(uuids)),
            ("Paired".to_string(), value(true)),
        ];
        mirror.added(PATH, DEVICE, device.into());
        mirror
    }

    #[test]
    fn an_address_never_gets_out() {
        let seen = mirror().seen();
        let device = &seen.devices.values().next().unwrap().device;
        assert_eq!(device.masked_address, "XX:XX:XX:XX:55:66");
        assert_eq!(device.name, "XX:XX:XX:XX:55:66");
        assert!(!device.id.0.contains("33"), "or by chance: {}", device.id.0);
        assert_eq!(device.profiles, [Profile::A2dpSource]);
        assert!(device.paired && !device.connected);
    }

    #[test]
    fn a_stream_ends_before_its_device_goes() {
        let mut mirror = mirror();
        let quiet = mirror.seen();
        let transport = format!("{PATH}/fd0");
        mirror.added(&transport, TRANSPORT, [("State".into(), value("active"))].into());
        let playing = mirror.seen();
        let id = quiet.devices.keys().next().unwrap().clone();
        assert_eq!(news(&quiet, &playing), [News::Streaming(id.clone(), true)]);
        mirror.removed(PATH, DEVICE);
        assert_eq!(news(&playing, &mirror.seen()), [News::Streaming(id.clone(), false), News::Gone(id)]);
    }

    #[test]
    fn an_adapter_switched_off_is_none() {
        let mut mirror = mirror();
        let on = mirror.seen();
        mirror.changed("/org/bluez/hci0", ADAPTER, [("Powered".into(), value(false))].into(), &[]);
        assert_eq!(news(&on, &mirror.seen()), [News::NoAdapter]);
        assert!(matches!(news(&mirror.seen(), &on)[..], [News::Adapter(ref devices)] if devices.len() == 1));
    }

    #[test]
    fn a_flood_of_devices_is_bounded() {
        let mut mirror = mirror();
        for n in 0..2 * MOST_OBJECTS {
            mirror.added(&format!("/org/bluez/hci0/dev_{n}"), DEVICE, Properties::new());
        }
        assert_eq!(mirror.objects.len(), MOST_OBJECTS);
    }
}
