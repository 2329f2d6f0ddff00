//! The command line. `run`, `demo` and `check` are the hub itself; the others talk to a running one.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use crate::client::Client;
use crate::config::Config;
use crate::{demo, telemetry, view};

/// A multi-room audio hub: every networked speaker of the house an Alexa device of its own, playing in time.
#[derive(Debug, Parser)]
#[command(name = "antiphon", version)]
pub struct Cli {
    /// The running hub to talk to.
    #[arg(
        long,
        global = true,
        env = "ANTIPHON_HUB",
        default_value = "http://127.0.0.1:8780",
        value_name = "URL"
    )]
    hub: String,
    /// With `speakers`: print JSON, for scripts.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the hub.
    Run {
        /// The configuration file; without it ./antiphon.toml or /etc/antiphon/antiphon.toml, else defaults.
        #[arg(long, short)]
        config: Option<PathBuf>,
    },
    /// Run a hub, a simulated Alexa service and three virtual speakers; no account needed.
    Demo,
    /// Read the configuration and say what is wrong or missing.
    Check {
        /// The configuration file.
        #[arg(long, short)]
        config: Option<PathBuf>,
    },
    /// Show speakers and groups.
    Speakers,
    /// Set a volume: 0 to 100, or a step such as +5 or -5. A speaker's group moves with it.
    Volume {
        /// A speaker or group, by id or name.
        name: String,
        /// 0 to 100, +N or -N.
        #[arg(allow_hyphen_values = true)]
        level: String,
        /// Move this speaker alone.
        #[arg(long)]
        alone: bool,
    },
    /// Mute, or with `off` unmute.
    Mute {
        /// A speaker or group, by id or name.
        name: String,
        /// `on` or `off`.
        #[arg(default_value = "on", value_parser = ["on", "off"])]
        switch: String,
        /// Only this speaker.
        #[arg(long)]
        alone: bool,
    },
    /// Make a group of speakers, or change who is in it. Without speakers: everybody is alone again.
    Group {
        /// The group's id or name.
        group: String,
        /// Its speakers, by id or name; the first one's level and content become the group's.
        speakers: Vec<String>,
    },
    /// Play a stream.
    Play {
        /// A speaker or group, by id or name. A speaker's group plays with it.
        name: String,
        /// An http or https URL: MP3, AAC, Opus, Vorbis, FLAC or WAV.
        url: String,
    },
    /// Stop what a speaker or group plays.
    Stop {
        /// A speaker or group, by id or name.
        name: String,
    },
    /// Link a speaker to an Amazon account.
    Link {
        /// A speaker, by id or name.
        name: String,
    },
}

impl Cli {
    /// Carries the command out.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run { config } => {
                telemetry::init("info");
                let config = load(config)?;
                run_until_signal(&config)
            }
            Command::Demo => demo::run(),
            Command::Check { config } => check(config),
            _ => self.ask(),
        }
    }

    fn ask(self) -> anyhow::Result<()> {
        let client = Client::new(&self.hub)?;
        let place = |name: &str| place_of(&client, name);
        match &self.command {
            Command::Speakers => {
                let hub = client.get(&["api", "hub"])?;
                if self.json {
                    println!("{}", serde_json::to_string_pretty(&hub)?);
                } else {
                    print!("{}", view::table(&hub));
                }
            }
            Command::Volume { name, level, alone } => {
                let mut body = volume_body(level)?;
                body["scope"] = scope(*alone);
                client.post(&["api", place(name)?, name, "volume"], body)?;
            }
            Command::Mute { name, switch, alone } => {
                let body = json!({ "muted": switch == "on", "scope": scope(*alone) });
                client.post(&["api", place(name)?, name, "mute"], body)?;
            }
            Command::Group { group, speakers } if speakers.is_empty() => {
                client.ask(reqwest::Method::DELETE, &["api", "groups", group], None)?;
            }
            Command::Group { group, speakers } => {
                let body = json!({ "speakers": speakers });
                client.ask(reqwest::Method::PUT, &["api", "groups", group], Some(body))?;
            }
            Command::Play { name, url } => {
                client.post(&["api", place(name)?, name, "play"], json!({ "url": url }))?;
            }
            Command::Stop { name } => {
                client.post(&["api", place(name)?, name, "stop"], json!({}))?;
            }
            Command::Link { name } => link(&client, name)?,
            Command::Run { .. } | Command::Demo | Command::Check { .. } => {}
        }
        Ok(())
    }
}

