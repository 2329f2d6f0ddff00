//! Context: the state of all interfaces, as some events must carry it ("Context"; connection notes 4.2).

use serde_json::Value;

use crate::interfaces::{Interface, View};
use crate::message::{ContextEntry, ContextHeader};

/// An entry; settings in a StateReport have the same shape.
pub fn entry(namespace: &str, name: &str, payload: Value) -> ContextEntry {
    ContextEntry { header: ContextHeader { namespace: namespace.into(), name: name.into() }, payload }
}

/// One entry for each declared interface that has state.
pub fn collect(interfaces: &[Box<dyn Interface>], view: &View<'_>) -> Vec<ContextEntry> {
    let mut entries = Vec::new();
    for interface in interfaces.iter().filter(|interface| interface.is_declared()) {
        if let Some(entry) = interface.context(view) {
            entries.push(entry);
        }
    }
    entries
}
