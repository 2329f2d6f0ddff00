//! What devices post to the simulator, cut anywhere: no panic, and cuts change nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The simulator's own module, which it shows nobody.
#[allow(dead_code)]
#[path = "../../simulator/src/multipart.rs"]
mod multipart;

use multipart::{Item, Reader};

fn read(boundary: &str, body: &[u8], cut: usize) -> (Vec<Item>, bool) {
    let mut reader = Reader::new(boundary);
    let mut items: Vec<Item> = Vec::new();
    for chunk in body.chunks(cut) {
        for item in reader.push(chunk) {
            match (items.last_mut(), item) {
                (Some(Item::Data(before)), Item::Data(more)) => before.extend(more),
                (_, item) => items.push(item),
            }
        }
    }
    (items, reader.finish().is_none())
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, rest)) = input.split_first() else { return };
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (head, body) = rest.split_at(end);
    let found = std::str::from_utf8(head).ok().and_then(|head| multipart::parameter(head, "boundary"));
    let boundary = found.unwrap_or_else(|| "B".to_owned());
    let (pieces, sound) = read(&boundary, body, usize::from(cut).max(1));
    let (whole, also_sound) = read(&boundary, body, body.len().max(1));
    assert_eq!(sound, also_sound);
    if sound {
        assert_eq!(pieces, whole);
    }
});
