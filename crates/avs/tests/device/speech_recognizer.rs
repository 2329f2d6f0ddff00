//! Alexa listens: what is sent, when it ends, what it expects next.

use std::time::Duration;

use antiphon_avs::device::{DeviceConfig, DeviceInput};
use antiphon_avs::effect::Effect;
use antiphon_avs::message::{CaptureId, Event, Retry};
use antiphon_avs::picture::Attention;
use antiphon_avs::session::EventOutcome;
use antiphon_avs::signal::{Initiator, Profile, Signal, SpeechNews, Utterance, Wish};
use serde_json::{Value, json};

use crate::support::{Bench, directive, lines, speak, utterance};

fn recognize(effects: &[Effect]) -> Event {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Send(event) if event.header.name == "Recognize" => Some(event.clone()),
        _ => None,
    });
    found.unwrap()
}

fn dialog_of(event: &Event) -> String {
    event.header.dialog_request_id.clone().unwrap()
}

fn begin(bench: &mut Bench, id: u64, initiator: Initiator) -> Vec<Effect> {
    bench.input(DeviceInput::Signal(Signal::Speech(SpeechNews::Begun(utterance(id, initiator)))))
}

fn outcome(bench: &mut Bench, event: &Event, outcome: EventOutcome) -> Vec<String> {
    let message_id = event.header.message_id.clone();
    bench.signal(Signal::Outcome { message_id, outcome })
}

fn answered(bench: &mut Bench, event: &Event) -> Vec<String> {
    let message_id = event.header.message_id.clone();
    bench.signal(Signal::Answered { message_id })
}

fn ended(bench: &mut Bench, id: u64) -> Vec<String> {
    bench.signal(Signal::Speech(SpeechNews::Ended { id: CaptureId(id) }))
}

fn closed(id: u64) -> String {
    format!("Close(CaptureId({id}))")
}

fn attention(bench: &Bench) -> Attention {
    bench.picture().attention
}

const OK: EventOutcome = EventOutcome::Accepted { status: 200 };

#[test]
fn a_question_is_asked_heard_thought_about_and_answered() {
    let mut bench = Bench::connected();
    let effects = bench.begun(1);
    let event = recognize(&effects);
    assert_eq!((event.audio, event.retry), (Some(CaptureId(1)), Retry::Never));
    let expected = json!({
        "profile": "FAR_FIELD",
        "format": "AUDIO_L16_RATE_16000_CHANNELS_1",
        "initiator": { "type": "TAP", "payload": {} },
        "startOfSpeechTimestamp": "1893457000000",
    });
    assert_eq!(event.payload, expected);
    assert_eq!(attention(&bench), Attention::Listening);
    let dialog = dialog_of(&event);
    outcome(&mut bench, &event, OK);
    assert_eq!(bench.in_dialog(&dialog, "SpeechRecognizer.StopCapture", json!({})), [closed(1)]);
    assert_eq!(attention(&bench), Attention::Thinking);
    // It was stopped already.
    assert!(bench.in_dialog(&dialog, "SpeechRecognizer.StopCapture", json!({})).is_empty());
    assert!(ended(&mut bench, 1).is_empty());
    let told = bench.in_dialog(&dialog, "SpeechSynthesizer.Speak", speak("a"));
    assert!(told.contains(&"sound Dialog1".to_owned()), "{told:?}");
    bench.spoken(1);
    assert_eq!(attention(&bench), Attention::Speaking);
    answered(&mut bench, &event);
    bench.silent(1);
    bench.pass(200);
    assert_eq!(attention(&bench), Attention::Idle);
}

