//! The configuration file: any text is a configuration or an error that names a line of it.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

// The program's own module, without the rest of the program.
#[allow(dead_code, unused_imports)]
#[path = "../../../src/config/mod.rs"]
mod config;

fuzz_target!(|text: &str| {
    if let Err(error) = config::Config::parse(text, Path::new("a.toml")) {
        let lines = text.matches('\n').count() + 1;
        assert!(error.line.is_none_or(|line| (1..=lines).contains(&line)));
        assert!(!error.to_string().is_empty());
    }
});
