//! Which directives are heard at all: dialogs, as far as they go without speech.

use serde_json::json;

use crate::support::Bench;

fn volume() -> serde_json::Value {
    json!({ "volume": 5 })
}

#[test]
fn only_the_current_dialog_is_carried_out() {
    let mut bench = Bench::new();
    assert!(bench.in_dialog("one", "Speaker.SetVolume", volume()).is_empty());
    bench.directive("InteractionModel.NewDialogRequest", json!({ "dialogRequestId": "one" }));
    assert_eq!(bench.in_dialog("one", "Speaker.SetVolume", volume()), ["SetVolume(Volume(5))"]);
    assert_eq!(bench.directive("Speaker.SetVolume", volume()), ["SetVolume(Volume(5))"]);
    // The id in the payload counts, whatever the header bears.
    bench.in_dialog("zero", "InteractionModel.NewDialogRequest", json!({ "dialogRequestId": "two" }));
    assert!(bench.in_dialog("one", "Speaker.SetVolume", volume()).is_empty());
    assert!(!bench.in_dialog("two", "Speaker.SetVolume", volume()).is_empty());
    assert!(bench.in_dialog("one", "No.Such", volume()).is_empty());
    assert_eq!(bench.device.counts().stale, 3);
}

#[test]
fn a_dialog_needs_a_name() {
    let mut bench = Bench::new();
    for bad in [json!({}), json!({ "dialogRequestId": "" }), json!({ "dialogRequestId": 1 })] {
        assert_eq!(
            bench.directive("InteractionModel.NewDialogRequest", bad),
            ["! UNEXPECTED_INFORMATION_RECEIVED"]
        );
    }
}
