//! The annotated configuration file is true: it loads as it stands and with every line uncommented, and has every key.
#![allow(clippy::expect_used)] // a test that cannot set the stage has failed

use std::path::Path;

use antiphon::config::Config;

const FILE: &str = "deploy/antiphon.toml";

fn text() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)).expect("the annotated file")
}

/// The file with every setting uncommented: a `#` without a space before a key.
fn uncommented() -> String {
    let whole: Vec<String> = text()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
                setting.to_string()
            }
            _ => line.to_string(),
        })
        .collect();
    whole.join("\n")
}

fn problem(text: &str) -> String {
    Config::parse(text, Path::new(FILE)).map(|_| String::new()).unwrap_or_else(|e| e.to_string())
}

#[test]
fn it_loads_as_it_stands() {
    assert_eq!(problem(&text()), "");
}

#[test]
fn it_loads_with_every_line_uncommented() {
    // gateway and region exclude each other in spirit, but a gateway simply wins.
    assert_eq!(problem(&uncommented()), "");
}

#[test]
fn it_has_every_key() {
    // An unknown key makes the parser list the known ones: each of them must be in the file.
    let whole = uncommented();
    for table in [
        "",
        "[http]",
        "[discovery]",
        "[voice]",
        "[login]",
        "[bluetooth]",
        "[airplay]",
        "[sendspin]",
        "[snapcast]",
        "[pulse]",
        "[avs]",
        "[avs.timers]",
        "[[inputs]]",
        "[[speakers]]",
        "[[groups]]",
    ] {
        let wrong =
            if table.is_empty() { "nonsense = 1\n".to_string() } else { format!("{table}\nnonsense = 1\n") };
        let said = problem(&wrong);
        let known = said.split("expected").nth(1).unwrap_or_else(|| panic!("{table}: {said}"));
        let keys: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        assert!(!keys.is_empty(), "{table}: {said}");
        for key in keys {
            let there = whole.lines().any(|line| {
                let line = line.trim();
                line.starts_with(&format!("{key} ="))
                    || line.trim_matches(['[', ']']).split('.').any(|part| part == key)
            });
            assert!(there, "{FILE} lacks {key} of {table}");
        }
    }
}
