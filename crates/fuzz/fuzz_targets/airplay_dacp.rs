//! What comes to the remote control's port, cut anywhere: no panic, bounded, and what it means.
#![no_main]

use antiphon_airplay::wire::dacp::{MAX_REQUEST, RequestParser};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&cut, bytes)) = input.split_first() else { return };
    let mut parser = RequestParser::default();
    let mut last = 0;
    for chunk in bytes.chunks(usize::from(cut).max(1)) {
        parser.feed(chunk);
        last += chunk.len();
        loop {
            match parser.poll() {
                Ok(Some(request)) => {
                    let _ = (request.remote, request.wish());
                    last = 0;
                }
                Ok(None) => break,
                // The connection is closed.
                Err(_) => return,
            }
        }
        assert!(last <= MAX_REQUEST + bytes.len().min(255), "it keeps {last} bytes");
    }
});
