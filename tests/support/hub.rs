//! A whole hub on this machine: the simulated Alexa service, and the hub against it with virtual speakers that write
//! what they play into WAV files. The hub runs in this process, or as the program that people run where a test must
//! kill it. Everything it opens is a loopback port of its own; discovery is off, so nothing is multicast.
#![allow(clippy::expect_used, reason = "a test ends where something is not as it must be")]

use super::patience::wait_for;
#[allow(unused_imports, reason = "as in the module above: each test uses its own part")]
pub use super::sound::{RATE, Sound, level_at, play};
use antiphon_endpoint::Kind;
use antiphon_simulator::{Entry, Options, Outgoing, Simulator};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long anything may take that should take a moment; the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What is to be started.
pub struct Setup {
    speakers: Vec<String>,
    /// Keys for single speakers: id, lines for its table.
    tables: Vec<(String, String)>,
    more: String,
    program: bool,
    kind: Option<Arc<dyn Kind>>,
    options: Box<dyn FnOnce(&mut Options)>,
}

impl Setup {
    /// Speakers with these ids, letters and digits (each is its serial number too), every one linked and alone.
    pub fn new(speakers: &[&str]) -> Self {
        Self {
            speakers: speakers.iter().map(|s| (*s).to_owned()).collect(),
            tables: Vec::new(),
            more: String::new(),
            program: false,
            kind: None,
            options: Box::new(|_| {}),
        }
    }

    /// All of them in the group `all`.
    pub fn grouped(self) -> Self {
        let list = format!("{:?}", self.speakers);
        self.with(&format!("[[groups]]\nid = \"all\"\nspeakers = {list}\n"))
    }

    /// More of the configuration, such as `[voice]` or `[avs.timers]`.
    pub fn with(mut self, more: &str) -> Self {
        self.more.push_str(more);
        self.more.push('\n');
        self
    }

    /// More lines for the table of one speaker.
    pub fn speaker(mut self, id: &str, lines: &str) -> Self {
        self.tables.push((id.to_owned(), lines.to_owned()));
        self
    }

    /// Run the hub as a program of its own.
    pub fn program(mut self) -> Self {
        self.program = true;
        self
    }

    /// Let all speakers be endpoints of this kind of the test's own, instead of `virtual`; in this process only.
    pub fn with_kind(mut self, kind: Arc<dyn Kind>) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Change the simulator.
    pub fn with_simulator(mut self, change: impl FnOnce(&mut Options) + 'static) -> Self {
        self.options = Box::new(change);
        self
    }

    /// Starts both; returns when every speaker is linked and the configured group is there.
    pub fn start(self) -> Hub {
        let grouped = self.more.contains("[[groups]]");
        let hub = self.start_unlinked();
        hub.wait_linked();
        if grouped {
            hub.wait_picture("the group is formed", |p| {
                p["groups"].as_array().is_some_and(|g| g.iter().any(|g| g["id"] == "all"))
            });
        }
        hub
    }

    /// Starts both; returns when the hub answers.
    pub fn start_unlinked(self) -> Hub {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads");
        let mut options = Options::new(folder.path().join("alexa"));
        (self.options)(&mut options);
        let simulator = runtime.block_on(Simulator::start(options)).expect("the simulator starts");
        let gateway = simulator.gateway();
        let mut text = format!(
            "data_dir = \"state\"\n[http]\nlisten = \"127.0.0.1:0\"\n[discovery]\ninterfaces = []\n\
             [avs]\ngateway = {gateway:?}\nlwa = {gateway:?}\ncapabilities = {gateway:?}\n\
             authorize = \"{gateway}/ap/oa\"\nca_file = {ca:?}\n\
             client_id = \"amzn1.application-oa2-client.test\"\nproduct_id = \"antiphon_test\"\n{more}\n",
            ca = simulator.ca_file(),
            more = self.more,
        );
        let kind = self.kind.as_ref().map_or("virtual", |kind| kind.name());
        for id in &self.speakers {
            let own: String =
                self.tables.iter().filter(|(of, _)| of == id).map(|(_, lines)| lines.as_str()).collect();
            let wav = folder.path().join(format!("{id}.wav"));
            let token = if own.contains("refresh_token") || own.contains("unlinked") {
                String::new()
            } else {
                format!("refresh_token = \"Atzr|{id}\"\n")
            };
            text.push_str(&format!(
                "[[speakers]]\nid = \"{id}\"\nendpoint = \"{kind}:{}\"\nserial_number = \"{id}\"\n{token}{own}\n",
                wav.display(),
            ));
        }
        let config = folder.path().join("antiphon.toml");
        std::fs::write(&config, text).expect("the configuration is written");
        let life = if self.program { Life::program(&config) } else { Life::inside(&config, self.kind) };
        Hub {
            life,
            simulator: Some(simulator),
            runtime,
            speakers: self.speakers,
            config,
            client: client(),
            folder,
        }
    }
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

/// A running hub, its service, and what its speakers play.
pub struct Hub {
    life: Life,
    simulator: Option<Simulator>,
    runtime: Runtime,
    speakers: Vec<String>,
    config: PathBuf,
    client: reqwest::Client,
    // Last: the others write into it.
    folder: tempfile::TempDir,
}

enum Life {
    Inside(Option<Box<antiphon::Running>>),
    Program { child: Child, http: String },
}

impl Life {
    fn inside(config: &Path, kind: Option<Arc<dyn Kind>>) -> Self {
        let config = antiphon::config::Config::load(config).expect("the configuration is right");
        Self::Inside(Some(Box::new(
            antiphon::start_with(&config, kind.into_iter().collect()).expect("the hub starts"),
        )))
    }

