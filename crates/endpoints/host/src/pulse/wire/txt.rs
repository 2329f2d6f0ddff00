//! The record by which a server announces one of its sinks (`_pulse-sink._tcp`, PulseAudio's module-zeroconf-publish).

use std::collections::BTreeMap;

/// The sink's name at its server.
pub const DEVICE: &str = "device";

/// More than any name of a sink has; a longer one is not believed.
const LONGEST: usize = 256;

/// The stable id of an announced sink: the machine's, and the sink's name there. The cookie, which lasts as long as the
/// server runs, stands in where no machine is told; without either there is no telling which sink it is.
pub fn id(txt: &BTreeMap<String, String>) -> Option<String> {
    let usable = |key: &str| {
        let value = txt.get(key)?.trim();
        let fits = !value.is_empty() && value.len() <= LONGEST && !value.contains(char::is_control);
        fits.then_some(value)
    };
    let server = usable("machine-id").or_else(|| usable("cookie"))?;
    Some(format!("{server}.{}", usable(DEVICE)?))
}

/// What people call it: the sink's description, else what follows `USER@HOST: ` in the instance, else its name there.
pub fn name<'a>(txt: &'a BTreeMap<String, String>, instance: &'a str) -> &'a str {
    let described = txt.get("description").map(String::as_str);
    let after_host = instance.split_once(": ").map_or(instance, |(_, name)| name);
    let device = txt.get(DEVICE).map_or("", String::as_str);
    let names = [described.unwrap_or_default(), after_host, device];
    names.into_iter().map(str::trim).find(|name| !name.is_empty()).unwrap_or(instance)
}