#[test]
fn the_context_tells_how_things_were_before_it() {
    let mut bench = Bench::connected();
    let stream = json!({ "url": "https://media.test/a", "token": "a" });
    let play = json!({ "playBehavior": "REPLACE_ALL", "audioItem": { "stream": stream } });
    bench.directive("AudioPlayer.Play", play);
    bench.started(1);
    bench.directive("InteractionModel.NewDialogRequest", json!({ "dialogRequestId": "one" }));
    bench.in_dialog("one", "SpeechSynthesizer.Speak", speak("s"));
    bench.directive("SpeechSynthesizer.Speak", speak("waits"));
    bench.spoken(1);
    bench.now = bench.now + Duration::from_millis(250);
    let effects = bench.begun(1);
    let event = recognize(&effects);
    let context = event.context.clone().unwrap();
    let state = |name: &str| context.iter().find(|e| e.header.name == name).unwrap().payload.clone();
    assert_eq!(
        state("SpeechState"),
        json!({ "token": "s", "offsetInMilliseconds": 250, "playerActivity": "PLAYING" })
    );
    let told = lines(&effects);
    assert!(told[0].starts_with("Recognize"), "{told:?}");
    // Both the old dialog's speech and what waited are silent now, and the new one is the current one.
    for line in ["SpeechInterrupted s@250", "sound Dialog1 stops", "sound Dialog2 stops"] {
        assert!(told.contains(&line.to_owned()), "{told:?}");
    }
    assert_eq!(attention(&bench), Attention::Listening);
    assert!(bench.in_dialog("one", "SpeechSynthesizer.Speak", speak("late")).is_empty());
    // Speech that answers nobody waits for the end of listening.
    bench.directive("SpeechSynthesizer.Speak", speak("news"));
    assert_eq!(attention(&bench), Attention::Listening);
    let told = ended(&mut bench, 1);
    assert_eq!(told[0], closed(1));
    assert!(told.contains(&"sound Dialog3".to_owned()), "{told:?}");
}

