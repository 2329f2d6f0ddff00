//! Owns the reading of `application/x-www-form-urlencoded` bodies and of query strings. Pure.

use std::collections::BTreeMap;

/// The pairs of a form; a repeated name keeps its first value. `None` for a wrong escape or bytes that are not UTF-8.
pub(crate) fn parse(text: &str) -> Option<BTreeMap<String, String>> {
    let mut pairs = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.entry(decode(name)?).or_insert(decode(value)?);
    }
    Some(pairs)
}

/// Undoes `+` and `%XX`.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => 16 * digit(rest.next()?)? + digit(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Everything but unreserved characters (RFC 3986) as `%XX`.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_with_bars() {
        let form = parse("grant_type=refresh_token&refresh_token=Atzr%7Ca+b%3D&x").unwrap();
        assert_eq!(form["refresh_token"], "Atzr|a b=");
        assert_eq!(form["x"], "");
        assert_eq!(parse("a=%4"), None);
        assert_eq!(parse("a=%ff"), None);
    }

    proptest! {
        #[test]
        fn round_trip(text in any::<String>()) {
            prop_assert_eq!(decode(&encode(&text)), Some(text));
        }

        #[test]
        fn never_panics(text in any::<String>()) {
            parse(&text);
        }
    }
}
