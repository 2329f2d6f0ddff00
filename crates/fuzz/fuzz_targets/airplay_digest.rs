//! A receiver's challenge for a password, and the answer, which is one header line whatever was asked.
#![no_main]

use antiphon_airplay::wire::digest::Challenge;
use antiphon_domain::Secret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    if let Some(challenge) = Challenge::parse(&text) {
        let answer = challenge.answer(&Secret::new("secret"), "ANNOUNCE", "rtsp://192.0.2.1/7", false);
        assert!(!answer.contains(['\r', '\n']) && answer.matches('"').count() == 10, "{answer}");
    }
});
