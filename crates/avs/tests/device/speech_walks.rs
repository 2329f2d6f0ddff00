//! Random walks of talk: whatever happens in whatever order, nothing is left open, running or in front.

use std::collections::{BTreeMap, BTreeSet};

use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::{CaptureCommand, Effect, SoundCommand};
use antiphon_avs::message::{CaptureId, Event};
use antiphon_avs::picture::Attention;
use antiphon_avs::session::EventOutcome;
use antiphon_avs::signal::{Initiator, Signal, SoundNews, SpeechNews, Wish};
use antiphon_domain::focus::Channel;
use antiphon_domain::media::{MediaError, MediaErrorKind};
use antiphon_domain::sound::{SoundId, Voice};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Bench, directive, utterance};

#[derive(Clone, Debug)]
enum Step {
    Begun(Initiator),
    Ended,
    StopCapture(bool),
    Speak {
        tagged: bool,
        behaviour: &'static str,
    },
    Expect {
        tagged: bool,
        ms: u64,
    },
    Render(bool),
    NewDialog,
    Outcome(u16),
    Lost,
    Answered,
    /// The oldest sound that was asked for begins, or the one that sounds ends.
    Sounds,
    Unattached,
    Failed,
    Cut,
    Back,
    LogOut,
    StopForeground,
    StopListening,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let initiator = prop::sample::select(vec![
        Initiator::Tap,
        Initiator::PressAndHold,
        Initiator::WakeWord { word: "ALEXA".into(), indices: None },
        Initiator::Expected,
    ]);
    let behaviour = prop::sample::select(vec!["ENQUEUE", "ENQUEUE", "REPLACE_ALL", "REPLACE_ENQUEUED"]);
    prop_oneof![
        4 => initiator.prop_map(Step::Begun),
        2 => Just(Step::Ended),
        2 => any::<bool>().prop_map(Step::StopCapture),
        6 => (any::<bool>(), behaviour).prop_map(|(tagged, behaviour)| Step::Speak { tagged, behaviour }),
        2 => (any::<bool>(), 0u64..9000).prop_map(|(tagged, ms)| Step::Expect { tagged, ms }),
        1 => any::<bool>().prop_map(Step::Render),
        1 => Just(Step::NewDialog),
        2 => prop::sample::select(vec![200u16, 200, 204]).prop_map(Step::Outcome),
        1 => Just(Step::Lost),
        2 => Just(Step::Answered),
        8 => Just(Step::Sounds),
        1 => Just(Step::Unattached),
        1 => Just(Step::Failed),
        1 => Just(Step::Cut),
        2 => Just(Step::Back),
        1 => Just(Step::LogOut),
        1 => Just(Step::StopForeground),
        1 => Just(Step::StopListening),
        3 => (0u64..6000).prop_map(Step::Pass),
    ]
}

/// What must be true of everything that was ever said and asked, and the world that obeys.
#[derive(Default)]
struct World {
    messages: u32,
    captures: u64,
    tokens: u32,
    dialogs: u32,
    dialog: Option<String>,
    asked: Option<Event>,
    open: BTreeSet<CaptureId>,
    closed: BTreeSet<CaptureId>,
    /// 1: begun, 2: ended.
    told: BTreeMap<String, u8>,
    prepared: BTreeSet<SoundId>,
    to_sound: Vec<SoundId>,
    sounding: Option<SoundId>,
    in_front: bool,
}

