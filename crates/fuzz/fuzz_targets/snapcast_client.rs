//! What a Snapcast client says, cut anywhere: no panic, the same however it is cut, ids that can be shown.
#![no_main]

use antiphon_domain::HubTime;
use antiphon_snapcast::wire::{Reader, Request, Stamp, time_answer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&cut, bytes)) = input.split_first() else { return };
    let read = |cut: usize| {
        let mut reader = Reader::default();
        let mut seen = Vec::new();
        for chunk in bytes.chunks(cut) {
            reader.push(chunk);
            while let Some(received) = reader.next() {
                // After an error the stream is lost.
                let lost = received.is_err();
                seen.push(received);
                if lost {
                    return seen;
                }
            }
        }
        seen
    };
    let seen = read(usize::from(cut).max(1));
    assert_eq!(seen, read(bytes.len().max(1)));
    for received in seen.into_iter().flatten() {
        match received.request {
            Request::Hello(hello) => {
                assert!(!hello.id.is_empty() && hello.id.len() < 600);
                assert!(!hello.id.chars().any(char::is_control));
            }
            Request::Time => {
                let answer = time_answer(received.id, received.sent, HubTime::EPOCH, HubTime::EPOCH);
                assert_eq!(answer[2..6], [answer[2], answer[3], answer[2], answer[3]]);
                assert!(Stamp::checked(received.sent.sec, received.sent.usec).is_ok());
            }
            Request::Info(_) | Request::Useless | Request::Unknown(_) => {}
        }
    }
});
