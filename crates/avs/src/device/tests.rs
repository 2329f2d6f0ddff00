//! The rails for interfaces still to come: blocking directives, focus, cancelling. A talker stands in for speech; the
//! interfaces that exist are tested from outside, in `tests/device`.

use std::time::Duration;

use antiphon_domain::focus::{Channel, Focus, Mixability};
use serde_json::value::to_raw_value;

use super::*;
use crate::effect::{PlayerCommand, PlayerId};
use crate::interfaces::Known;
use crate::message::{Header, StreamId};
use crate::sequencer::Policy;
use crate::signal::PlayerNews;

/// Speaks until the user does something; takes the dialog channel meanwhile.
#[derive(Debug, Default)]
struct Talker {
    speaking: Option<Directive>,
}

impl Interface for Talker {
    fn namespace(&self) -> &'static str {
        "Talker"
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn directives(&self) -> &'static [Known] {
        const { &[Known::in_turn("Speak", Policy::AUDIO_BLOCKING), Known::in_turn("Fail", Policy::AUDIO_BLOCKING)] }
    }

    fn on_directive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        if directive.header.name == "Fail" {
            return Err(Refusal::internal("as asked"));
        }
        turn.take_focus(Channel::Dialog, Mixability::Mixable);
        self.speaking = Some(directive.clone());
        Ok(Handling::Running)
    }

    fn on_cancel(&mut self, _directive: &Directive, turn: &mut Turn<'_>) {
        if self.speaking.take().is_some() {
            turn.give_up_focus(Channel::Dialog);
        }
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        if *signal != Signal::UserActivity {
            return;
        }
        if let Some(directive) = self.speaking.take() {
            turn.give_up_focus(Channel::Dialog);
            turn.complete(&directive.header.message_id);
        }
    }
}

struct Bench {
    device: Device,
    now: HubTime,
    messages: u32,
}

impl Bench {
    fn new() -> Self {
        let config = DeviceConfig::default();
        let mut interfaces = interfaces::all(&config);
        interfaces.push(Box::new(Talker::default()));
        let device = Device::with_interfaces(config, interfaces);
        Self { device, now: HubTime::EPOCH, messages: 0 }
    }

    fn input(&mut self, input: DeviceInput) -> Vec<String> {
        self.device.handle_input(input, self.now);
        let mut lines = Vec::new();
        while let Some(effect) = self.device.poll_output() {
            lines.push(match effect {
                Effect::Send(event) => event.header.name,
                Effect::Player(PlayerCommand::Prepare { id, .. }) => format!("prepare {}", id.0),
                Effect::Player(PlayerCommand::Play { id, .. }) => format!("play {}", id.0),
                Effect::Player(PlayerCommand::Pause { id }) => format!("pause {}", id.0),
                Effect::Player(PlayerCommand::Resume { id }) => format!("resume {}", id.0),
                Effect::Player(PlayerCommand::Stop { id }) => format!("stop {}", id.0),
                Effect::Focus(view) => {
                    format!("{} {}", word(view.of(Channel::Dialog)), word(view.of(Channel::Content)))
                }
                other => format!("{other:?}"),
            });
        }
        lines
    }

    fn directive(
        &mut self,
        namespace: &str,
        name: &str,
        dialog: Option<&str>,
        payload: Value,
    ) -> Vec<String> {
        self.messages += 1;
        let mut header = Header::new(namespace, name);
        header.message_id = format!("m{}", self.messages);
        header.dialog_request_id = dialog.map(Into::into);
        let payload = to_raw_value(&payload).unwrap();
        self.input(DeviceInput::Directive(Directive {
            header,
            payload,
            raw: "raw".into(),
            stream: StreamId(0),
        }))
    }

    fn dialog(&mut self, id: &str) -> Vec<String> {
        self.directive("InteractionModel", "NewDialogRequest", None, json!({ "dialogRequestId": id }))
    }

