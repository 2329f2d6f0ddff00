//! `antiphon link`: the ways to link a speaker to an Amazon account, from a terminal.

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use crate::client::Client;

/// A code lives about ten minutes (LWA: expires_in 600).
const PATIENCE: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A speaker, by id or name.
    #[arg(allow_hyphen_values = true)]
    name: String,
    /// By a page on this machine, instead of a code.
    #[arg(long, group = "way")]
    local: bool,
    /// By the companion site, which has the client's secret.
    #[arg(long, group = "way")]
    site: bool,
    /// By a companion app: prints what it needs to ask Amazon; then give what it got with --code.
    #[arg(long, group = "way")]
    app: bool,
    /// With --app: the code that the app got from Amazon.
    #[arg(long, requires_all = ["app", "client_id", "redirect_uri"])]
    code: Option<String>,
    /// With --code: the app's client id.
    #[arg(long, requires = "code")]
    client_id: Option<String>,
    /// With --code: the app's redirect URI.
    #[arg(long, requires = "code")]
    redirect_uri: Option<String>,
}

pub(super) fn run(client: &Client, arguments: &Arguments) -> anyhow::Result<()> {
    let name = &arguments.name;
    if let Some(code) = &arguments.code {
        let body = json!({
            "code": code, "client_id": arguments.client_id, "redirect_uri": arguments.redirect_uri,
        });
        client.post(&["api", "speakers", name, "link", "code"], body)?;
        println!("{name} is linked.");
        return Ok(());
    }
    if arguments.app {
        let needed = client.post(&["api", "speakers", name, "link", "app"], json!({}))?;
        for (key, value) in needed.as_object().into_iter().flatten() {
            println!("{key}: {}", value.as_str().unwrap_or_default());
        }
        println!("Then: antiphon link {name:?} --app --code CODE --client-id ID --redirect-uri URI");
        return Ok(());
    }
    let before = look(client, name)?;
    if arguments.local || arguments.site {
        let way = if arguments.site { "site" } else { "local" };
        println!("Open {} in a browser on this machine", client.url(&["link", name, way])?);
    } else {
        client.post(&["api", "speakers", name, "link"], json!({}))?;
    }
    // A speaker that is linked keeps its account until the new one is proved: there is nothing to wait for that shows.
    if before["state"] == "connected" && (arguments.local || arguments.site) {
        return Ok(());
    }
    wait(client, name, !(arguments.local || arguments.site))
}

fn look(client: &Client, name: &str) -> anyhow::Result<Value> {
    Ok(client.get(&["api", "speakers", name])?["link"].take())
}

/// Shows the code, where there is one, and waits until it was entered.
fn wait(client: &Client, name: &str, by_code: bool) -> anyhow::Result<()> {
    let mut shown = String::new();
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let link = look(client, name)?;
        if let (Some(uri), Some(code)) =
            (link["login"]["verification_uri"].as_str(), link["login"]["user_code"].as_str())
        {
            if shown != code {
                println!("Open {uri} and enter the code {code}");
                shown = code.into();
            }
        } else if link["linking"] != true {
            // By a page nothing shows until it is linked; by a code nothing is under way any more.
            match (link["state"].as_str(), link["why"].as_str()) {
                (Some("connected"), None) => {
                    println!("{name} is linked.");
                    return Ok(());
                }
                (Some("needs_login" | "connected" | "closed"), Some(why)) if by_code => {
                    bail!("{name} was not linked: {why}")
                }
                _ => {}
            }
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    bail!("the code was not entered in time; ask for another with `antiphon link {name}`")
}
