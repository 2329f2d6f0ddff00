//! System 2.0, and what the device machine answers to what it cannot carry out.

use std::time::Duration;

use antiphon_avs::device::{DeviceConfig, DeviceInput};
use antiphon_avs::effect::Effect;
use antiphon_avs::session::EventOutcome;
use antiphon_avs::signal::{Signal, Wish};
use serde_json::json;

use crate::support::{Bench, directive, lines};

fn told_firmware() -> DeviceConfig {
    let mut config = DeviceConfig::default();
    config.stored.insert("system.firmware".into(), json!(1));
    config
}

#[test]
fn the_raw_text_comes_back_with_an_exception() {
    let mut bench = Bench::new();
    let effects =
        bench.input(DeviceInput::Unparsable { raw: "{\"directive\":".into(), why: "cut short".into() });
    let [Effect::Send(event)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(
        event.payload,
        json!({
            "unparsedDirective": "{\"directive\":",
            "error": { "type": "UNEXPECTED_INFORMATION_RECEIVED", "message": "cut short" },
        })
    );
    assert_eq!(event.context, Some(Vec::new()));
}

#[test]
fn an_error_body_is_no_directive() {
    let mut bench = Bench::new();
    assert!(bench.directive("System.Exception", json!({ "code": "INVALID_REQUEST_EXCEPTION" })).is_empty());
    assert_eq!(bench.directive("System.SetEndpoint", json!({})), ["! UNSUPPORTED_OPERATION"]);
}

#[test]
fn inactivity_is_reported_each_hour() {
    let mut bench = Bench::with(told_firmware());
    assert!(bench.input(DeviceInput::Connected).is_empty());
    assert!(bench.pass(3_599_999).is_empty());
    assert_eq!(bench.pass(1), ["UserInactivityReport {\"inactiveTimeInSeconds\":3600}"]);
    assert_eq!(bench.pass(3_600_000), ["UserInactivityReport {\"inactiveTimeInSeconds\":7200}"]);
    bench.pass(1_800_000);
    assert!(bench.directive("System.ResetUserInactivity", json!({})).is_empty());
    assert!(bench.pass(3_599_999).is_empty());
    bench.signal(Signal::UserActivity);
    assert!(bench.pass(3_599_999).is_empty());
    // Offline nothing is said, and one report tells a long silence.
    bench.input(DeviceInput::Disconnected);
    assert!(bench.pass(7_200_000).is_empty());
    bench.input(DeviceInput::Connected);
    bench.now = bench.now + Duration::from_secs(10 * 3600);
    assert_eq!(lines(&bench.input(DeviceInput::Timeout)).len(), 1);
    assert!(bench.pass(0).is_empty());
}

#[test]
fn software_is_told_when_it_changed_and_when_asked() {
    let info = "SoftwareInfo {\"firmwareVersion\":\"1\"}";
    let mut bench = Bench::new();
    assert_eq!(lines(&bench.input(DeviceInput::Connected)), [info, "store system.firmware 1"]);
    bench.input(DeviceInput::Disconnected);
    assert!(bench.input(DeviceInput::Connected).is_empty());
    assert_eq!(bench.directive("System.ReportSoftwareInfo", json!({})), [info]);

    let mut bench = Bench::with(told_firmware());
    assert!(bench.input(DeviceInput::Connected).is_empty());
}

#[test]
fn locales_and_time_zone_are_settings() {
    let combinations = vec![vec!["en-US".into(), "es-US".into()]];
    let mut config = DeviceConfig { locale_combinations: combinations, ..Default::default() };
    let mut bench = Bench::with(config.clone());
    assert_eq!(
        bench.directive("System.SetLocales", json!({ "locales": ["de-DE"] })),
        ["store system.locales [\"de-DE\"]", "LocalesReport {\"locales\":[\"de-DE\"]}"]
    );
    for bad in
        [json!({}), json!({ "locales": [] }), json!({ "locales": ["xx-XX"] }), json!({ "locales": "de-DE" })]
    {
        assert_eq!(bench.directive("System.SetLocales", bad), ["! UNEXPECTED_INFORMATION_RECEIVED"]);
    }
    let reversed = json!({ "locales": ["es-US", "en-US"] });
    assert_eq!(bench.directive("System.SetLocales", reversed), ["! UNEXPECTED_INFORMATION_RECEIVED"]);
    assert_eq!(
        bench.directive("System.SetTimeZone", json!({ "timeZone": "Europe/Berlin" })),
        ["store system.time_zone \"Europe/Berlin\"", "TimeZoneReport {\"timeZone\":\"Europe/Berlin\"}"]
    );
    for bad in [json!({}), json!({ "timeZone": "" }), json!({ "timeZone": "no such; zone" })] {
        assert_eq!(bench.directive("System.SetTimeZone", bad), ["! UNEXPECTED_INFORMATION_RECEIVED"]);
    }
    assert_eq!(
        bench.signal(Signal::Wish(Wish::TimeZone("UTC".into()))),
        ["store system.time_zone \"UTC\"", "TimeZoneChanged {\"timeZone\":\"UTC\"}"]
    );
    let combination = vec!["en-US".to_owned(), "es-US".to_owned()];
    assert_eq!(bench.signal(Signal::Wish(Wish::Locales(combination))).len(), 2);
    let report = bench.directive("System.ReportState", json!({}));
    assert!(report[1].contains("es-US") && report[1].contains("UTC"), "{report:?}");

    // What was stored is in force after a restart.
    config.stored.insert("system.locales".into(), json!(["fr-FR"]));
    let mut bench = Bench::with(config);
    assert!(bench.directive("System.ReportState", json!({}))[1].contains("fr-FR"));
}

#[test]
fn a_state_report_is_owed_until_one_was_accepted() {
    let wanted = "store system.report_wanted true";
    let mut bench = Bench::with(told_firmware());
    bench.input(DeviceInput::Connected);
    let effects = bench.input(DeviceInput::Directive(directive("System.ReportState", "m", None, json!({}))));
    let [Effect::Store { .. }, Effect::Send(report)] = &effects[..] else { panic!("{effects:?}") };
    let message_id = report.header.message_id.clone();
    let outcome = |outcome| Signal::Outcome { message_id: message_id.clone(), outcome };
    // Lost with its connection: owed on the next.
    assert!(bench.signal(outcome(EventOutcome::Lost)).is_empty());
    bench.input(DeviceInput::Disconnected);
    let effects = bench.input(DeviceInput::Connected);
    let [Effect::Send(again)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(again.header.name, "StateReport");
    assert!(bench.signal(outcome(EventOutcome::Accepted { status: 204 })).is_empty());
    let message_id = again.header.message_id.clone();
    let outcome = EventOutcome::Accepted { status: 204 };
    assert_eq!(bench.signal(Signal::Outcome { message_id, outcome }), ["store system.report_wanted null"]);
    assert!(bench.input(DeviceInput::Connected).is_empty());
    assert_eq!(bench.directive("System.ReportState", json!({}))[0], wanted);

    // Over a restart, too.
    let mut config = told_firmware();
    config.stored.insert("system.report_wanted".into(), json!(true));
    let mut bench = Bench::with(config);
    assert!(lines(&bench.input(DeviceInput::Connected))[0].starts_with("StateReport"));
}

#[test]
fn a_revoked_authorization_logs_out_and_the_account_leaves_nothing() {
    let mut bench = Bench::with(told_firmware());
    bench.input(DeviceInput::Connected);
    bench.signal(Signal::Wish(Wish::TimeZone("Europe/Berlin".into())));
    bench.signal(Signal::Wish(Wish::Locales(vec!["de-DE".into()])));
    let picture = bench.device.picture(bench.moment());
    assert_eq!((picture.locales, picture.time_zone), (vec!["de-DE".into()], Some("Europe/Berlin".into())));
    assert_eq!(bench.directive("System.RevokeAuthorization", json!({})), ["log out"]);
    let told = lines(&bench.input(DeviceInput::LoggedOut));
    for key in ["system.locales", "system.time_zone", "system.firmware", "system.report_wanted"] {
        assert!(told.contains(&format!("store {key} null")), "{told:?}");
    }
    let picture = bench.device.picture(bench.moment());
    assert_eq!((picture.locales, picture.time_zone), (vec!["en-US".into()], None));
    // Nothing is said of inactivity until somebody logs in.
    assert!(bench.pass(7_200_000).is_empty());
}

#[test]
fn whoever_uses_a_surface_is_active() {
    let mut bench = Bench::with(told_firmware());
    bench.input(DeviceInput::Connected);
    bench.pass(3_000_000);
    bench.signal(Signal::Wish(Wish::DismissCard));
    assert!(bench.pass(3_599_999).is_empty());
}
