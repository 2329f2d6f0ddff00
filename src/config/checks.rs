//! What types cannot say of a configuration.

use std::collections::BTreeSet;

use super::{Config, Input, Speaker};

/// The longest name that can be announced (RFC 6763 section 4.1.1), bytes.
const LABEL: usize = 63;

/// The key (or `key = "value"`) at fault, and the problem.
type Wrong = (String, String);

fn wrong<T>(at: impl Into<String>, problem: impl Into<String>) -> Result<T, Wrong> {
    Err((at.into(), problem.into()))
}

impl Config {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        self.check_avs()?;
        if !self.http.listen.ip().is_loopback() {
            let expected = "expected a loopback address such as 127.0.0.1:8780: there is no log-in yet, so nobody \
                            else may reach the controls";
            return wrong("listen", expected);
        }
        if let Some(uri) = &self.login.redirect_uri
            && !(uri.starts_with("https://") || uri.starts_with("http://"))
        {
            return wrong("redirect_uri", "expected a URL that ends in /link/return and leads to this hub");
        }
        let plain = |locale: &String| {
            (2..=35).contains(&locale.len()) && locale.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if self.voice.locales.is_empty() || !self.voice.locales.iter().all(plain) {
            return wrong("locales", "expected at least one locale, such as [\"en-US\"]");
        }
        let adapter = &self.bluetooth.adapter;
        if adapter.is_empty() || !adapter.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return wrong("adapter", "expected an adapter's name such as \"hci0\"");
        }
        self.check_kinds()?;
        check_speakers(&self.speakers)?;
        let mut seen = BTreeSet::new();
        for input in &self.inputs {
            check_input(input, seen.insert(&input.name))?;
        }
        for group in &self.groups {
            if group.speakers.is_empty() {
                return wrong(format!("id = {:?}", group.id), "expected a group with at least one speaker");
            }
        }
        Ok(())
    }

    fn check_kinds(&self) -> Result<(), Wrong> {
        if self.airplay.lead_ms.is_some_and(|lead| !(300..=5_000).contains(&lead)) {
            return wrong("lead_ms", "expected 300 to 5000 milliseconds");
        }
        if self.airplay.tolerance_ms.is_some_and(|tolerance| !(0.0..=1_000.0).contains(&tolerance)) {
            return wrong("tolerance_ms", "expected 0 to 1000 milliseconds");
        }
        if self.snapcast.buffer_ms.is_some_and(|buffer| !(200..=5_000).contains(&buffer)) {
            return wrong("buffer_ms", "expected 200 to 5000 milliseconds");
        }
        let name = &self.sendspin.name;
        if name.is_empty() || name.len() > LABEL || name.chars().any(char::is_control) {
            return wrong(format!("name = {name:?}"), format!("expected a name of 1 to {LABEL} bytes"));
        }
        Ok(())
    }

    fn check_avs(&self) -> Result<(), Wrong> {
        for avs in
            std::iter::once(self.avs.clone()).chain(self.speakers.iter().map(|s| s.avs.over(&self.avs)))
        {
            let mut whole = avs;
            if whole.client_id.is_none() && whole.gateway.is_none() && whole.region.is_none() {
                continue;
            }
            // A hub without a product is fine; what else is said of AVS is checked all the same.
            whole.client_id.get_or_insert_with(|| "none".into());
            whole.product_id.get_or_insert_with(|| "none".into());
            if let Err(e) = whole.link_config("NONE") {
                return wrong(e.key, format!("expected {}", e.expected));
            }
        }
        Ok(())
    }
}

fn check_speakers(speakers: &[Speaker]) -> Result<(), Wrong> {
    let mut seen = BTreeSet::new();
    let mut radio = None;
    for speaker in speakers {
        let at = format!("id = {:?}", speaker.id);
        if speaker.id.is_empty() || !seen.insert(&speaker.id) {
            return wrong(at, "expected an id that no other speaker has");
        }
        if let Some(serial) = &speaker.serial_number {
            let plain = serial.chars().all(|c| c.is_ascii_alphanumeric());
            if serial.is_empty() || serial.len() > 50 || !plain {
                let at = format!("serial_number = {serial:?}");
                return wrong(at, "expected 1 to 50 letters and digits (RegisterAVSDevice)");
            }
        }
        if speaker.microphone.as_ref().is_some_and(|m| m.trim().is_empty()) {
            return wrong("microphone", "expected a capture device in GStreamer's words, e.g. \"alsasrc\"");
        }
        if speaker.bluetooth
            && let Some(other) = radio.replace(&speaker.id)
        {
            let problem = format!("expected one speaker that has the adapter; {other:?} has it already");
            return wrong("bluetooth", problem);
        }
    }
    Ok(())
}

