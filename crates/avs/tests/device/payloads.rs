//! Whatever comes: arbitrary payloads change nothing but what they say.

use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::Effect;
use proptest::prelude::*;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use crate::support::{Bench, raw_directive};

const DIRECTIVES: [&str; 16] = [
    "System.ResetUserInactivity",
    "System.ReportSoftwareInfo",
    "System.SetLocales",
    "System.SetTimeZone",
    "System.ReportState",
    "System.RevokeAuthorization",
    "Speaker.SetVolume",
    "Speaker.AdjustVolume",
    "Speaker.SetMute",
    "AudioPlayer.Play",
    "AudioPlayer.Stop",
    "AudioPlayer.ClearQueue",
    "AudioPlayer.UpdateProgressReportInterval",
    "InteractionModel.NewDialogRequest",
    "Alexa.ApiGateway.SetGateway",
    "No.Such",
];

/// Keys that mean something, so that a payload gets past the first check now and then.
const KEYS: [&str; 20] = [
    "volume",
    "mute",
    "locales",
    "timeZone",
    "dialogRequestId",
    "playBehavior",
    "audioItem",
    "audioItemId",
    "stream",
    "url",
    "token",
    "offsetInMilliseconds",
    "endOffsetInMilliseconds",
    "expectedPreviousToken",
    "interruptedBehavior",
    "progressReport",
    "progressReportDelayInMilliseconds",
    "progressReportIntervalInMilliseconds",
    "httpHeaders",
    "clearBehavior",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-200i64..200).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "REPLACE_ALL",
            "CLEAR_ALL",
            "https://u",
            "cid:x",
            "de-DE",
            "UTC",
            "ATTENUATE"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        let key =
            prop_oneof![4 => prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned), 1 => ".{0,6}"];
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            4 => prop::collection::vec((key, inner), 0..8).prop_map(|members| {
                Value::Object(members.into_iter().collect::<Map<_, _>>())
            }),
        ]
    })
}

/// A Play that is right but for one arbitrary member.
fn nearly_right_play() -> impl Strategy<Value = Value> {
    (prop::sample::select(KEYS[9..19].to_vec()), any_json()).prop_map(|(key, value)| {
        let mut stream = json!({ "url": "https://u", "token": "t" });
        stream[key] = value;
        json!({ "playBehavior": "ENQUEUE", "audioItem": { "stream": stream } })
    })
}

proptest! {
    #[test]
    fn no_payload_does_harm(
        payloads in prop::collection::vec(
            prop_oneof![
                (prop::sample::select(DIRECTIVES.to_vec()), any_json()),
                (Just("AudioPlayer.Play"), nearly_right_play()),
            ],
            1..20,
        )
    ) {
        let mut bench = Bench::new();
        for (index, (name, payload)) in payloads.iter().enumerate() {
            let before = bench.device.counts();
            let message = raw_directive(name, &index.to_string(), None, to_raw_value(payload).unwrap());
            let effects = bench.input(DeviceInput::Directive(message));
            let after = bench.device.counts();
            let refusals = effects
                .iter()
                .filter(|effect| matches!(effect, Effect::Send(e) if e.header.name == "ExceptionEncountered"))
                .count() as u64;
            prop_assert_eq!(after.handled + after.refused, before.handled + before.refused + 1);
            prop_assert_eq!(after.refused - before.refused, refusals);
            if refusals > 0 {
                // What was refused changed nothing.
                prop_assert_eq!(effects.len(), 1);
            }
        }
    }
}
