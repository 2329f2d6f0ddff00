//! The configuration file: read once, checked whole, told wrong with file, line, key and what was expected.
//!
//! `deploy/antiphon.toml` shows every key; a test loads it, so that it stays true.

mod checks;
mod tables;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use antiphon_domain::SpeakerId;
use antiphon_endpoint::Kind;
use antiphon_link::AvsSettings;
use serde::Deserialize;

pub use tables::{
    Airplay, Bluetooth, Discovery, Encryption, Group, Http, Input, Login, Pulse, Scope, Sendspin, Snapcast,
    SnapcastCodec, Speaker, Unpaired, Voice,
};

/// Everything the file can say. Every part has defaults; an empty file is a hub without Amazon that finds speakers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the hub remembers things; relative to the file. Default `state`.
    pub data_dir: Option<PathBuf>,
    /// The HTTP surface.
    pub http: Http,
    /// Where to look for speakers.
    pub discovery: Discovery,
    /// The Alexa Voice Service, for every speaker that does not say otherwise.
    pub avs: AvsSettings,
    /// What voice commands reach.
    pub voice: Voice,
    /// How people log in to Amazon.
    pub login: Login,
    /// The AirPlay kind.
    pub airplay: Airplay,
    /// The Sendspin kind.
    pub sendspin: Sendspin,
    /// The Snapcast kind.
    pub snapcast: Snapcast,
    /// The PulseAudio kind.
    pub pulse: Pulse,
    /// The machine's Bluetooth adapter.
    pub bluetooth: Bluetooth,
    /// What speakers may play besides streams.
    pub inputs: Vec<Input>,
    /// Configured speakers, and settings for discovered ones.
    pub speakers: Vec<Speaker>,
    /// Groups to form when the hub has never seen them.
    pub groups: Vec<Group>,
    #[serde(skip)]
    source: Source,
}

/// The file as it was read, to point into it.
#[derive(Clone, Default)]
struct Source {
    file: PathBuf,
    text: String,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text may hold tokens.
        write!(f, "{}", self.file.display())
    }
}

/// Where systemd tells a service its state folder is (systemd.exec, StateDirectory=).
const STATE: &str = "STATE_DIRECTORY";

/// A file that cannot be used: where, what, and what was expected.
#[derive(Debug)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Line from 1, where one is to blame.
    pub line: Option<usize>,
    /// The key on that line, where there is one.
    pub key: Option<String>,
    /// What was expected.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads and checks a file; paths in it become relative to its folder.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|e| ConfigError {
            file: file.into(),
            line: None,
            key: None,
            problem: format!("cannot be read: {e}"),
        })?;
        let mut config = Self::parse(&text, file)?;
        let folder = file.parent().unwrap_or(Path::new("")).to_path_buf();
        let anchor = |path: &mut Option<PathBuf>| {
            if let Some(relative) = path.as_mut() {
                *relative = folder.join(&*relative);
            }
        };
        if std::env::var_os(STATE).is_none() {
            config.data_dir.get_or_insert_with(|| "state".into());
        }
        anchor(&mut config.data_dir);
        anchor(&mut config.avs.ca_file);
        anchor(&mut config.pulse.cookie);
        for speaker in &mut config.speakers {
            anchor(&mut speaker.avs.ca_file);
        }
        Ok(config)
    }

    /// Parses a text; `file` is only named in errors.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let config: Config = toml::from_str(text).map_err(|e| {
            let at = e.span().map(|span| place(text, span.start));
            ConfigError {
                file: file.into(),
                line: at.as_ref().map(|(line, _)| *line),
                key: at.and_then(|(_, key)| key),
                problem: e.message().to_string(),
            }
        })?;
        let mut config = config;
        config.source = Source { file: file.into(), text: text.into() };
        config.check().map_err(|(at, problem)| config.error(at, problem))?;
        Ok(config)
    }

    /// What is wrong with a key (or `key = "value"`) of the file.
    fn error(&self, at: String, problem: String) -> ConfigError {
        // The last such line: of two alike it is the second that is one too many.
        let line = self.source.text.lines().collect::<Vec<_>>().iter().rposition(|line| sets(line, &at));
        ConfigError { file: self.source.file.clone(), line: line.map(|l| l + 1), key: Some(at), problem }
    }

    /// Checks that some kind knows each configured endpoint.
    pub(crate) fn check_endpoints(&self, kinds: &[Arc<dyn Kind>]) -> Result<(), ConfigError> {
        for speaker in &self.speakers {
            let Some(text) = &speaker.endpoint else { continue };
            let id = SpeakerId::new(speaker.id.clone());
            let known = kinds.iter().find_map(|kind| kind.configured(text, &id, &speaker.id));
            let problem = match known {
                Some(Ok(_)) => continue,
                Some(Err(bad)) => format!("expected {}", bad.expected),
                None => "expected virtual:, virtual:FILE.wav, airplay://HOST:PORT, pulse://HOST:PORT/SINK, \
                         pulse:SINK, sendspin://HOST:PORT, rtp://ADDRESS:PORT or local:"
                    .into(),
            };
            return Err(self.error(format!("endpoint = {text:?}"), problem));
        }
        Ok(())
    }

    /// Where the hub remembers things: as configured, else where the service manager says, else `state` beside the file
    /// (or here, without a file).
    pub fn data_dir(&self) -> PathBuf {
        let given = || std::env::var_os(STATE).map(PathBuf::from);
        self.data_dir.clone().or_else(given).unwrap_or_else(|| PathBuf::from("state"))
    }
}

/// Whether a line sets this key, or this key to this value.
fn sets(line: &str, at: &str) -> bool {
    let line: String = line.split_whitespace().collect::<Vec<_>>().join(" ");
    line == at || line.split_once('=').is_some_and(|(key, _)| key.trim() == at)
}

/// The line (from 1) of a byte offset, and the key set on that line.
fn place(text: &str, offset: usize) -> (usize, Option<String>) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let content = text.lines().nth(line - 1).unwrap_or("");
    let key = content.split_once('=').map(|(key, _)| key.trim().to_string());
    (line, key.or_else(|| content.trim().starts_with('[').then(|| content.trim().to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        Config::parse(text, Path::new("a.toml")).map(|_| String::new()).unwrap_or_else(|e| e.to_string())
    }

    #[test]
    fn an_empty_file_is_a_hub() {
        assert_eq!(problem(""), "");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let text = "data_dir = \"x\"\n[http]\nlisten = \"nowhere\"\n";
        let said = problem(text);
        assert!(said.starts_with("a.toml:3: listen: "), "{said}");
        let said = problem("[avs]\nregion = \"mars\"\n");
        assert!(said.starts_with("a.toml:2: region: expected"), "{said}");
        let said = problem("[avs]\ngate = \"x\"\n");
        assert!(said.starts_with("a.toml:2: gate: unknown field"), "{said}");
        let said = problem("[[speakers]]\nid = \"k\"\nceiling = 101\n");
        assert!(said.contains("a.toml:3: ceiling") && said.contains("0 to 100"), "{said}");
        let said = problem("[[speakers]]\nid = \"k\"\n[[speakers]]\nid = \"k\"\n");
        assert!(said.contains("no other speaker"), "{said}");
    }
}
