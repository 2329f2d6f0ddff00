//! A whole house in the lab: on one host a simulated Alexa service and the hub itself, run as the program that people
//! run, against it. Receivers live on other hosts.
//!
//! The simulator is in this process, on threads that belong to the host's network, so that a test can ask it anything.
//! The hub listens where it does by default; what it prints goes to `hub.log` in the lab's folder.

use super::lab::Lab;
use super::lab::error::{LabError, LabResult};
use super::lab::process::Process;
use super::lab::rack::with_priority;
use super::patience::wait_for;
use antiphon_simulator::{Options, Simulator};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Where the hub answers on its host.
pub const HUB: &str = "http://127.0.0.1:8780";

/// The service and the hub. Drop it before the lab.
pub struct House {
    hub: Process,
    host: String,
    config: PathBuf,
    simulator: Option<Simulator>,
    runtime: Runtime,
}

impl House {
    /// Starts both on `host`, the hub with `more` as the rest of its configuration: `[discovery]`, `[[speakers]]` and
    /// so on; `[avs]` and `data_dir` are written here. A speaker's `refresh_token = "Atzr|DSN"` makes it linked as
    /// device DSN. Returns when the hub answers.
    pub fn start(lab: &Lab, host: &str, more: &str) -> LabResult<Self> {
        let trouble = |what: &str, e: &dyn std::fmt::Display| LabError::failed(what, e);
        let runtime = lab.within(host, || {
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
        })?;
        let runtime = runtime.map_err(|e| trouble("start the simulator's threads", &e))?;
        let options = Options::new(lab.folder().join("alexa"));
        // Its sockets must be made inside; later ones come from them.
        let simulator = lab.within(host, || runtime.block_on(Simulator::start(options)))?;
        let simulator = simulator.map_err(|e| trouble("start the simulator", &e))?;
        let gateway = simulator.gateway();
        let text = format!(
            "data_dir = {state:?}\n\
             [avs]\ngateway = {gateway:?}\nlwa = {gateway:?}\ncapabilities = {gateway:?}\nca_file = {ca:?}\n\
             client_id = \"amzn1.application-oa2-client.lab\"\nproduct_id = \"antiphon_lab\"\n{more}\n",
            state = lab.folder().join("state"),
            ca = simulator.ca_file(),
        );
        let config = lab.folder().join("antiphon.toml");
        std::fs::write(&config, text).map_err(|e| trouble("write the hub's configuration", &e))?;
        let hub = start_hub(lab, host, &config)?;
        Ok(Self { hub, host: host.to_owned(), config, simulator: Some(simulator), runtime })
    }

    /// The simulated service.
    pub fn simulator(&self) -> &Simulator {
        self.simulator.as_ref().unwrap_or_else(|| panic!("the simulator was ended"))
    }

    /// Waits for an answer of the simulator.
    pub fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }

    /// The hub's process: to kill or freeze it, to read its log and its use of the machine.
    pub fn hub(&mut self) -> &mut Process {
        &mut self.hub
    }

    /// The last that the hub printed.
    pub fn hub_log(&self) -> String {
        self.hub.log_tail()
    }

    /// Starts the hub again after it was ended.
    pub fn start_hub_again(&mut self, lab: &Lab) -> LabResult<()> {
        self.hub.stop(Duration::from_secs(5));
        self.hub = start_hub(lab, &self.host, &self.config)?;
        Ok(())
    }

    /// What the hub answers to a GET of `path`, such as `/api/hub`, as JSON.
    pub fn get(&self, lab: &Lab, path: &str) -> LabResult<Value> {
        let (status, body) = lab.get(&self.host, &format!("{HUB}{path}"))?;
        match (status, serde_json::from_str(&body)) {
            (200, Ok(value)) => Ok(value),
            (200, Err(e)) => Err(LabError::failed(format!("read {path}"), format!("{e}: {body}"))),
            _ => Err(LabError::failed(format!("get {path}"), format!("{status}: {body}"))),
        }
    }

    /// What `antiphon ARGUMENTS` prints on the hub's host.
    pub fn antiphon(&self, lab: &Lab, arguments: &[&str]) -> LabResult<String> {
        lab.output(lab.command(&self.host, env!("CARGO_BIN_EXE_antiphon")).args(arguments))
    }

    /// Waits until the hub's picture (`/api/hub`) is as wanted; answers it, or the last one as the trouble.
    pub fn wait_for_picture(
        &self,
        lab: &Lab,
        what: &str,
        patience: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> LabResult<Value> {
        let mut last = Value::Null;
        let found = wait_for(patience, || {
            last = self.get(lab, "/api/hub").ok()?;
            wanted(&last).then(|| last.clone())
        });
        found.ok_or_else(|| LabError::failed(what, format!("{last:#}\n{}", self.hub.log_tail())))
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.hub.stop(Duration::from_secs(5));
        if let Some(simulator) = self.simulator.take() {
            self.runtime.block_on(simulator.stop());
        }
    }
}

fn start_hub(lab: &Lab, host: &str, config: &PathBuf) -> LabResult<Process> {
    // As the players have it: beside a busy neighbour the sound is judged, not the machine.
    let program = with_priority(env!("CARGO_BIN_EXE_antiphon"));
    let mut command = lab.command(host, program.get_program());
    command.args(program.get_args()).arg("run").arg("--config").arg(config).env("RUST_BACKTRACE", "1");
    let mut hub = lab.spawn("hub", command)?;
    hub.ready(Duration::from_secs(20), || lab.listening(host).contains(&8780).then_some(()))?;
    Ok(hub)
}
