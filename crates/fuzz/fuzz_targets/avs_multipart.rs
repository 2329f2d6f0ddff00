//! Multipart bodies of AVS, cut anywhere: no panic, no more memory than the limits allow, and cuts change nothing.
//!
//! The first byte says how the body is cut; the rest up to the first line end is a Content-Type, then comes the body.
#![no_main]

use antiphon_avs::multipart::{Limits, Parser, Part, boundary_of};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { headers: 256, json: 512 };

fn read(boundary: &str, body: &[u8], cut: usize) -> Vec<Part> {
    let mut parser = Parser::new(boundary, LIMITS);
    let mut parts = Vec::new();
    for chunk in body.chunks(cut) {
        parser.push(Bytes::copy_from_slice(chunk), &mut parts);
        assert!(parser.held() <= LIMITS.headers + LIMITS.json + 2 * boundary.len() + 64);
    }
    parser.finish(&mut parts);
    let mut whole: Vec<Part> = Vec::new();
    let mut data: Vec<u8> = Vec::new();
    for part in parts {
        match part {
            Part::AttachmentData(bytes) => data.extend(bytes),
            other => {
                if !data.is_empty() {
                    whole.push(Part::AttachmentData(std::mem::take(&mut data).into()));
                }
                whole.push(other);
            }
        }
    }
    whole
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, rest)) = input.split_first() else { return };
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (head, body) = rest.split_at(end);
    let found = std::str::from_utf8(head).ok().and_then(boundary_of);
    let boundary = found.as_deref().unwrap_or("B");
    assert_eq!(read(boundary, body, usize::from(cut).max(1)), read(boundary, body, body.len().max(1)));
});