impl World {
    fn carry_out(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Send(event) => self.event(event),
                Effect::Capture(CaptureCommand::Close(id)) => {
                    assert!(self.closed.insert(*id), "{id:?} closed twice");
                    self.open.remove(id);
                }
                Effect::Sound(SoundCommand::Prepare { id, .. }) => {
                    assert!(self.prepared.insert(*id), "prepared twice");
                }
                Effect::Sound(SoundCommand::Play { id, .. }) if id.voice == Voice::Dialog => {
                    assert!(self.prepared.contains(id), "played unprepared");
                    self.to_sound.push(*id);
                }
                Effect::Sound(SoundCommand::Stop { id }) => {
                    self.prepared.remove(id);
                    self.to_sound.retain(|other| other != id);
                    self.sounding = self.sounding.filter(|other| other != id);
                }
                Effect::Focus(view) => self.in_front = view.of(Channel::Dialog).is_some(),
                _ => {}
            }
        }
        assert!(self.open.len() <= 1, "{:?} are uploaded at once", self.open);
        assert!(self.to_sound.len() + usize::from(self.sounding.is_some()) <= 1, "two speak at once");
    }

    fn event(&mut self, event: &Event) {
        let token = event.payload["token"].as_str().unwrap_or_default().to_owned();
        match event.header.name.as_str() {
            "Recognize" => {
                self.open.insert(event.audio.unwrap());
                self.dialog = event.header.dialog_request_id.clone();
                self.asked = Some(event.clone());
            }
            "SpeechStarted" => assert_eq!(self.told.insert(token, 1), None, "begun twice"),
            "SpeechFinished" | "SpeechInterrupted" => {
                assert_eq!(self.told.insert(token, 2), Some(1), "an end out of order");
            }
            _ => {}
        }
    }

    fn directive(&mut self, tagged: bool, name: &str, payload: Value) -> DeviceInput {
        self.messages += 1;
        let dialog = self.dialog.as_deref().filter(|_| tagged);
        DeviceInput::Directive(directive(name, &format!("m{}", self.messages), dialog, payload))
    }

    fn sounds(&mut self, bench: &Bench) -> Option<DeviceInput> {
        let (id, news) = match self.sounding.take() {
            Some(id) => (id, SoundNews::Finished),
            None => {
                let id = self.to_sound.pop()?;
                self.sounding = Some(id);
                (id, SoundNews::Started { at: bench.now })
            }
        };
        Some(DeviceInput::Signal(Signal::Sound(id, news)))
    }

    fn spoilt(&mut self, news: SoundNews) -> Option<DeviceInput> {
        let id = self.prepared.iter().find(|id| id.voice == Voice::Dialog && Some(**id) != self.sounding)?;
        let id = *id;
        self.prepared.remove(&id);
        self.to_sound.retain(|other| *other != id);
        Some(DeviceInput::Signal(Signal::Sound(id, news)))
    }

    fn input(&mut self, step: Step, bench: &Bench) -> Option<DeviceInput> {
        let told = |signal| Some(DeviceInput::Signal(signal));
        match step {
            Step::Begun(initiator) => {
                self.captures += 1;
                told(Signal::Speech(SpeechNews::Begun(utterance(self.captures, initiator))))
            }
            Step::Ended => told(Signal::Speech(SpeechNews::Ended { id: CaptureId(self.captures) })),
            Step::StopCapture(tagged) => {
                Some(self.directive(tagged, "SpeechRecognizer.StopCapture", json!({})))
            }
            Step::Speak { tagged, behaviour } => {
                self.tokens += 1;
                let payload = json!({
                    "url": "cid:x",
                    "format": "AUDIO_MPEG",
                    "token": self.tokens.to_string(),
                    "playBehavior": behaviour,
                });
                Some(self.directive(tagged, "SpeechSynthesizer.Speak", payload))
            }
            Step::Expect { tagged, ms } => {
                let payload = json!({ "timeoutInMilliseconds": ms });
                Some(self.directive(tagged, "SpeechRecognizer.ExpectSpeech", payload))
            }
            Step::Render(tagged) => {
                let payload = json!({ "type": "BodyTemplate1" });
                Some(self.directive(tagged, "TemplateRuntime.RenderTemplate", payload))
            }
            Step::NewDialog => {
                self.dialogs += 1;
                let id = format!("of the cloud {}", self.dialogs);
                self.dialog = Some(id.clone());
                let payload = json!({ "dialogRequestId": id });
                Some(self.directive(false, "InteractionModel.NewDialogRequest", payload))
            }
            Step::Outcome(status) => self.outcome(EventOutcome::Accepted { status }),
            Step::Lost => self.outcome(EventOutcome::Lost),
            Step::Answered => {
                let message_id = self.asked.as_ref()?.header.message_id.clone();
                told(Signal::Answered { message_id })
            }
            Step::Sounds => self.sounds(bench),
            Step::Unattached => self.spoilt(SoundNews::Unattached),
            Step::Failed => self.spoilt(SoundNews::Failed(MediaError {
                kind: MediaErrorKind::Unknown,
                message: String::new(),
            })),
            Step::Cut => Some(DeviceInput::Disconnected),
            Step::Back => Some(DeviceInput::Connected),
            Step::LogOut => {
                // What was under way ends without a word.
                self.told.values_mut().for_each(|told| *told = 2);
                self.dialog = None;
                Some(DeviceInput::LoggedOut)
            }
            Step::StopForeground => told(Signal::Wish(Wish::StopForeground)),
            Step::StopListening => told(Signal::Wish(Wish::StopListening)),
            Step::Pass(_) => None,
        }
    }

    fn outcome(&mut self, outcome: EventOutcome) -> Option<DeviceInput> {
        let message_id = self.asked.as_ref()?.header.message_id.clone();
        Some(DeviceInput::Signal(Signal::Outcome { message_id, outcome }))
    }
}

fn pass(bench: &mut Bench, world: &mut World, ms: u64) {
    let end = bench.now + std::time::Duration::from_millis(ms);
    while let Some(due) = bench.device.deadline().filter(|due| *due <= end) {
        bench.now = bench.now.max(due);
        let effects = bench.input(DeviceInput::Timeout);
        world.carry_out(&effects);
        assert_ne!(bench.device.deadline(), Some(due), "a deadline that stays is a busy loop");
    }
    bench.now = end;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn talk_always_comes_to_an_end(steps in prop::collection::vec(step(), 1..80)) {
        let mut bench = Bench::connected();
        let mut world = World::default();
        for step in steps {
            if let Step::Pass(ms) = step {
                pass(&mut bench, &mut world, ms);
            } else if let Some(input) = world.input(step, &bench) {
                let effects = bench.input(input);
                world.carry_out(&effects);
            }
        }
        // Nobody talks any more, and every sound is heard to its end.
        let effects = bench.input(DeviceInput::Disconnected);
        world.carry_out(&effects);
        loop {
            while let Some(input) = world.sounds(&bench) {
                let effects = bench.input(input);
                world.carry_out(&effects);
            }
            if bench.device.deadline().is_none_or(|due| due > bench.now + std::time::Duration::from_secs(100)) {
                break;
            }
            pass(&mut bench, &mut world, 10_000);
        }
        prop_assert_eq!(bench.picture().attention, Attention::Idle);
        prop_assert!(world.open.is_empty(), "{:?} never closed", world.open);
        prop_assert!(!world.in_front, "the channel is still held");
        for capture in 1..=world.captures {
            prop_assert!(world.closed.contains(&CaptureId(capture)), "{} never closed", capture);
        }
        prop_assert!(world.told.values().all(|told| *told == 2), "{:?}", world.told);
        // The line is free: what is to be heard has its turn at once.
        let handled = bench.device.counts().handled;
        bench.directive("AudioPlayer.Stop", json!({}));
        prop_assert_eq!(bench.device.counts().handled, handled + 1);
        let left = bench.directive("SpeechSynthesizer.Speak", crate::support::speak("the last"));
        prop_assert!(left.iter().any(|line| line.starts_with("sound") && !line.contains(" is ")), "{:?}", left);
    }
}
