//! What Login with Amazon answers: a status in the first two bytes, then a body.
#![no_main]

use antiphon_avs::session::Secret;
use antiphon_link::LwaError;
use libfuzzer_sys::fuzz_target;

// The link's own module, which it shows nobody.
#[allow(dead_code)]
#[path = "../../link/src/answers.rs"]
mod answers;

fuzz_target!(|input: &[u8]| {
    let Some((status, body)) = input.split_first_chunk::<2>() else { return };
    if let Ok(pair) = answers::code_pair(body) {
        assert!(!pair.expires_in.is_zero() && !pair.device_code.expose().is_empty());
    }
    let shown = Secret::new("Atzr|shown".to_owned());
    for present in [None, Some(&shown)] {
        if let Ok(grant) = answers::grant(body, present) {
            assert!(!grant.access_token.expose().is_empty() && !grant.refresh_token.expose().is_empty());
        }
    }
    let _: LwaError = answers::refusal(u16::from_be_bytes(*status), body);
});
