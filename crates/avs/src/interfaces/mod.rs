//! The AVS interfaces: one trait, one file each, one list.
//!
//! An interface owns what its part of the protocol must remember. The device machine drives it: directives whose turn
//! it is, the world's signals, changes of focus, its deadline. It answers with wishes put on the [`Turn`].

mod alerts;
mod announcement;
mod audio_activity_tracker;
mod audio_player;
mod bluetooth;
mod declared;
mod equalizer_controller;
mod input_controller;
mod interaction_model;
mod notifications;
mod playback_controller;
mod settings;
mod speaker;
mod speech_recognizer;
mod speech_synthesizer;
mod system;
mod template_runtime;
mod turn;
mod visual_activity_tracker;

use std::fmt::Debug;

use antiphon_domain::HubTime;
use antiphon_domain::focus::FocusChange;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::device::DeviceConfig;
use crate::exception::Refusal;
use crate::message::{ContextEntry, Directive};
use crate::picture::Picture;
use crate::sequencer::Policy;
use crate::signal::Signal;

pub use announcement::{Activity, Announcement};
pub use audio_player::Estate;
pub use input_controller::is_input_name;
pub(crate) use turn::Wish;
pub use turn::{Turn, View};

/// Every interface of a device. A new one is a line here.
pub(crate) fn all(config: &DeviceConfig) -> Vec<Box<dyn Interface>> {
    let mut all: Vec<Box<dyn Interface>> = vec![
        Box::new(system::System::new(config)),
        Box::new(speaker::Speaker),
        Box::new(audio_player::AudioPlayer::new(config)),
        Box::new(playback_controller::PlaybackController::new()),
        Box::new(equalizer_controller::EqualizerController::new(config)),
        Box::new(alerts::Alerts::new(config)),
        Box::new(notifications::Notifications::new(config)),
        Box::new(speech_recognizer::SpeechRecognizer::new(config)),
        Box::new(speech_synthesizer::SpeechSynthesizer::new()),
        Box::new(interaction_model::InteractionModel::default()),
        Box::new(template_runtime::TemplateRuntime::default()),
        Box::new(audio_activity_tracker::AudioActivityTracker),
        Box::new(visual_activity_tracker::VisualActivityTracker),
    ];
    if !config.inputs.is_empty() {
        all.push(Box::new(input_controller::InputController::new(config)));
    }
    if config.bluetooth {
        all.push(Box::new(bluetooth::Bluetooth::new(config)));
    }
    // The two stacks are not to be mixed.
    if config.legacy {
        all.push(Box::new(settings::Settings));
    } else {
        all.push(Box::new(declared::ALEXA));
        all.push(Box::new(declared::API_GATEWAY));
    }
    all
}

/// When a directive is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As soon as it arrives, ahead of whatever waits.
    OnArrival,
    /// When the mediums it uses are free.
    InTurn(Policy),
}

/// One directive an interface knows.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// When it is carried out.
    pub when: When,
}

impl Known {
    /// A directive carried out on arrival.
    pub const fn on_arrival(name: &'static str) -> Self {
        Self { name, when: When::OnArrival }
    }

    /// A directive carried out in turn.
    pub const fn in_turn(name: &'static str, policy: Policy) -> Self {
        Self { name, when: When::InTurn(policy) }
    }
}

/// How far a directive got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// Done.
    Done,
    /// Only a blocking directive: it holds its mediums until [`Turn::complete`].
    Running,
}

/// One AVS interface of one device.
pub trait Interface: Debug + Send {
    /// Its name on the wire.
    fn namespace(&self) -> &'static str;

    /// The version declared.
    fn version(&self) -> &'static str;

    /// The `configurations` of its capability object.
    fn configurations(&self) -> Option<Value> {
        None
    }

    /// The directives it knows; any other of its namespace is refused by the device.
    fn directives(&self) -> &'static [Known] {
        &[]
    }

    /// A directive has arrived whose turn may come later: validate, start fetching. Refused here, it never gets a turn.
    fn on_arrival(&mut self, _directive: &Directive, _turn: &mut Turn<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// Carries a directive out, or says why not and changes nothing.
    fn on_directive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<Handling, Refusal>;

    /// A directive that arrived will get no turn, or is to be given up where it stands.
    fn on_cancel(&mut self, _directive: &Directive, _turn: &mut Turn<'_>) {}

    /// Whether a directive of a dialog that is over is for it all the same.
    fn accepts_stale(&self, _directive: &Directive) -> bool {
        false
    }

    /// News from the world; each interface sees all of it.
    fn on_signal(&mut self, _signal: &Signal, _turn: &mut Turn<'_>) {}

    /// The connection came up (synchronised) or went.
    fn on_connection(&mut self, _up: bool, _turn: &mut Turn<'_>) {}

    /// News from another interface of this device; each sees all of it, also its own.
    fn on_announcement(&mut self, _announcement: &Announcement, _turn: &mut Turn<'_>) {}

    /// Nothing is left to be done at this moment; only after [`Turn::when_settled`].
    fn on_settled(&mut self, _turn: &mut Turn<'_>) {}

    /// The account is gone: forget everything that belonged to it, and end what runs, without a word to the cloud.
    fn on_logout(&mut self, _turn: &mut Turn<'_>) {}

    /// What this interface must do on a channel it holds, or held.
    fn on_focus(&mut self, _change: FocusChange, _turn: &mut Turn<'_>) {}

    /// When it wants to be woken.
    fn deadline(&self) -> Option<HubTime> {
        None
    }

    /// Its deadline has come, or another one's: it looks at the time itself.
    fn on_deadline(&mut self, _turn: &mut Turn<'_>) {}

    /// Whether it can do anything now. What cannot is not declared: the cloud hears nothing of it, and its directives
    /// are not supported. Who changes it wishes for [`Effect::Redeclare`](crate::effect::Effect::Redeclare).
    fn is_declared(&self) -> bool {
        true
    }

    /// Its entry in a context.
    fn context(&self, _view: &View<'_>) -> Option<ContextEntry> {
        None
    }

    /// What a person may want to see of it.
    fn show(&self, _view: &View<'_>, _picture: &mut Picture) {}

    /// Its settings as `System.StateReport` lists them.
    fn settings(&self) -> Vec<ContextEntry> {
        Vec::new()
    }
}

/// Reads a payload; whatever does not fit is the peer's fault.
fn payload<T: DeserializeOwned>(directive: &Directive) -> Result<T, Refusal> {
    serde_json::from_str(directive.payload.get()).map_err(|error| Refusal::unexpected(error.to_string()))
}

/// A directive listed in `directives()` that `on_directive` does not carry out would be our own mistake.
fn unlisted(directive: &Directive) -> Refusal {
    Refusal::unsupported(format!(
        "{}.{} is not known here",
        directive.header.namespace, directive.header.name
    ))
}
