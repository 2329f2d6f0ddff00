//! What may be typed.

use super::*;

#[test]
fn levels_are_absolute_or_steps() {
    assert_eq!(volume_body("40").ok(), Some(json!({"volume": 40})));
    assert_eq!(volume_body("+5").ok(), Some(json!({"step": 5})));
    assert_eq!(volume_body("-5").ok(), Some(json!({"step": -5})));
    assert!(volume_body("loud").is_err());
}

#[test]
fn ids_may_begin_with_a_dash_wherever_one_is_named() {
    let read = |typed: &str| {
        let typed = format!("antiphon {typed}").split(' ').map(OsString::from).collect();
        Cli::try_parse_from(options_first(typed)).unwrap_or_else(|e| panic!("{e}"))
    };
    for typed in [
        "volume -8xQ_z -5 --alone",
        "volume --alone -8xQ_z 5",
        "mute -8xQ_z",
        "play -8xQ_z http://radio/",
        "stop -8xQ_z",
        "link -8xQ_z --local",
        "logout -8xQ_z",
        "listen -8xQ_z --hold -",
        "alarms -8xQ_z stop",
        "press -8xQ_z next",
        "equalizer -8xQ_z bass -2",
        "offset -8xQ_z -12",
        "low-latency -8xQ_z off",
        "pair -8xQ_z -1234",
        "input -8xQ_z TV",
        "locale -8xQ_z de-DE",
        "time-zone -8xQ_z Europe/Berlin",
        "--json speakers",
        "--hub http://other --json group g -8xQ_z",
    ] {
        read(typed);
    }
    let Cli { hub, json, command } = read("group -all -8xQ_z kitchen --xy --hub http://other --json");
    let Command::Group { group, speakers } = command else { panic!("{command:?}") };
    assert_eq!((group.as_str(), speakers), ("-all", vec!["-8xQ_z".into(), "kitchen".into(), "--xy".into()]));
    assert_eq!((hub.as_str(), json), ("http://other", true));
    // What stands behind `--` is no option.
    let Command::Group { speakers, .. } = read("group all -- --json").command else { panic!("a group") };
    assert_eq!(speakers, ["--json"]);
    let Cli { json, command, .. } = read("equalizer k bass -2 --json");
    let Command::Equalizer { settings, .. } = command else { panic!("{command:?}") };
    assert_eq!((settings, json), (vec!["bass".to_owned(), "-2".to_owned()], true));
}

#[test]
fn the_arguments_are_consistent() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
}
