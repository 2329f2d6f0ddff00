//! Owns the AVS message catalogue (`catalogue/*.json`): which events and context states exist and what
//! their payloads must look like. Loaded once at start; pure afterwards.

use std::collections::HashMap;

use serde_json::Value;

use crate::Error;
use crate::schema::Schema;

const SOURCES: [&str; 2] =
    [include_str!("../catalogue/messages-a.json"), include_str!("../catalogue/messages-b.json")];

/// What the catalogue says of one event.
#[derive(Debug)]
pub(crate) struct EventRule {
    pub(crate) payload: Schema,
    pub(crate) requires_context: bool,
}

/// All messages, by namespace and name.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    events: HashMap<String, HashMap<String, EventRule>>,
    states: HashMap<String, HashMap<String, Schema>>,
}

impl Catalogue {
    /// Reads the embedded files.
    pub(crate) fn load() -> Result<Self, Error> {
        let mut catalogue = Self::default();
        for source in SOURCES {
            let tree: Value =
                serde_json::from_str(source).map_err(|error| Error::Catalogue(error.to_string()))?;
            for interface in list(&tree, "interfaces") {
                catalogue.add(interface)?;
            }
        }
        Ok(catalogue)
    }

    fn add(&mut self, interface: &Value) -> Result<(), Error> {
        let namespace = interface["namespace"].as_str().unwrap_or_default();
        for group in ["events", "context"] {
            for message in list(interface, group) {
                let name = message["name"].as_str().unwrap_or_default();
                let payload = Schema::compile(&message["payload"])
                    .map_err(|error| Error::Catalogue(format!("{namespace}.{name}: {error}")))?;
                let (namespace, name) = (namespace.to_owned(), name.to_owned());
                match group {
                    "events" => {
                        let requires_context = message["requires_context"] == true;
                        let rule = EventRule { payload, requires_context };
                        self.events.entry(namespace).or_default().insert(name, rule);
                    }
                    _ => drop(self.states.entry(namespace).or_default().insert(name, payload)),
                }
            }
        }
        Ok(())
    }

    pub(crate) fn event(&self, namespace: &str, name: &str) -> Option<&EventRule> {
        self.events.get(namespace)?.get(name)
    }

    pub(crate) fn state(&self, namespace: &str, name: &str) -> Option<&Schema> {
        self.states.get(namespace)?.get(name)
    }

    /// The context states which exist, as (namespace, name).
    pub(crate) fn states(&self) -> impl Iterator<Item = (&str, &str)> {
        self.states
            .iter()
            .flat_map(|(namespace, names)| names.keys().map(|name| (namespace.as_str(), name.as_str())))
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalogue_loads_whole() {
        let catalogue = Catalogue::load().unwrap();
        assert!(catalogue.event("Speaker", "VolumeChanged").is_some());
        assert!(catalogue.event("System", "SynchronizeState").unwrap().requires_context);
        assert!(catalogue.state("AudioPlayer", "PlaybackState").is_some());
        assert!(catalogue.events.len() > 10 && catalogue.states().count() >= 8);
    }
}
