//! Settings 1.0: the locale, told to a cloud of before System 2.0 ("Settings 1.0"). Deprecated: only the legacy stack
//! declares it.

use serde_json::json;

use super::{Announcement, Handling, Interface, Turn, unlisted};
use crate::exception::Refusal;
use crate::message::{Directive, Event, Retry};

const NAMESPACE: &str = "Settings";

/// The locales it knows; they are those published with System 2.0, and it will learn no others.
const KNOWN: [&str; 15] = [
    "de-DE", "en-AU", "en-CA", "en-GB", "en-IN", "en-US", "es-ES", "es-MX", "es-US", "fr-CA", "fr-FR",
    "hi-IN", "it-IT", "ja-JP", "pt-BR",
];

#[derive(Debug)]
pub(super) struct Settings;

impl Interface for Settings {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn on_directive(&mut self, directive: &Directive, _turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        Err(unlisted(directive))
    }

    fn on_announcement(&mut self, announcement: &Announcement, turn: &mut Turn<'_>) {
        let Announcement::LocalesChanged(locales) = announcement else { return };
        // It knows of one locale; of a combination that is the primary one.
        let Some(locale) = locales.first().filter(|locale| KNOWN.contains(&locale.as_str())) else { return };
        let settings = json!({ "settings": [{ "key": "locale", "value": locale }] });
        let mut event = Event::new(NAMESPACE, "SettingsUpdated", settings);
        event.retry = Retry::UntilAccepted;
        turn.send(event);
    }
}