    fn program(config: &Path) -> Self {
        let log = config.with_extension("log");
        // A test that reads it may want more: `# log: debug` in its configuration.
        let all = std::fs::read_to_string(config).is_ok_and(|text| text.contains("# log: debug"));
        let file = File::create(&log).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_antiphon"))
            .args(["run", "--config"])
            .arg(config)
            .env("NO_COLOR", "1")
            .env("ANTIPHON_LOG", if all { "debug" } else { "info" })
            .stderr(file)
            .spawn()
            .expect("the hub's program starts");
        let address = wait_for(PATIENCE, || {
            let text = std::fs::read_to_string(&log).ok()?;
            let line = text.lines().find(|line| line.contains("the hub is up"))?;
            Some(line.split("http=").nth(1)?.split_whitespace().next()?.to_owned())
        });
        let text = || std::fs::read_to_string(&log).unwrap_or_default();
        let http =
            format!("http://{}", address.unwrap_or_else(|| panic!("the hub did not come up:\n{}", text())));
        Self::Program { child, http }
    }

    fn end(&mut self, signal: Signal) -> Option<ExitStatus> {
        match self {
            Self::Inside(running) => {
                drop(running.take());
                None
            }
            Self::Program { child, .. } => {
                if let Some(pid) = Pid::from_raw(child.id() as i32)
                    && matches!(child.try_wait(), Ok(None))
                {
                    kill_process(pid, signal).expect("the signal is sent");
                }
                Some(child.wait().expect("the hub ends"))
            }
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.life.end(Signal::KILL);
        if let Some(simulator) = self.simulator.take() {
            self.runtime.block_on(simulator.kill());
        }
    }
}

impl Hub {
    /// The simulated service.
    pub fn simulator(&self) -> &Simulator {
        self.simulator.as_ref().unwrap_or_else(|| panic!("the simulator was ended"))
    }

    /// Waits for an answer of the simulator.
    pub fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }

    /// Ends the simulator as kill -9 would, and starts it again at the same ports; `between` happens meanwhile.
    pub fn restart_simulator(&mut self, between: impl FnOnce(&mut Self)) {
        let old = self.simulator.take().expect("it runs");
        let port =
            |url: String| url.split_once("://").and_then(|(_, at)| at.parse().ok()).expect("an address");
        let (listen, admin) = (port(old.gateway()), port(old.admin()));
        self.runtime.block_on(old.kill());
        between(self);
        let mut options = Options::new(self.folder.path().join("alexa"));
        (options.listen, options.admin) = (listen, admin);
        // Capabilities are remembered by the real service.
        options.require_declaration = false;
        let started = wait_for(PATIENCE, || self.runtime.block_on(Simulator::start(options.clone())).ok());
        self.simulator = Some(started.expect("the simulator returns"));
    }

    /// The file the hub was configured by.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The folder all of this lives in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the hub answers.
    pub fn http(&self) -> String {
        match &self.life {
            Life::Inside(running) => format!("http://{}", running.as_ref().expect("it runs").http),
            Life::Program { http, .. } => http.clone(),
        }
    }

    /// What surfaces hold, of a hub in this process.
    pub fn handle(&self) -> antiphon_actors::HubHandle {
        match &self.life {
            Life::Inside(running) => running.as_ref().expect("it runs").handle.clone(),
            Life::Program { .. } => panic!("that hub is a program of its own"),
        }
    }

    /// Ends the hub's program: by SIGKILL, or SIGTERM and its farewell. Then `start_again`.
    pub fn end(&mut self, signal: Signal) -> Option<ExitStatus> {
        self.life.end(signal)
    }

