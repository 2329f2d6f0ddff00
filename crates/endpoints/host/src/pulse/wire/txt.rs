//! The record by which a server announces one of its sinks (`_pulse-sink._tcp`, PulseAudio's module-zeroconf-publish).

use std::collections::BTreeMap;

/// The sink's name at its server.
pub const DEVICE: &str = "device";

/// More than any name of a sink has; a longer one is not believed.
const LONGEST: usize = 256;

/// The stable id of an announced sink: the machine's, and the sink's name there. PipeWire tells no machine: its user and
/// the `host` name of the record stand in, as its cookie is another each time it starts. Where they are not told either the
/// cookie is better than nothing; without it there is no telling which sink it is.
pub fn id(txt: &BTreeMap<String, String>, host: &str) -> Option<String> {
    let usable = |value: &str| {
        let value = value.trim();
        let fits = !value.is_empty() && value.len() <= LONGEST && !value.contains(char::is_control);
        fits.then(|| value.to_owned())
    };
    let told = |key: &str| usable(txt.get(key)?);
    let host =
        || Some(format!("{}@{}", told("user-name")?, usable(host.trim_end_matches('.'))?.to_lowercase()));
    let server = told("machine-id").or_else(host).or_else(|| told("cookie"))?;
    Some(format!("{server}.{}", told(DEVICE)?))
}

/// What people call it: the sink's description, else what follows `USER@HOST: ` in the instance, else its name there.
pub fn name<'a>(txt: &'a BTreeMap<String, String>, instance: &'a str) -> &'a str {
    let described = txt.get("description").map(String::as_str);
    let after_host = instance.split_once(": ").map_or(instance, |(_, name)| name);
    let device = txt.get(DEVICE).map_or("", String::as_str);
    let names = [described.unwrap_or_default(), after_host, device];
    names.into_iter().map(str::trim).find(|name| !name.is_empty()).unwrap_or(instance)
}
