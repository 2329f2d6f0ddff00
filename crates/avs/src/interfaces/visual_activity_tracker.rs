//! VisualActivityTracker 1.0: who shows something (interface notes 10; the payload is the AVS Device SDK's).

use serde_json::json;

use super::{Handling, Interface, Turn, View, unlisted};
use crate::context::entry;
use crate::exception::Refusal;
use crate::message::{ContextEntry, Directive};

const NAMESPACE: &str = "VisualActivityTracker";

/// The interface; what it tells is read from the device when a context is made.
#[derive(Debug)]
pub(super) struct VisualActivityTracker;

impl Interface for VisualActivityTracker {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn on_directive(&mut self, directive: &Directive, _turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        Err(unlisted(directive))
    }

    fn context(&self, view: &View<'_>) -> Option<ContextEntry> {
        let interface = view.visual?;
        Some(entry(NAMESPACE, "ActivityState", json!({ "focused": { "interface": interface } })))
    }
}