    /// Starts the hub's program anew. Its speakers' recordings begin anew too: read them before.
    pub fn start_again(&mut self) {
        for id in &self.speakers {
            // What was heard before must not be taken for what is heard next; not every speaker has played.
            let _ = std::fs::remove_file(self.folder.path().join(format!("{id}.wav")));
        }
        self.life = Life::program(&self.config);
    }

    /// Ends a hub in this process in order, and starts it anew with this kind.
    pub fn begin_again(&mut self, kind: Arc<dyn Kind>) {
        self.life.end(Signal::TERM);
        self.life = Life::inside(&self.config, Some(kind));
    }

    /// What the program `antiphon ARGUMENTS` makes of this hub.
    pub fn antiphon(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
        command.arg("--hub").arg(self.http()).args(arguments);
        command
    }

    /// Asks the API: status and JSON (null where there is none).
    pub fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.http());
        let method = method.parse().expect("a method");
        self.wait(async {
            let mut request = self.client.request(method, url);
            if let Some(body) = body {
                request = request.json(&body);
            }
            let answer = request.send().await.expect("the hub answers");
            let status = answer.status().as_u16();
            (status, serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or(Value::Null))
        })
    }

    /// The page for Prometheus.
    pub fn metrics(&self) -> String {
        let page = self.client.get(format!("{}/metrics", self.http()));
        self.wait(async { page.send().await.expect("the hub answers").text().await.expect("a page") })
    }

    /// Has the API do something; it must agree.
    pub fn api(&self, method: &str, path: &str, body: Value) {
        let (status, answer) = self.ask(method, path, Some(body));
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    }

    /// The whole picture.
    pub fn picture(&self) -> Value {
        self.ask("GET", "/api/hub", None).1
    }

    /// Waits for a picture.
    pub fn wait_picture(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = wait_for(PATIENCE, || {
            last = self.picture();
            wanted(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("waited in vain: {what}; the hub shows {last:#}"))
    }

    /// Waits until every speaker holds a synchronised connection and the hub shows it.
    pub fn wait_linked(&self) {
        for id in &self.speakers {
            self.wait(self.simulator().wait_connected(id, PATIENCE)).expect("linked");
        }
        self.wait_picture("all are linked", |picture| {
            let speakers = picture["speakers"].as_array().cloned().unwrap_or_default();
            speakers.len() == self.speakers.len()
                && speakers.iter().all(|s| s["link"]["state"] == "connected")
        });
    }

    /// One speaker of the picture.
    pub fn speaker(&self, id: &str) -> Value {
        self.ask("GET", &format!("/api/speakers/{id}"), None).1
    }

    /// A speaker's volume in the picture.
    pub fn volume(&self, id: &str) -> Option<u64> {
        self.speaker(id)["volume"].as_u64()
    }

    /// Sets volumes one by one, each as that speaker's own wish.
    pub fn set_alone(&self, volumes: &[(&str, u64)]) {
        for (id, volume) in volumes {
            let mark = self.simulator().mark(id);
            // Nobody has said how loud it is: then it is at the safe level.
            let changes = self.volume(id).unwrap_or(40) != *volume;
            let body = json!({ "volume": volume, "scope": "speaker" });
            self.api("POST", &format!("/api/speakers/{id}/volume"), body);
            // Told by its event: later marks are behind it.
            if changes && self.speaker(id)["link"]["state"] == "connected" {
                self.event(id, mark, "Speaker", "VolumeChanged");
            }
            self.wait_picture("the volume is set", |_| self.volume(id) == Some(*volume));
        }
    }

    /// Says a sentence to a speaker.
    pub fn say(&self, id: &str, sentence: &str) {
        self.wait(self.simulator().say(id, sentence)).expect("said");
    }

    /// Sends a directive.
    pub fn send(&self, id: &str, namespace: &str, name: &str, payload: Value) {
        self.wait(self.simulator().send(id, Outgoing::new(namespace, name, payload))).expect("sent");
    }

    /// Waits for an event at or after `from`.
    pub fn event(&self, id: &str, from: u64, namespace: &str, name: &str) -> Arc<Entry> {
        self.wait(self.simulator().wait_for_event(id, from, namespace, name, PATIENCE))
            .expect("the event comes")
    }

    /// The events of one interface at or after `from`: names in order.
    pub fn events(&self, id: &str, from: u64, namespace: &str) -> Vec<String> {
        let entries = self.simulator().transcript(id);
        let ours = entries
            .iter()
            .filter(|e| e.index >= from && e.namespace == namespace && e.is_event(&e.namespace, &e.name));
        ours.map(|e| e.name.clone()).collect()
    }

    /// The DSNs and what each did against the rules: nothing.
    pub fn assert_no_violations(&self) {
        let violations = self.simulator().violations();
        assert!(violations.is_empty(), "{violations:#?}");
    }
}
