//! AudioActivityTracker 1.0: who used which audio channel last ("AudioActivityTracker 1.0"; interface notes 10). The
//! cloud tells by it what a bare "stop" means.

use antiphon_domain::focus::Channel;
use serde_json::{Map, Value, json};

use super::{Handling, Interface, Turn, View, unlisted};
use crate::context::entry;
use crate::exception::Refusal;
use crate::message::{ContextEntry, Directive};

const NAMESPACE: &str = "AudioActivityTracker";

/// The interface; what it tells is read from the channels when a context is made.
#[derive(Debug)]
pub(super) struct AudioActivityTracker;

impl Interface for AudioActivityTracker {
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
        let mut state = Map::new();
        for channel in Channel::ALL {
            let Some((interface, idle)) = view.focus.activity(channel, view.now) else { continue };
            let idle = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
            let activity = json!({ "interface": interface, "idleTimeInMilliseconds": idle });
            state.insert(key(channel).into(), activity);
        }
        (!state.is_empty()).then(|| entry(NAMESPACE, "ActivityState", Value::Object(state)))
    }
}

/// Singular "alert", unlike the channel's name everywhere else.
const fn key(channel: Channel) -> &'static str {
    match channel {
        Channel::Dialog => "dialog",
        Channel::Communications => "communications",
        Channel::Alerts => "alert",
        Channel::Content => "content",
    }
}
