//! The rails for interfaces still to come: blocking directives, focus, cancelling. A talker stands in for speech; the
//! interfaces that exist are tested from outside, in `tests/device`.

use std::time::Duration;

use antiphon_domain::Moment;
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

/// The calendar begins with the hub's clock.
fn moment(hub: HubTime) -> Moment {
    Moment { hub, ..Moment::default() }
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
        self.device.handle_input(input, moment(self.now));
        let mut lines = Vec::new();
        while let Some(effect) = self.device.poll_output() {
            lines.push(match effect {
                Effect::Send(event) => event.header.name,
                Effect::Player(PlayerCommand::Prepare { id, .. }) => format!("prepare {}", id.0),
                Effect::Player(PlayerCommand::Play { id, after: None }) => format!("play {}", id.0),
                Effect::Player(PlayerCommand::Play { id, after: Some(_) }) => format!("chain {}", id.0),
                Effect::Player(PlayerCommand::Pause { id }) => format!("pause {}", id.0),
                Effect::Player(PlayerCommand::Resume { id }) => format!("resume {}", id.0),
                Effect::Player(PlayerCommand::Stop { id }) => format!("stop {}", id.0),
                Effect::Player(PlayerCommand::Silence) => "silence".into(),
                Effect::Player(PlayerCommand::Bequeath(_)) => continue,
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

#[derive(Clone, Copy, Debug)]
enum Step {
    Play {
        mixable: bool,
        enqueue: bool,
    },
    Stop,
    Speak,
    BeSilent,
    /// The player gets round to the oldest thing it was asked.
    Obey,
    Finish,
}

/// A player that does what it is asked, late.
#[derive(Default)]
struct Player {
    asked: VecDeque<String>,
    sounding: Option<u64>,
    paused: bool,
    chained: Option<u64>,
}

impl Player {
    /// News of the oldest thing it was asked, when that makes any.
    fn obey(&mut self, now: HubTime) -> Option<(u64, PlayerNews)> {
        let line = self.asked.pop_front()?;
        let (verb, id) = line.split_once(' ')?;
        let id: u64 = id.parse().ok()?;
        match verb {
            "play" => {
                self.chained = self.chained.filter(|chained| *chained != id);
                (self.sounding, self.paused) = (Some(id), false);
                Some((id, PlayerNews::Started { at: now }))
            }
            "pause" if self.sounding == Some(id) => {
                self.paused = true;
                Some((id, PlayerNews::Paused { offset: Duration::ZERO }))
            }
            "resume" if self.sounding == Some(id) => {
                self.paused = false;
                Some((id, PlayerNews::Resumed { at: now }))
            }
            "stop" => {
                self.sounding = self.sounding.filter(|sounding| *sounding != id);
                self.chained = self.chained.filter(|chained| *chained != id);
                None
            }
            "chain" => {
                self.chained = Some(id);
                None
            }
            _ => None,
        }
    }
}

proptest::proptest! {
    #[test]
    fn who_obeys_is_silent_under_speech_and_heard_after_it(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let mut bench = Bench::new();
        let mut player = Player::default();
        for step in steps {
            let lines = match step {
                Step::Play { mixable, enqueue } => {
                    let interrupted = if mixable { "ATTENUATE" } else { "PAUSE" };
                    let stream = json!({ "url": "https://media.test/a", "interruptedBehavior": interrupted });
                    let behaviour = if enqueue { "ENQUEUE" } else { "REPLACE_ALL" };
                    let payload = json!({ "playBehavior": behaviour, "audioItem": { "stream": stream } });
                    bench.directive("AudioPlayer", "Play", None, payload)
                }
                Step::Stop => bench.directive("AudioPlayer", "Stop", None, json!({})),
                Step::Speak => bench.speak(None),
                Step::BeSilent => bench.be_silent(),
                Step::Obey => match player.obey(bench.now) {
                    Some((id, news)) => bench.news(id, news),
                    None => Vec::new(),
                },
                Step::Finish => match player.sounding.filter(|_| !player.paused && player.asked.is_empty()) {
                    Some(id) => {
                        player.sounding = player.chained.take();
                        let mut lines = bench.news(id, PlayerNews::Finished);
                        if let Some(next) = player.sounding {
                            lines.extend(bench.news(next, PlayerNews::Started { at: bench.now }));
                        }
                        lines
                    }
                    None => Vec::new(),
                },
            };
            player.asked.extend(lines);
        }
        // Each word that waits has its turn.
        loop {
            let lines = bench.be_silent();
            if lines.is_empty() {
                break;
            }
            player.asked.extend(lines);
        }
        while !player.asked.is_empty() {
            if let Some((id, news)) = player.obey(bench.now) {
                let lines = bench.news(id, news);
                player.asked.extend(lines);
            }
        }
        let context = bench.device.context(moment(bench.now));
        let activity = &context.iter().find(|e| e.header.name == "PlaybackState").unwrap().payload["playerActivity"];
        let heard = player.sounding.is_some() && !player.paused;
        proptest::prop_assert_eq!(activity == "PLAYING", heard, "{} {:?}", activity, player.sounding);
        // Nothing is left standing still once nobody speaks.
        proptest::prop_assert!(activity != "PAUSED" && activity != "BUFFER_UNDERRUN", "{}", activity);
    }
}

fn step() -> impl proptest::strategy::Strategy<Value = Step> {
    use proptest::prelude::*;
    prop_oneof![
        2 => any::<(bool, bool)>().prop_map(|(mixable, enqueue)| Step::Play { mixable, enqueue }),
        1 => Just(Step::Stop),
        2 => Just(Step::Speak),
        2 => Just(Step::BeSilent),
        5 => Just(Step::Obey),
        1 => Just(Step::Finish),
    ]
}
