//! Datagrams on the control and timing ports.
#![no_main]

use antiphon_airplay::wire::rtp;
use antiphon_domain::HubTime;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    let _ = rtp::resend_request(packet);
    let now = HubTime::from_nanos(5_000_000_000);
    if let Some(request) = rtp::timing_request(packet) {
        let _ = rtp::asked_at(&request);
        assert_eq!(rtp::timing_answer(&request, now, now)[..2], [0x80, 0xd3]);
    }
});
