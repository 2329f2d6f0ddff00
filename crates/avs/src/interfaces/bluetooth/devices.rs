//! The devices the adapter knows, with what AVS wants remembered of them.

use std::collections::BTreeMap;

use antiphon_domain::bluetooth::{Device, DeviceId, Profile};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CATEGORIES_KEY, RECENT_KEY};

/// A person sees a screenful of devices; a hostile radio shall not fill our memory.
const MOST: usize = 100;
/// Devices remembered as connected before, newest first.
const RECENT: usize = 20;

/// What a device is for ("Bluetooth 2.0" SetDeviceCategories).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Category {
    RemoteControl,
    Gadget,
    AudioVideo,
    Phone,
    Other,
    #[default]
    Unknown,
}

impl Category {
    /// Whether a device of this sort is connected as soon as it is paired: all but those that a person puts to use
    /// one by one.
    pub(super) fn connects_after_pairing(self) -> bool {
        !matches!(self, Category::RemoteControl | Category::Gadget)
    }
}

#[derive(Debug, Default)]
pub(super) struct Devices {
    known: BTreeMap<DeviceId, Device>,
    categories: BTreeMap<DeviceId, Category>,
    recent: Vec<DeviceId>,
    streaming: Option<DeviceId>,
}

impl Devices {
    pub(super) fn recalled(stored: &BTreeMap<String, Value>) -> Self {
        let read = |key: &str| stored.get(key).cloned().unwrap_or(Value::Null);
        Self {
            categories: serde_json::from_value(read(CATEGORIES_KEY)).unwrap_or_default(),
            recent: serde_json::from_value(read(RECENT_KEY)).unwrap_or_default(),
            ..Self::default()
        }
    }

    pub(super) fn replace(&mut self, devices: &[Device]) {
        self.known.clear();
        for device in devices.iter().take(MOST) {
            self.known.insert(device.id.clone(), device.clone());
        }
    }

    /// Takes in what a device is now; hands back what it was.
    pub(super) fn put(&mut self, device: &Device) -> Option<Device> {
        if self.known.len() >= MOST && !device.paired && !self.known.contains_key(&device.id) {
            return None;
        }
        self.known.insert(device.id.clone(), device.clone())
    }

    pub(super) fn remove(&mut self, id: &DeviceId) {
        self.known.remove(id);
    }

    pub(super) fn all_disconnected(&mut self) {
        for device in self.known.values_mut() {
            device.connected = false;
        }
    }

    pub(super) fn get(&self, id: &DeviceId) -> Option<&Device> {
        self.known.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Device> {
        self.known.values()
    }

    pub(super) fn name(&self, id: &DeviceId) -> String {
        self.known.get(id).map(|device| device.name.clone()).unwrap_or_default()
    }

    pub(super) fn category(&self, id: &DeviceId) -> Category {
        self.categories.get(id).copied().unwrap_or_default()
    }

    pub(super) fn set_category(&mut self, id: &DeviceId, category: Category) {
        self.categories.insert(id.clone(), category);
    }

    pub(super) fn categories(&self) -> &BTreeMap<DeviceId, Category> {
        &self.categories
    }

    pub(super) fn forget_categories(&mut self) {
        self.categories.clear();
        self.recent.clear();
    }

    pub(super) fn connected_just_now(&mut self, id: &DeviceId) {
        self.recent.retain(|recent| recent != id);
        self.recent.insert(0, id.clone());
        self.recent.truncate(RECENT);
    }

    pub(super) fn recent(&self) -> Value {
        json!(self.recent)
    }

    /// Paired devices that were connected before and offer a profile, the one connected last first.
    pub(super) fn candidates(&self, profile: Profile) -> Vec<DeviceId> {
        let fits = |id: &&DeviceId| {
            self.known.get(*id).is_some_and(|device| device.paired && device.profiles.contains(&profile))
        };
        self.recent.iter().filter(fits).cloned().collect()
    }

    /// Connected devices for sound: only one may be at a time.
    pub(super) fn sounding(&self) -> Vec<DeviceId> {
        let sound = |device: &&Device| {
            device.connected
                && device.profiles.iter().any(|p| matches!(p, Profile::A2dpSource | Profile::A2dpSink))
        };
        self.known.values().filter(sound).map(|device| device.id.clone()).collect()
    }

    pub(super) fn set_streaming(&mut self, id: Option<&DeviceId>) {
        self.streaming = id.cloned();
    }

    pub(super) fn is_streaming(&self, id: &DeviceId) -> bool {
        self.streaming.as_ref() == Some(id)
    }
}
