//! The command line. `run`, `demo` and `check` are the hub itself; the others talk to a running one.

mod device;
mod link;
mod listen;
mod timing;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context;
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
    /// With `speakers`, `alarms`, `equalizer`, `sync` and `pair`: print JSON, for scripts.
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
        #[arg(allow_hyphen_values = true)]
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
        #[arg(allow_hyphen_values = true)]
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
        #[arg(allow_hyphen_values = true)]
        group: String,
        /// Its speakers, by id or name; the first one's level and content become the group's.
        #[arg(allow_hyphen_values = true)]
        speakers: Vec<String>,
    },
    /// Play a stream.
    Play {
        /// A speaker or group, by id or name. A speaker's group plays with it.
        #[arg(allow_hyphen_values = true)]
        name: String,
        /// An http or https URL: MP3, AAC, Opus, Vorbis, FLAC or WAV.
        url: String,
    },
    /// Stop what a speaker or group plays, and silence what rings there.
    Stop {
        /// A speaker or group, by id or name.
        #[arg(allow_hyphen_values = true)]
        name: String,
    },
    /// Link a speaker to an Amazon account: shows a code to enter.
    Link(link::Arguments),
    /// Give a speaker's account up: tokens, alarms and settings of its Alexa device are erased.
    Logout {
        /// A speaker, by id or name.
        #[arg(allow_hyphen_values = true)]
        name: String,
    },
    /// Let a speaker hear speech from a file, or from standard input as it comes.
    Listen(listen::Arguments),
    /// Show alarms, timers and reminders; or silence them, or say how loud they are.
    Alarms {
        /// A speaker, by id or name; absent: all.
        #[arg(allow_hyphen_values = true)]
        name: Option<String>,
        #[command(subcommand)]
        action: Option<device::AlarmAction>,
    },
    /// Press a key of a speaker's remote control: Alexa decides what it does.
    Press {
        /// A speaker, by id or name.
        #[arg(allow_hyphen_values = true)]
        name: String,
        /// The key; `shuffle` to `thumbs-down` are switches.
        #[arg(value_parser = device::KEYS)]
        key: String,
        /// With a switch: `on` or `off`.
        #[arg(default_value = "on", value_parser = ["on", "off"])]
        switch: String,
    },
    /// Show or set a speaker's tone: `bass +2 treble -1`, `mode movie`, `mode none`, `flat`.
    Equalizer {
        /// A speaker, by id or name.
        #[arg(allow_hyphen_values = true)]
        name: String,
        /// Bands with their level in dB (-6 to 6), `mode MODE`, or `flat`; nothing: show it.
        #[arg(allow_hyphen_values = true)]
        settings: Vec<String>,
    },
    /// Show or set how much later than the others a speaker is heard, in ms; below 0 earlier.
    Offset {
        /// A speaker, by id or name.
        #[arg(allow_hyphen_values = true)]
        name: String,
        /// -1000 to 1000; nothing: show it.
        #[arg(allow_hyphen_values = true)]
        ms: Option<i64>,
    },
    /// Have a group be as quick as its speakers can, from its next stream on.
    LowLatency {
        /// A speaker or group, by id or name.
        #[arg(allow_hyphen_values = true)]
        name: String,
        /// `on` or `off`.
        #[arg(default_value = "on", value_parser = ["on", "off"])]
        switch: String,
    },
    /// Show how well speakers keep time.
    Sync,
    /// Show which receivers ask to be let in, or answer one.
    Pair {
        /// A receiver, by id or name; absent: show all.
        #[arg(allow_hyphen_values = true)]
        name: Option<String>,
        /// The code it shows, or `approve`, `refuse`, `unpair`; absent: approve.
        #[arg(value_name = "CODE|approve|refuse|unpair", allow_hyphen_values = true)]
        answer: Option<String>,
    },
    /// Play one of the hub's inputs.
    Input {
        /// A speaker, by id or name.
        #[arg(allow_hyphen_values = true)]
        name: String,
        /// The input, by its name in Alexa's list or as people call it.
        input: String,
    },
    /// Say which language a speaker is spoken to in; two are spoken in turn.
    Locale {
        /// A speaker, by id or name.
        #[arg(allow_hyphen_values = true)]
        name: String,
        /// For example `de-DE`, or `en-US es-US`.
        #[arg(required = true)]
        locales: Vec<String>,
    },
    /// Say in which time zone a speaker lives.
    TimeZone {
        /// A speaker, by id or name.
        #[arg(allow_hyphen_values = true)]
        name: String,
        /// For example `Europe/Berlin`.
        zone: String,
    },
}

impl Cli {
    /// What was typed: ends the process with the reason, or with help, where that is no command.
    pub fn read() -> Self {
        Self::parse_from(options_first(std::env::args_os().collect()))
    }

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
            Command::Link(arguments) => link::run(&client, arguments)?,
            Command::Logout { name } => {
                client.ask(reqwest::Method::DELETE, &["api", "speakers", name, "link"], None)?;
            }
            Command::Listen(arguments) => listen::run(&client, arguments)?,
            Command::Alarms { name, action } => {
                device::alarms(&client, name.as_deref(), action.as_ref(), self.json)?;
            }
            Command::Press { name, key, switch } => device::press(&client, name, key, switch == "on")?,
            Command::Equalizer { name, settings } => device::equalizer(&client, name, settings, self.json)?,
            Command::Offset { name, ms } => timing::offset(&client, name, *ms)?,
            Command::LowLatency { name, switch } => {
                timing::low_latency(&client, place(name)?, name, switch == "on")?;
            }
            Command::Sync => timing::sync(&client, self.json)?,
            Command::Pair { name, answer } => {
                timing::pair(&client, name.as_deref(), answer.as_deref(), self.json)?;
            }
            Command::Input { name, input } => {
                device::put(&client, name, &["input"], json!({ "input": input }))?;
            }
            Command::Locale { name, locales } => {
                device::put(&client, name, &["locale"], json!({ "locales": locales }))?;
            }
            Command::TimeZone { name, zone } => {
                device::put(&client, name, &["time-zone"], json!({ "time_zone": zone }))?;
            }
            Command::Run { .. } | Command::Demo | Command::Check { .. } => {}
        }
        Ok(())
    }
}

/// The options that every command has, moved before the command. Ids may begin with a dash, so that behind a list of
/// them an option would be taken for one more.
fn options_first(mut typed: Vec<OsString>) -> Vec<OsString> {
    let end = typed.iter().position(|argument| argument == "--").unwrap_or(typed.len());
    let rest = typed.split_off(end);
    let (mut moved, mut kept) = (Vec::new(), Vec::new());
    let mut arguments = typed.into_iter();
    let program = arguments.next();
    while let Some(argument) = arguments.next() {
        let hub = argument == "--hub";
        if hub || argument == "--json" || argument.as_encoded_bytes().starts_with(b"--hub=") {
            moved.push(argument);
            if hub {
                moved.extend(arguments.next());
            }
        } else {
            kept.push(argument);
        }
    }
    program.into_iter().chain(moved).chain(kept).chain(rest).collect()
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
mod tests;