fn check_input(input: &Input, new: bool) -> Result<(), Wrong> {
    let at = format!("name = {:?}", input.name);
    if !antiphon_avs::interfaces::is_input_name(&input.name) {
        let expected = "expected a name of Alexa's list, such as \"LINE 1\", \"AUX 1\", \"HDMI 1\", \"OPTICAL 1\", \
                        \"CD\", \"PHONO\", \"TUNER\", \"TV\" (Alexa.InputController 3.0)";
        return wrong(at, expected);
    }
    if !new {
        return wrong(at, "expected a name that no other input has");
    }
    let sources = [&input.url, &input.device, &input.speaker];
    if sources.iter().filter(|source| source.is_some()).count() != 1 {
        return wrong(at, "expected one of url, device and speaker: where its sound comes from");
    }
    if let Some(url) = &input.url
        && !(url.starts_with("http://") || url.starts_with("https://"))
    {
        return wrong(format!("url = {url:?}"), "expected a URL that begins with http:// or https://");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use std::path::Path;

    fn problem(text: &str) -> String {
        Config::parse(text, Path::new("a.toml")).map(|_| String::new()).unwrap_or_else(|e| e.to_string())
    }

    #[test]
    fn inputs_have_a_name_of_the_list_and_one_source() {
        assert_eq!(problem("[[inputs]]\nname = \"LINE 1\"\ndevice = \"alsasrc\"\n"), "");
        let said = problem("[[inputs]]\nname = \"Line\"\ndevice = \"alsasrc\"\n");
        assert!(said.starts_with("a.toml:2: name = \"Line\": expected a name of Alexa's list"), "{said}");
        let said = problem("[[inputs]]\nname = \"TV\"\n");
        assert!(said.contains("expected one of url, device and speaker"), "{said}");
        let said = problem("[[inputs]]\nname = \"TV\"\nurl = \"file:///etc/passwd\"\n");
        assert!(said.starts_with("a.toml:3: url"), "{said}");
        let twice = "[[inputs]]\nname = \"TV\"\nspeaker = \"k\"\n";
        assert!(problem(&format!("{twice}{twice}")).contains("no other input has"));
    }

    #[test]
    fn one_speaker_has_the_adapter() {
        let text = "[[speakers]]\nid = \"a\"\nbluetooth = true\n[[speakers]]\nid = \"b\"\nbluetooth = true\n";
        let said = problem(text);
        assert!(said.starts_with("a.toml:6: bluetooth: expected one speaker"), "{said}");
    }

    #[test]
    fn leads_and_names_are_what_the_kinds_can_do() {
        let long = "x".repeat(64);
        for (table, line, expected) in [
            ("airplay", "lead_ms = 100", "a.toml:2: lead_ms: expected 300 to 5000"),
            ("airplay", "tolerance_ms = -1.0", "a.toml:2: tolerance_ms: expected 0 to 1000"),
            ("airplay", "tolerance_ms = nan", "a.toml:2: tolerance_ms: expected 0 to 1000"),
            ("snapcast", "buffer_ms = 50000", "a.toml:2: buffer_ms: expected 200 to 5000"),
            ("sendspin", "name = \"\"", "a.toml:2: name = \"\": expected a name of 1 to 63 bytes"),
            ("sendspin", &format!("name = {long:?}"), "a.toml:2: name = \"xxx"),
        ] {
            let said = problem(&format!("[{table}]\n{line}\n"));
            assert!(said.starts_with(expected), "{said}");
        }
        assert_eq!(problem("[airplay]\nlead_ms = 300\n[snapcast]\nbuffer_ms = 5000\n"), "");
    }

    #[test]
    fn there_is_always_a_locale() {
        assert!(problem("[voice]\nlocales = []\n").starts_with("a.toml:2: locales"));
        assert_eq!(problem("[voice]\nlocales = [\"de-DE\"]\nducking = false\n"), "");
    }
}
