//! What a receiver answers over RTSP, cut anywhere: no panic, bounded, and the Transport header in it.
#![no_main]

use antiphon_airplay::wire::rtsp::ResponseParser;
use antiphon_airplay::wire::transport;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&cut, bytes)) = input.split_first() else { return };
    let read = |cut: usize| {
        let mut parser = ResponseParser::default();
        let mut seen = Vec::new();
        for chunk in bytes.chunks(cut) {
            parser.feed(chunk);
            loop {
                match parser.poll() {
                    Ok(Some(response)) => {
                        let _ = response.cseq();
                        if let Some(ports) = response.header("Transport").and_then(transport::parse) {
                            assert_ne!(ports.audio, 0);
                        }
                        seen.push(response);
                    }
                    Ok(None) => break,
                    // The stream is lost.
                    Err(_) => return seen,
                }
            }
        }
        seen
    };
    read(usize::from(cut).max(1));
});
