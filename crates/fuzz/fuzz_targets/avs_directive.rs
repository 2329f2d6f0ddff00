//! Directives through a whole device: any payload is obeyed or answered, never a panic, and no flood of effects.
//!
//! Each line is one input. Its first byte chooses a directive (or, where it is none of them, the line is the whole
//! message), its second how much time has passed; the rest is the payload.
#![no_main]

use antiphon_avs::device::{Device, DeviceConfig, DeviceInput};
use antiphon_avs::effect::{Effect, PlayerCommand};
use antiphon_avs::message::{Directive, Header, StreamId};
use antiphon_avs::signal::{PlayerNews, Signal};
use antiphon_domain::{HubTime, Moment};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use std::time::Duration;

const NAMES: &[(&str, &str)] = &[
    ("AudioPlayer", "Play"),
    ("AudioPlayer", "Stop"),
    ("AudioPlayer", "ClearQueue"),
    ("AudioPlayer", "UpdateProgressReportInterval"),
    ("Speaker", "SetVolume"),
    ("Speaker", "AdjustVolume"),
    ("Speaker", "SetMute"),
    ("System", "SetEndpoint"),
    ("System", "SetLocales"),
    ("System", "SetTimeZone"),
    ("System", "ReportSoftwareInfo"),
    ("System", "ResetUserInactivity"),
    ("InteractionModel", "NewDialogRequest"),
    ("Nobody", "Knows"),
];

/// The calendar begins with the hub's clock.
fn moment(hub: HubTime) -> Moment {
    Moment { hub, ..Moment::default() }
}

fn directive(line: &[u8]) -> DeviceInput {
    let raw = String::from_utf8_lossy(line).into_owned();
    let Some((&which, payload)) = line.split_first() else {
        return DeviceInput::Timeout;
    };
    let Some((namespace, name)) = NAMES.get(usize::from(which & 0x1f)) else {
        return DeviceInput::Unparsable { raw, why: "fuzzed".into() };
    };
    let text = String::from_utf8_lossy(payload.get(1..).unwrap_or_default()).into_owned();
    let Ok(payload) = RawValue::from_string(text) else {
        return DeviceInput::Unparsable { raw, why: "fuzzed".into() };
    };
    let mut header = Header::new(namespace, name);
    header.message_id = format!("m{}", line.len());
    if which & 0x40 != 0 {
        header.dialog_request_id = Some(format!("d{}", which >> 6));
    }
    DeviceInput::Directive(Directive { header, payload, raw, stream: StreamId(1) })
}

fuzz_target!(|input: &[u8]| {
    let mut device = Device::new(DeviceConfig::default());
    let mut now = HubTime::EPOCH + Duration::from_secs(10);
    let mut players = Vec::new();
    device.handle_input(DeviceInput::Connected, moment(now));
    for line in input.split(|byte| *byte == b'\n').take(200) {
        now = now + Duration::from_millis(u64::from(line.get(1).copied().unwrap_or(0)) * 20);
        device.handle_input(directive(line), moment(now));
        let mut effects = 0;
        while let Some(effect) = device.poll_output() {
            effects += 1;
            assert!(effects < 1000, "a flood of effects");
            match effect {
                Effect::Send(event) => drop(event.to_json()),
                Effect::Player(PlayerCommand::Play { id, .. }) => players.push(id),
                _ => {}
            }
            // News about what plays comes between directives; also stale news.
            if let Some(id) = players.last() {
                let news = match effects % 4 {
                    0 => PlayerNews::Started { at: now },
                    1 => PlayerNews::Stalled { at: now },
                    2 => PlayerNews::Buffered,
                    _ => PlayerNews::Finished,
                };
                if line.len() % 3 == 0 && effects < 20 {
                    device.handle_input(DeviceInput::Signal(Signal::Player(*id, news)), moment(now));
                }
            }
        }
        if device.deadline().is_some_and(|at| at <= now) {
            device.handle_input(DeviceInput::Timeout, moment(now));
            while device.poll_output().is_some() {}
        }
    }
    drop(device.synchronize_state(moment(now)).to_json());
});
