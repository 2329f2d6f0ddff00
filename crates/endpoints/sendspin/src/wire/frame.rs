//! What is inside a Noise message: a type byte and a body, or a fragment of something longer (messaging.md, "Binary
//! Message ID Structure" and "Fragmentation").

use super::fault::Fault;
use super::noise::{LONGEST, TAG};

/// A JSON message.
pub const JSON: u8 = 0;
/// A fragment.
pub const FRAGMENT: u8 = 1;
/// An audio chunk to a player.
pub const AUDIO: u8 = 4;
/// The longest body of a message that is not in fragments: 65,518 bytes.
pub const BODY: usize = LONGEST - TAG - 1;
/// The longest message we put together: hellos and states are some KiB, and we ask for nothing bigger.
pub const WHOLE: usize = 256 * 1024;

const FIRST: u8 = 0b10;
const LAST: u8 = 0b01;
/// What the head of a first fragment takes: type, flags, type of the whole.
const HEAD: usize = 3;

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Its type.
    pub id: u8,
    /// What follows the type.
    pub body: Vec<u8>,
}

/// Puts fragments together, one message at a time.
#[derive(Debug, Default)]
pub struct Assembler {
    begun: Option<Whole>,
}

impl Assembler {
    /// Takes what a Noise message held; a whole message when it is complete.
    pub fn take(&mut self, mut plain: Vec<u8>) -> Result<Option<Whole>, Fault> {
        let Some(&id) = plain.first() else { return Err(Fault::Malformed("it is empty")) };
        if id != FRAGMENT {
            if self.begun.is_some() {
                return Err(Fault::Malformed("it cuts into a fragmented one"));
            }
            plain.remove(0);
            return Ok(Some(Whole { id, body: plain }));
        }
        let Some(&flags) = plain.get(1) else { return Err(Fault::Malformed("a fragment has no flags")) };
        if flags & !(FIRST | LAST) != 0 {
            return Err(Fault::Malformed("a fragment has unknown flags"));
        }
        let data = if flags & FIRST != 0 {
            if self.begun.is_some() {
                return Err(Fault::Malformed("a fragmented one begins within another"));
            }
            let Some(&id) = plain.get(2) else { return Err(Fault::Malformed("a fragment has no type")) };
            if id == FRAGMENT {
                return Err(Fault::Malformed("a fragment of fragments"));
            }
            self.begun = Some(Whole { id, body: Vec::new() });
            HEAD
        } else {
            HEAD - 1
        };
        let Some(begun) = &mut self.begun else {
            return Err(Fault::Malformed("a fragment of nothing"));
        };
        let data = plain.get(data..).unwrap_or_default();
        if begun.body.len() + data.len() > WHOLE {
            return Err(Fault::TooLong);
        }
        begun.body.extend_from_slice(data);
        Ok(if flags & LAST != 0 { self.begun.take() } else { None })
    }
}

/// A message as the plain texts of one or more Noise messages.
pub fn split(id: u8, body: &[u8]) -> Vec<Vec<u8>> {
    if body.len() <= BODY {
        let mut plain = Vec::with_capacity(1 + body.len());
        plain.push(id);
        plain.extend_from_slice(body);
        return vec![plain];
    }
    let mut parts = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let first = parts.is_empty();
        let head = if first { HEAD } else { HEAD - 1 };
        let (part, after) = rest.split_at(rest.len().min(LONGEST - TAG - head));
        let mut flags = 0;
        if first {
            flags |= FIRST;
        }
        if after.is_empty() {
            flags |= LAST;
        }
        let mut plain = vec![FRAGMENT, flags];
        if first {
            plain.push(id);
        }
        plain.extend_from_slice(part);
        parts.push(plain);
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn what_is_split_is_put_together(id in 2u8.., length in 0usize..WHOLE) {
            let body: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
            let mut assembler = Assembler::default();
            let parts = split(id, &body);
            prop_assert_eq!(parts.len() > 1, length > BODY);
            let last = parts.len() - 1;
            for (nth, part) in parts.into_iter().enumerate() {
                prop_assert!(part.len() + TAG <= LONGEST);
                let whole = assembler.take(part).unwrap();
                let expected = (nth == last).then(|| Whole { id, body: body.clone() });
                prop_assert_eq!(whole, expected);
            }
        }

        #[test]
        fn any_bytes_are_answered(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let mut assembler = Assembler::default();
            for part in parts {
                let _ = assembler.take(part);
            }
        }
    }

    #[test]
    fn what_does_not_hold_together_is_refused() {
        for parts in [
            vec![vec![]],
            vec![vec![1]],
            vec![vec![1, 0, 9]],
            vec![vec![1, 1]],
            vec![vec![1, 2]],
            vec![vec![1, 2, 1]],
            vec![vec![1, 4, 0]],
            vec![vec![1, 2, 0], vec![1, 2, 0]],
            vec![vec![1, 2, 0], vec![0, b'{']],
        ] {
            let mut assembler = Assembler::default();
            let last = parts.into_iter().map(|part| assembler.take(part)).last();
            assert!(matches!(last, Some(Err(_))));
        }
    }

    #[test]
    fn endless_messages_are_refused() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.take(vec![1, 2, 0]), Ok(None));
        let refused =
            (0..10).map(|_| assembler.take([vec![1, 0], vec![0; 60_000]].concat())).find(Result::is_err);
        assert_eq!(refused, Some(Err(Fault::TooLong)));
    }
}