#[test]
fn initiators_are_told_as_they_are() {
    let told = |heard: Utterance| {
        let mut bench = Bench::connected();
        let effects = bench.input(DeviceInput::Signal(Signal::Speech(SpeechNews::Begun(heard))));
        let event = recognize(&effects);
        (event.payload["profile"].clone(), event.payload["initiator"].clone(), lines(&effects), event)
    };
    let mut held = utterance(1, Initiator::PressAndHold);
    held.profile = Profile::NearField;
    let (profile, initiator, ..) = told(held);
    assert_eq!(
        (profile, initiator),
        (json!("CLOSE_TALK"), json!({ "type": "PRESS_AND_HOLD", "payload": {} }))
    );
    let word = |indices| Initiator::WakeWord { word: "Alexa".into(), indices };
    let mut heard = utterance(1, word(Some((8000, 16_000))));
    heard.energies = Some((0.5, 0.25));
    let (_, initiator, lines, event) = told(heard);
    let indices = json!({ "startIndexInSamples": 8000, "endIndexInSamples": 16_000 });
    assert_eq!(initiator["payload"], json!({ "wakeWord": "ALEXA", "wakeWordIndices": indices }));
    assert_eq!(lines[0], r#"ReportEchoSpatialPerceptionData {"ambientEnergy":0.25,"voiceEnergy":0.5}"#);
    assert!(event.header.dialog_request_id.is_some());
    let (_, initiator, ..) = told(utterance(1, word(None)));
    assert_eq!(initiator["payload"], json!({ "wakeWord": "ALEXA" }));
    let odd = Initiator::WakeWord { word: "Ä".into(), indices: Some((9, 1)) };
    assert_eq!(told(utterance(1, odd)).1["payload"], json!({}));
}

#[test]
fn it_ends_however_the_cloud_or_the_line_ends_it() {
    for (status, rests) in [(204, true), (202, true), (200, false)] {
        let mut bench = Bench::connected();
        let event = recognize(&bench.begun(1));
        let told = outcome(&mut bench, &event, EventOutcome::Accepted { status });
        assert_eq!(told.first() == Some(&closed(1)), rests, "{status}");
        let expected = if rests { Attention::Idle } else { Attention::Listening };
        assert_eq!(attention(&bench), expected, "{status}");
        // A response that ends takes the microphone along.
        answered(&mut bench, &event);
        assert_eq!(attention(&bench), Attention::Idle);
    }
    for lost in [EventOutcome::Lost, EventOutcome::TooOld, EventOutcome::QueueFull] {
        let mut bench = Bench::connected();
        let event = recognize(&bench.begun(1));
        assert_eq!(outcome(&mut bench, &event, lost)[0], closed(1));
        assert_eq!(attention(&bench), Attention::Idle);
    }
    let mut bench = Bench::connected();
    bench.begun(1);
    let told = lines(&bench.input(DeviceInput::Disconnected));
    assert!(told.contains(&closed(1)), "{told:?}");
    assert_eq!(attention(&bench), Attention::Idle);
    // Without a line nobody listens; the microphone is closed again.
    assert_eq!(lines(&bench.begun(2)), [closed(2)]);
}

#[test]
fn nobody_thinks_for_more_than_eight_seconds() {
    let mut bench = Bench::connected();
    let event = recognize(&bench.begun(1));
    outcome(&mut bench, &event, OK);
    assert_eq!(ended(&mut bench, 1), [closed(1)]);
    bench.pass(5_000);
    bench.in_dialog(&dialog_of(&event), "Speaker.SetVolume", json!({ "volume": 5 }));
    bench.pass(7_999);
    assert_eq!(attention(&bench), Attention::Thinking);
    bench.pass(1);
    assert_eq!(attention(&bench), Attention::Idle);
}

#[test]
fn who_may_begin_while_another_is_heard() {
    let mut bench = Bench::connected();
    begin(&mut bench, 1, Initiator::WakeWord { word: "ALEXA".into(), indices: None });
    let again = begin(&mut bench, 2, Initiator::WakeWord { word: "ALEXA".into(), indices: None });
    assert_eq!(lines(&again), [closed(2)]);
    let pressed = begin(&mut bench, 3, Initiator::PressAndHold);
    assert_eq!(lines(&pressed)[0], closed(1));
    recognize(&pressed);
    assert_eq!(lines(&bench.begun(4)), [closed(4)]);
    // Who holds a button says when it is over.
    assert!(bench.directive("SpeechRecognizer.StopCapture", json!({})).is_empty());
    assert_eq!(bench.signal(Signal::Wish(Wish::StopListening)), [closed(3)]);
    assert_eq!(lines(&bench.begun(5)), [closed(5)]);
}

#[test]
fn a_stop_capture_finds_the_open_request_whatever_it_bears() {
    let mut bench = Bench::connected();
    bench.begun(1);
    assert_eq!(bench.directive("SpeechRecognizer.StopCapture", json!({})), [closed(1)]);
    let mut bench = Bench::connected();
    let dialog = dialog_of(&recognize(&bench.begun(1)));
    bench.directive("InteractionModel.NewDialogRequest", json!({ "dialogRequestId": "routine" }));
    assert!(bench.in_dialog("unheard of", "SpeechRecognizer.StopCapture", json!({})).is_empty());
    assert_eq!(bench.in_dialog(&dialog, "SpeechRecognizer.StopCapture", json!({})), [closed(1)]);
    assert!(bench.in_dialog(&dialog, "SpeechRecognizer.StopCapture", json!({})).is_empty());
    // Nobody is listened to.
    assert!(Bench::connected().directive("SpeechRecognizer.StopCapture", json!({})).is_empty());
}

fn expect(bench: &mut Bench, initiator: Option<Value>) -> Vec<String> {
    let mut payload = json!({ "timeoutInMilliseconds": 8000 });
    if let Some(initiator) = initiator {
        payload["initiator"] = initiator;
    }
    bench.directive("SpeechRecognizer.ExpectSpeech", payload)
}

#[test]
fn an_expected_answer_bears_the_initiator_it_was_given() {
    let opaque = json!({ "type": "OF_THE_CLOUD", "payload": { "token": "t", "more": [1.5] } });
    for initiator in [Some(opaque), None, Some(json!({}))] {
        let mut bench = Bench::connected();
        assert!(expect(&mut bench, initiator.clone()).is_empty());
        assert_eq!(attention(&bench), Attention::Expecting);
        let event = recognize(&begin(&mut bench, 1, Initiator::Tap));
        let expected = initiator.filter(|initiator| *initiator != json!({})).unwrap_or_default();
        assert_eq!(event.payload["initiator"], expected);
        // Only once.
        outcome(&mut bench, &event, EventOutcome::Lost);
        assert_eq!(recognize(&bench.begun(2)).payload["initiator"]["type"], "TAP");
    }
}

#[test]
fn an_answer_that_does_not_come_is_not_awaited_for_ever() {
    let mut bench = Bench::connected();
    expect(&mut bench, Some(json!({ "type": "x" })));
    assert_eq!(expect(&mut bench, None), ["! UNSUPPORTED_OPERATION"]);
    assert!(bench.pass(7_999).is_empty());
    assert_eq!(bench.pass(1), ["ExpectSpeechTimedOut {}"]);
    assert_eq!(attention(&bench), Attention::Idle);
    assert_eq!(lines(&begin(&mut bench, 1, Initiator::Expected)), [closed(1)]);
    assert_eq!(recognize(&bench.begun(2)).payload["initiator"]["type"], "TAP");
}

#[test]
fn a_microphone_of_its_own_opens_when_speech_has_ended() {
    let mut bench = Bench::with(DeviceConfig { microphone: true, ..DeviceConfig::default() });
    bench.input(DeviceInput::Connected);
    bench.directive("SpeechSynthesizer.Speak", speak("a"));
    assert!(expect(&mut bench, None).is_empty());
    bench.spoken(1);
    assert_eq!(bench.silent(1), [r#"SpeechFinished {"token":"a"}"#, "Open"]);
    let effects = begin(&mut bench, 1, Initiator::Expected);
    assert_eq!(recognize(&effects).payload.get("initiator"), None);
    ended(&mut bench, 1);
    expect(&mut bench, None);
    bench.signal(Signal::Speech(SpeechNews::NoMicrophone("unplugged".into())));
    assert_eq!(attention(&bench), Attention::Expecting);
}

#[test]
fn settings_are_kept_and_told_and_tones_are_heard() {
    let mut bench = Bench::connected();
    let wish = |bench: &mut Bench, wish| bench.signal(Signal::Wish(wish));
    let told = wish(&mut bench, Wish::WakeWords(vec!["ECHO".into()]));
    assert_eq!(
        told,
        [r#"store speech_recognizer.wake_words ["ECHO"]"#, r#"WakeWordsChanged {"wakeWords":["ECHO"]}"#]
    );
    assert!(wish(&mut bench, Wish::WakeWords(vec!["ECHO".into()])).is_empty());
    assert!(wish(&mut bench, Wish::WakeWords(vec!["HAL".into()])).is_empty());
    assert!(wish(&mut bench, Wish::WakeWordTone(true))[1].starts_with("WakeWordConfirmationChanged"));
    assert!(wish(&mut bench, Wish::SpeechTone(true))[1].starts_with("SpeechConfirmationChanged"));
    let told = lines(&bench.begun(1));
    let tone = 1u64 << 32;
    let expected =
        [format!("sound Notification{tone} is BuiltIn(Listening)"), format!("sound Notification{tone}")];
    assert!(told.ends_with(&expected), "{told:?}");
    let told = ended(&mut bench, 1);
    assert_eq!(told[0], closed(1));
    assert_eq!(told[1], format!("sound Notification{tone} stops"));
    assert!(told[2].ends_with("BuiltIn(Heard)"));
    let told = bench.directive("SpeechRecognizer.SetWakeWords", json!({ "wakeWords": ["ALEXA"] }));
    assert_eq!(told[1], r#"WakeWordsReport {"wakeWords":["ALEXA"]}"#);
    let told = bench.directive("SpeechRecognizer.SetWakeWords", json!({ "wakeWords": ["HAL"] }));
    assert_eq!(told, ["! UNEXPECTED_INFORMATION_RECEIVED"]);
    let set = json!({ "wakeWordConfirmation": "NONE" });
    let told = bench.directive("SpeechRecognizer.SetWakeWordConfirmation", set);
    assert_eq!(told[1], r#"WakeWordConfirmationReport {"wakeWordConfirmation":"NONE"}"#);
    let set = json!({ "speechConfirmation": "TONE" });
    let told = bench.directive("SpeechRecognizer.SetSpeechConfirmation", set);
    assert_eq!(told[1], r#"SpeechConfirmationReport {"speechConfirmation":"TONE"}"#);
    let report = directive("System.ReportState", "report", None, json!({}));
    let told = lines(&bench.input(DeviceInput::Directive(report)));
    assert!(told.iter().any(|line| line.contains("SpeechConfirmationReport")), "{told:?}");
}
