//! The first frames of whoever dials for Sendspin, and what people paste as tokens: no panic, bounded answers.
#![no_main]

use std::sync::Arc;

use antiphon_domain::{HubTime, Secret};
use antiphon_sendspin::wire::{Credential, Frame, Identity, Link, token};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut link = Link::new(Identity::new([1; 32]), "Hub", Arc::new(|_: &_| Credential::sentinel()), None);
    // A zero byte ends a frame, so that seeds can be read.
    for part in input.split(|byte| *byte == 0).take(4) {
        let frame = match std::str::from_utf8(part) {
            Ok(text) => {
                let _ = token::read(&Secret::new(text));
                Frame::Text(text.to_owned())
            }
            Err(_) => Frame::Binary(Bytes::copy_from_slice(part)),
        };
        let taken = link.receive(&frame, HubTime::EPOCH);
        let mut frames = 0;
        while link.frame().is_some() {
            frames += 1;
        }
        assert!(frames <= 2, "{frames} answers to one frame");
        if taken.is_err() {
            return;
        }
    }
});
