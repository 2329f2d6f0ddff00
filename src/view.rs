//! The picture of the hub for people: finds what they name, and prints it.

mod sync;
mod table;

pub(crate) use sync::{asks, sync};
pub(crate) use table::{alarms, table, tone};

use antiphon_actors::snapshot::Snapshot;
use antiphon_domain::{GroupId, SpeakerId};

use crate::http::Problem;

/// The speaker of that id, or the only one of that name (upper and lower case alike).
pub(crate) fn find_speaker(snapshot: &Snapshot, name: &str) -> Result<SpeakerId, Problem> {
    let all = snapshot.speakers.iter().map(|s| (s.id.as_str(), s.name.as_str()));
    find("speaker", name, all).map(SpeakerId::new)
}

/// The group of that id, or the only one of that name (upper and lower case alike).
pub(crate) fn find_group(snapshot: &Snapshot, name: &str) -> Result<GroupId, Problem> {
    // A lone speaker that plays is shown as a group of one; people name the speaker.
    let formed = snapshot.groups.iter().filter(|g| g.formed || g.id.as_str() == name);
    find("group", name, formed.map(|g| (g.id.as_str(), g.name.as_str()))).map(GroupId::new)
}

fn find<'a>(
    what: &str,
    wanted: &str,
    all: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<&'a str, Problem> {
    let mut named = Vec::new();
    let mut known = Vec::new();
    for (id, name) in all {
        if id == wanted {
            return Ok(id);
        }
        if name.to_lowercase() == wanted.to_lowercase() {
            named.push(id);
        }
        known.push(if id == name { id.to_string() } else { format!("{name} ({id})") });
    }
    match named.as_slice() {
        [one] => Ok(one),
        [] => Err(Problem::unknown(what, wanted, &known)),
        many => Err(Problem::ambiguous(what, wanted, many)),
    }
}
