//! The program `antiphon-simulator`: runs a simulator, or drives a running one over its admin API.

mod client;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use antiphon_simulator::{Options, Simulator};
use anyhow::Context;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// An Alexa Voice Service of our own on loopback, for tests, demos and people without an account.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Admin API of the running simulator.
    #[arg(long, global = true, default_value = "http://127.0.0.1:8444", value_name = "URL")]
    at: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a simulator until interrupted.
    Run(Run),
    /// Say a sentence to a device: "set volume to 5", "play demo", "stop", "next", "alarm in 10 seconds", "snooze",
    /// "cancel alarms", "bass up", "switch to AUX 1", "show weather", "tell me TEXT", "ask me TEXT", ...
    Say {
        /// Name or serial number of the device.
        name: String,
        /// The sentence.
        sentence: Vec<String>,
    },
    /// List the devices.
    Devices,
    /// Print what was said to and by a device.
    Transcript {
        /// Name or serial number of the device.
        name: String,
    },
    /// Approve a user code; without one, list those that wait.
    Approve {
        /// The code shown by the device.
        code: Option<String>,
    },
    /// Inject a fault: go-away, tcp-reset, half-close, silence, event-status:503:3, expire-token, split, clear, ...
    Fault {
        /// Name or serial number of the device; "all" for every one.
        name: String,
        /// The fault.
        kind: String,
    },
    /// Send a directive from a JSON file.
    Directive {
        /// Name or serial number of the device.
        name: String,
        /// A file with {"directive":{"header":…,"payload":…}}.
        file: PathBuf,
        /// ID=FILE: attach the file under this content id; may be repeated.
        #[arg(long, value_name = "ID=FILE")]
        attach: Vec<String>,
    },
    /// Prepare the answer to the device's next spoken request.
    Hear(Hear),
    /// Print what devices did against the rules.
    Violations,
}

#[derive(clap::Args)]
struct Hear {
    /// Name or serial number of the device.
    name: String,
    /// What the user will have said: a sentence as `say` understands it.
    sentence: Vec<String>,
    /// When enough was heard: usual (1 s), never, bytes:N, ms:N, silence:MS.
    #[arg(long, default_value = "usual")]
    stop: String,
    /// It will have been no wake word.
    #[arg(long)]
    false_wake: bool,
    /// Nothing comes of it (204).
    #[arg(long)]
    nothing: bool,
    /// Send StopCapture on the downchannel.
    #[arg(long)]
    downchannel: bool,
    /// Send StopCapture without dialogRequestId.
    #[arg(long)]
    untagged: bool,
    /// Frame the answer by RequestProcessingStarted and RequestProcessingCompleted.
    #[arg(long)]
    processing: bool,
    /// Ask back: ExpectSpeech with this time-out, milliseconds.
    #[arg(long, value_name = "MS")]
    expect: Option<u64>,
    /// Answer by the directives of this JSON file instead: one {"directive":…} or a list of them.
    #[arg(long)]
    file: Option<PathBuf>,
    /// ID=FILE: attach the file under this content id; may be repeated.
    #[arg(long, value_name = "ID=FILE")]
    attach: Vec<String>,
}

#[derive(clap::Args)]
struct Run {
    /// TLS + HTTP/2 port: gateway, LWA, Capabilities.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Plain HTTP port: media and admin API.
    #[arg(long, default_value = "127.0.0.1:8444")]
    admin: SocketAddr,
    /// Folder for ca.pem and the tracks.
    #[arg(long, default_value = "simulator")]
    folder: PathBuf,
    /// Life of access tokens, seconds.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    token_lifetime: u64,
    /// Age at which connections are sent away, seconds.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    max_age: u64,
    /// Approve every user code at once, and every authorization request.
    #[arg(long)]
    approve_all: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Run(run) => serve(run).await,
        command => client::drive(&arguments.at, command).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("antiphon-simulator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(run: Run) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut options = Options::new(run.folder);
    options.listen = run.listen;
    options.admin = run.admin;
    options.make_media = true;
    options.token_lifetime = Duration::from_secs(run.token_lifetime);
    options.max_age = Some(Duration::from_secs(run.max_age));
    options.approve_all = run.approve_all;
    options.allow_all = run.approve_all;
    // A device need not declare itself again because this program was restarted.
    options.require_declaration = false;
    let simulator = Simulator::start(options).await?;
    println!("gateway {}", simulator.gateway());
    println!("admin {}", simulator.admin());
    println!("ca {}", simulator.ca_file().display());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("cannot wait for SIGTERM")?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.context("cannot wait for an interrupt")?,
        _ = terminate.recv() => {}
    }
    simulator.stop().await;
    Ok(())
}
