//! Commands about time: offsets, low latency, how well speakers keep it; and receivers that ask to be let in.

use anyhow::bail;
use reqwest::Method;
use serde_json::json;

use crate::client::Client;
use crate::view;

/// Shows a speaker's offset, or sets it.
pub(super) fn offset(client: &Client, name: &str, millis: Option<i64>) -> anyhow::Result<()> {
    match millis {
        Some(millis) => super::device::put(client, name, &["offset"], json!({ "offset_ms": millis })),
        None => {
            let speaker = client.get(&["api", "speakers", name])?;
            println!("{} ms", speaker["offset_ms"]);
            Ok(())
        }
    }
}

/// Has a group be quick, or not.
pub(super) fn low_latency(client: &Client, place: &str, name: &str, on: bool) -> anyhow::Result<()> {
    client.ask(Method::PUT, &["api", place, name, "low-latency"], Some(json!({ "on": on })))?;
    if on {
        let sync = client.get(&["api", "sync"])?;
        for group in sync["groups"].as_array().into_iter().flatten() {
            if let Some(why) = group["low_latency"]["why"].as_str() {
                println!("{}: not yet: {why}", group["name"].as_str().unwrap_or_default());
            }
        }
    }
    Ok(())
}

/// Shows how well speakers keep time.
pub(super) fn sync(client: &Client, as_json: bool) -> anyhow::Result<()> {
    let sync = client.get(&["api", "sync"])?;
    if as_json {
        println!("{}", serde_json::to_string_pretty(&sync)?);
    } else {
        print!("{}", view::sync(&sync));
    }
    Ok(())
}

/// Shows who asks, or answers one.
pub(super) fn pair(
    client: &Client,
    name: Option<&str>,
    answer: Option<&str>,
    as_json: bool,
) -> anyhow::Result<()> {
    let asks = client.get(&["api", "pairing"])?;
    let Some(name) = name else {
        if as_json {
            println!("{}", serde_json::to_string_pretty(&asks)?);
        } else {
            print!("{}", view::asks(&asks));
        }
        return Ok(());
    };
    let ask = asks.as_array().into_iter().flatten().find(|ask| {
        let named = ask["name"].as_str().is_some_and(|n| n.to_lowercase() == name.to_lowercase());
        ask["speaker"] == name || named
    });
    let body = match (answer, ask.and_then(|ask| ask["wants"].as_str())) {
        (Some(word @ ("approve" | "refuse" | "unpair")), _) => json!({ "answer": word }),
        (Some(code), _) => json!({ "answer": "code", "code": code }),
        (None, Some("approval")) => json!({ "answer": "approve" }),
        (None, Some("code")) => bail!("{name} wants the code it shows: antiphon pair {name:?} CODE"),
        (None, Some("refused")) => {
            bail!("{name} was refused; `antiphon pair {name:?} approve` takes that back")
        }
        (None, Some(_)) => {
            bail!("{name} is trusted already; `antiphon pair {name:?} unpair` takes that back")
        }
        // The hub knows best whom it might be.
        (None, None) => json!({ "answer": "approve" }),
    };
    client.post(&["api", "pairing", name], body)?;
    Ok(())
}
