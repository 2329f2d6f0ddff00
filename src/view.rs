//! The picture of the hub for people: finds what they name, and prints it.

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

/// The hub as a table for a terminal, from the API's JSON.
pub(crate) fn table(hub: &serde_json::Value) -> String {
    let text = |v: &serde_json::Value| v.as_str().unwrap_or("").to_string();
    let mut rows = vec![["SPEAKER", "ID", "ZONE", "VOLUME", "ENDPOINT", "ALEXA", "GROUP"].map(String::from)];
    for s in hub["speakers"].as_array().into_iter().flatten() {
        let mut volume = s["volume"].as_u64().map_or("unknown".into(), |v| v.to_string());
        if s["muted"] == true {
            volume.push_str(" (muted)");
        }
        let mut endpoint = format!("{} {}", text(&s["kind"]), text(&s["endpoint"]["state"]));
        if s["playing"] == true {
            endpoint.push_str(", playing");
        }
        if let Some(why) = s["endpoint"]["why"].as_str() {
            endpoint.push_str(&format!(": {why}"));
        }
        if let Some(since) = s["endpoint"]["since"].as_u64() {
            let now =
                std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
            endpoint.push_str(&format!(" for {} s", now.saturating_sub(since)));
        }
        if let Some(trouble) = s["trouble"].as_str() {
            endpoint.push_str(&format!("; the last stream failed: {trouble}"));
        }
        let group = text(&s["group"]);
        let formed = hub["groups"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|g| g["id"] == s["group"] && g["formed"] == true);
        let group = if formed { group } else { String::new() };
        rows.push([
            text(&s["name"]),
            text(&s["id"]),
            text(&s["zone"]),
            volume,
            endpoint,
            text(&s["link"]["state"]),
            group,
        ]);
    }
    let mut out = String::new();
    if rows.len() == 1 {
        out.push_str(
            "No speaker yet. They appear as they are found; `antiphon check` says where the hub looks.\n",
        );
    } else {
        let widths: Vec<usize> =
            (0..7).map(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0)).collect();
        for row in &rows {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, w)| format!("{cell:w$}")).collect();
            out.push_str(cells.join("  ").trim_end());
            out.push('\n');
        }
    }
    for g in hub["groups"].as_array().into_iter().flatten() {
        if g["formed"] == true {
            out.push_str(&format!(
                "\nGroup {} ({}): volume {}",
                text(&g["name"]),
                text(&g["id"]),
                g["volume"]
            ));
        }
        if let Some(content) = g.get("content").filter(|c| c.is_object()) {
            let seconds = content["position_ms"].as_u64().unwrap_or(0) / 1000;
            let line = format!(
                "{} {} ({}:{:02})",
                text(&content["state"]),
                text(&content["url"]),
                seconds / 60,
                seconds % 60
            );
            out.push_str(&format!("\n  {line}"));
        }
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}