    fn play(&mut self, dialog: Option<&str>, token: &str, interrupted: &str) -> Vec<String> {
        let stream =
            json!({ "url": "https://media.test/a", "token": token, "interruptedBehavior": interrupted });
        let payload = json!({ "playBehavior": "REPLACE_ALL", "audioItem": { "stream": stream } });
        self.directive("AudioPlayer", "Play", dialog, payload)
    }

    fn speak(&mut self, dialog: Option<&str>) -> Vec<String> {
        self.directive("Talker", "Speak", dialog, json!({}))
    }

    fn be_silent(&mut self) -> Vec<String> {
        self.input(DeviceInput::Signal(Signal::UserActivity))
    }

    fn news(&mut self, id: u64, news: PlayerNews) -> Vec<String> {
        self.input(DeviceInput::Signal(Signal::Player(PlayerId(id), news)))
    }
}

fn word(focus: Option<Focus>) -> &'static str {
    match focus {
        Some(Focus::Foreground) => "front",
        Some(Focus::Ducked) => "ducked",
        Some(Focus::Paused) => "paused",
        Some(Focus::None) => "lost",
        None => "-",
    }
}

#[test]
fn music_is_fetched_during_speech_and_begins_after_it() {
    let mut bench = Bench::new();
    bench.dialog("one");
    assert_eq!(bench.speak(Some("one")), ["front -"]);
    assert_eq!(bench.play(Some("one"), "a", "PAUSE"), ["prepare 1"]);
    assert_eq!(bench.be_silent(), ["- -", "- front", "play 1"]);
}

#[test]
fn a_new_dialog_cancels_what_waits_and_what_speaks() {
    let mut bench = Bench::new();
    bench.dialog("one");
    bench.speak(Some("one"));
    bench.play(Some("one"), "a", "PAUSE");
    assert_eq!(bench.dialog("two"), ["- -", "stop 1"]);
    assert!(bench.be_silent().is_empty());
}

#[test]
fn a_failed_directive_takes_the_rest_of_its_dialog_along() {
    let mut bench = Bench::new();
    bench.dialog("one");
    bench.speak(Some("one"));
    assert!(bench.directive("Talker", "Fail", Some("one"), json!({})).is_empty());
    assert_eq!(bench.play(Some("one"), "a", "PAUSE"), ["prepare 1"]);
    assert_eq!(bench.be_silent(), ["- -", "ExceptionEncountered", "stop 1"]);
}

#[test]
fn speech_pauses_what_cannot_be_mixed() {
    let mut bench = Bench::new();
    bench.play(None, "a", "PAUSE");
    bench.news(1, PlayerNews::Started { at: HubTime::EPOCH });
    assert_eq!(bench.speak(None), ["front paused", "pause 1"]);
    bench.now = HubTime::EPOCH + Duration::from_secs(2);
    assert_eq!(bench.news(1, PlayerNews::Paused { offset: Duration::from_secs(2) }), ["PlaybackPaused"]);
    assert_eq!(bench.be_silent(), ["- front", "resume 1"]);
    assert_eq!(bench.news(1, PlayerNews::Resumed { at: bench.now }), ["PlaybackResumed"]);
}

#[test]
fn speech_ducks_what_can_be_mixed() {
    let mut bench = Bench::new();
    bench.play(None, "a", "ATTENUATE");
    bench.news(1, PlayerNews::Started { at: HubTime::EPOCH });
    assert_eq!(bench.speak(None), ["front ducked"]);
    assert_eq!(bench.be_silent(), ["- front"]);
}

#[test]
fn what_was_held_before_it_sounded_begins_later_and_only_once() {
    let mut bench = Bench::new();
    bench.play(None, "a", "PAUSE");
    assert_eq!(bench.speak(None), ["front paused", "pause 1"]);
    assert!(bench.news(1, PlayerNews::Paused { offset: Duration::ZERO }).is_empty());
    assert_eq!(bench.be_silent(), ["- front", "resume 1"]);
    assert_eq!(bench.news(1, PlayerNews::Resumed { at: bench.now }), ["PlaybackStarted"]);
}
