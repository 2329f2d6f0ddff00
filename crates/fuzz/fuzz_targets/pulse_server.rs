//! What a PulseAudio server sends: frames in pieces, and every answer read as every kind of answer.
#![no_main]

use antiphon_host::pulse::wire::frame::Inbox;
use antiphon_host::pulse::wire::message::{self, Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (size, bytes) = input.split_first().unwrap_or((&1, &[]));
    let mut inbox = Inbox::default();
    for piece in bytes.chunks(usize::from(*size).max(1)) {
        inbox.add(piece);
        loop {
            match inbox.message() {
                Ok(Some(bytes)) => {
                    if let Ok(Message::Reply(_, reply)) = message::read(bytes) {
                        let _ = (message::version(reply), message::sink_rate(reply), message::made(reply));
                        let _ = (message::latency(reply), message::input_level(reply));
                    }
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