fn scope(alone: bool) -> Value {
    json!(if alone { "speaker" } else { "group" })
}

/// `speakers` or `groups`: where the API has what a person named.
fn place_of(client: &Client, name: &str) -> anyhow::Result<&'static str> {
    let hub = client.get(&["api", "hub"])?;
    let has = |list: &Value| {
        list.as_array().is_some_and(|all| {
            all.iter().any(|one| {
                one["id"] == name
                    || one["name"].as_str().is_some_and(|n| n.to_lowercase() == name.to_lowercase())
            })
        })
    };
    // A speaker that is unknown is said to be so by the hub, with those it knows.
    Ok(if has(&hub["groups"]) && !has(&hub["speakers"]) { "groups" } else { "speakers" })
}

fn volume_body(level: &str) -> anyhow::Result<Value> {
    let number: i64 =
        level.parse().with_context(|| format!("expected 0 to 100, +N or -N, found {level:?}"))?;
    Ok(if level.starts_with(['+', '-']) { json!({ "step": number }) } else { json!({ "volume": number }) })
}

/// Starts code-based linking, shows the code, and waits until it was entered.
fn link(client: &Client, name: &str) -> anyhow::Result<()> {
    client.post(&["api", "speakers", name, "link"], json!({}))?;
    let mut shown = String::new();
    // A code lives about ten minutes (LWA: expires_in 600).
    let until = Instant::now() + Duration::from_secs(15 * 60);
    while Instant::now() < until {
        let link = client.get(&["api", "speakers", name])?["link"].take();
        if let (Some(uri), Some(code)) =
            (link["login"]["verification_uri"].as_str(), link["login"]["user_code"].as_str())
            && shown != code
        {
            println!("Open {uri} and enter the code {code}");
            shown = code.into();
        }
        if link["state"] == "connected" {
            println!("{name} is linked.");
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    bail!("the code was not entered in time; ask for another with `antiphon link {name}`")
}

fn load(named: Option<PathBuf>) -> anyhow::Result<Config> {
    let usual = ["antiphon.toml", "/etc/antiphon/antiphon.toml"].map(PathBuf::from);
    match named.or_else(|| usual.into_iter().find(|p| p.exists())) {
        Some(file) => Ok(Config::load(&file)?),
        None => Ok(Config::default()),
    }
}

fn run_until_signal(config: &Config) -> anyhow::Result<()> {
    let running = crate::start(config)?;
    if config.avs.client_id.is_none() {
        tracing::info!(
            "no Amazon product is configured: speakers work, voice does not ([avs] client_id, product_id)"
        );
    }
    wait_for_signal()?;
    running.close();
    Ok(())
}

/// Returns on interrupt or terminate.
pub(crate) fn wait_for_signal() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}

fn check(named: Option<PathBuf>) -> anyhow::Result<()> {
    let config = load(named)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    config.check_endpoints(&crate::kinds::all(&config, runtime.handle(), &prometheus::Registry::new())?)?;
    println!("configuration: fine");
    println!("state:         {}", config.data_dir().display());
    println!("surface:       http://{}", config.http.listen);
    match &config.discovery.interfaces {
        None => println!("discovery:     on every interface"),
        Some(none) if none.is_empty() => println!("discovery:     off"),
        Some(some) => println!("discovery:     on {}", some.join(", ")),
    }
    if config.avs.client_id.is_none() || config.avs.product_id.is_none() {
        println!(
            "alexa:         missing client_id and product_id under [avs]; everything but voice works without"
        );
    } else {
        println!("alexa:         configured; speakers without a token are linked with `antiphon link NAME`");
    }
    for speaker in &config.speakers {
        let at = speaker.endpoint.as_deref().unwrap_or("found by discovery");
        println!("speaker:       {} at {at}", speaker.id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_absolute_or_steps() {
        assert_eq!(volume_body("40").ok(), Some(json!({"volume": 40})));
        assert_eq!(volume_body("+5").ok(), Some(json!({"step": 5})));
        assert_eq!(volume_body("-5").ok(), Some(json!({"step": -5})));
        assert!(volume_body("loud").is_err());
    }

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
