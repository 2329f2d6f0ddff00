//! What a receiver says of itself in its `_raop._tcp` record.
//!
//! Keys as receivers publish them: `et` encryption types (0 none), `cn` codecs (1 Apple Lossless), `tp` transports,
//! `pw` password, `sr`/`ss`/`ch` format, `md` metadata, `am` model. A missing key means the receiver did not say,
//! and it is given the benefit of the doubt: its RTSP answers decide.

use std::collections::BTreeMap;

/// The device id (before the `@`) and the name people gave it (after it); `None` when the label has no id.
pub fn instance(label: &str) -> Option<(&str, &str)> {
    let (id, name) = label.split_once('@')?;
    let is_id = !id.is_empty() && id.len() <= 32 && id.bytes().all(|b| b.is_ascii_alphanumeric());
    if is_id { Some((id, if name.is_empty() { id } else { name })) } else { None }
}

/// Why a receiver cannot take what we send, in words; `None` when nothing in the record speaks against it.
pub fn objection(txt: &BTreeMap<String, String>) -> Option<String> {
    if !lists(txt, "et", "0") && !lists(txt, "et", "1") {
        return Some(format!("it demands encryption that we cannot do (et={})", shown(txt, "et")));
    }
    if !lists(txt, "cn", "1") {
        return Some(format!("it does not take apple lossless (cn={})", shown(txt, "cn")));
    }
    if !lists(txt, "tp", "UDP") && !lists(txt, "tp", "TCP") {
        return Some(format!("it takes neither udp nor tcp (tp={})", shown(txt, "tp")));
    }
    for (key, wanted) in [("sr", "44100"), ("ss", "16"), ("ch", "2")] {
        if txt.get(key).is_some_and(|value| value != wanted) {
            return Some(format!("it wants {key}={}", shown(txt, key)));
        }
    }
    None
}

/// Whether sound must be encrypted: the record has no `et` 0 in it, but 1.
pub fn wants_encryption(txt: &BTreeMap<String, String>) -> bool {
    !lists(txt, "et", "0") && lists(txt, "et", "1")
}

/// Whether sound may be encrypted; a receiver that was never seen may take it.
pub fn takes_encryption(txt: &BTreeMap<String, String>) -> bool {
    lists(txt, "et", "1")
}

/// Whether sound must go by TCP, since the record knows no UDP.
pub fn wants_stream(txt: &BTreeMap<String, String>) -> bool {
    !lists(txt, "tp", "UDP") && lists(txt, "tp", "TCP")
}

/// Whether the record says that a password is needed.
pub fn asks_password(txt: &BTreeMap<String, String>) -> bool {
    txt.get("pw").is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
}

fn lists(txt: &BTreeMap<String, String>, key: &str, wanted: &str) -> bool {
    match txt.get(key) {
        Some(list) => list.split(',').any(|entry| entry.trim().eq_ignore_ascii_case(wanted)),
        None => true,
    }
}

/// A value as it may stand in a message: short and printable, whatever the record holds.
fn shown(txt: &BTreeMap<String, String>, key: &str) -> String {
    let value = txt.get(key).map_or("", String::as_str);
    value.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn txt(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| (String::from(*k), String::from(*v))).collect()
    }

    #[test]
    fn an_instance_is_an_id_and_a_name() {
        assert_eq!(instance("33FA00A66F2E@Kitchen"), Some(("33FA00A66F2E", "Kitchen")));
        assert_eq!(instance("33FA00A66F2E@Bob@Home"), Some(("33FA00A66F2E", "Bob@Home")));
        assert_eq!(instance("33FA00A66F2E@"), Some(("33FA00A66F2E", "33FA00A66F2E")));
        assert_eq!(instance("Kitchen"), None);
        assert_eq!(instance("@Kitchen"), None);
    }

    #[test]
    fn objections_name_the_key() {
        let shairport =
            txt(&[("et", "0,1"), ("cn", "0,1"), ("tp", "TCP,UDP"), ("sr", "44100"), ("ss", "16")]);
        assert_eq!(objection(&shairport), None);
        assert_eq!(objection(&txt(&[])), None);
        assert_eq!(
            objection(&txt(&[("et", "4")])).as_deref(),
            Some("it demands encryption that we cannot do (et=4)")
        );
        assert_eq!(
            objection(&txt(&[("cn", "0")])).as_deref(),
            Some("it does not take apple lossless (cn=0)")
        );
        assert_eq!(objection(&txt(&[("sr", "48000")])).as_deref(), Some("it wants sr=48000"));
        assert!(wants_encryption(&txt(&[("et", "1,3")])) && !wants_encryption(&shairport));
        assert!(takes_encryption(&shairport) && !takes_encryption(&txt(&[("et", "0,4")])));
        assert!(!wants_encryption(&txt(&[])) && !wants_stream(&txt(&[])));
        assert!(wants_stream(&txt(&[("tp", "TCP")])) && !wants_stream(&shairport));
        assert!(asks_password(&txt(&[("pw", "true")])));
        assert!(!asks_password(&txt(&[("pw", "false")])));
    }

    proptest! {
        #[test]
        fn any_label_and_record_is_read(label in ".*", value in ".*") {
            if let Some((id, name)) = instance(&label) {
                prop_assert!(!id.is_empty() && !name.is_empty());
            }
            let _ = objection(&txt(&[("et", &value), ("cn", &value), ("sr", &value)]));
        }
    }
}
