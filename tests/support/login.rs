//! Logging in as people and their programs do: a browser without a mind of its own, a companion app, and a look into
//! what the hub keeps on disk.
#![allow(clippy::expect_used, reason = "a test ends where something is not as it must be")]

use super::hub::{Hub, PATIENCE};
use super::patience::{eventually, wait_for};
use reqwest::Url;
use reqwest::header::LOCATION;
use serde_json::{Value, json};
use std::path::Path;

/// Short delays, where Login with Amazon fails on purpose.
pub const QUICK: &str = "[avs.timers]\npoll_least_s = 0.2\nlwa_delays_s = [0.05, 0.1]\nlinger_s = 0.3\n";

/// The hub's own client id.
pub const CLIENT: &str = "amzn1.application-oa2-client.test";

/// Where the companion app of these tests is reached.
pub const APP: &str = "amzn://com.example.app";

/// What a browser got.
pub struct Page {
    pub status: u16,
    /// Where it is sent, if anywhere.
    pub to: String,
    pub kind: String,
    pub text: String,
}

/// A parameter of a URL.
pub fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).expect("a URL");
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

impl Hub {
    /// Opens a page without following where it sends.
    pub fn browse(&self, method: &str, url: &str) -> Page {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = client.build().expect("a client");
        let url = if url.starts_with('/') { format!("{}{url}", self.http()) } else { url.into() };
        self.wait(async {
            let answer = client.request(method.parse().expect("a method"), url).send().await;
            let answer = answer.expect("the hub answers");
            let header =
                |name| answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
            let (to, kind) = (header(LOCATION), header(reqwest::header::CONTENT_TYPE));
            Page { status: answer.status().as_u16(), to, kind, text: answer.text().await.expect("a page") }
        })
    }

    /// Waits until these speakers are here and could be linked: a hub answers before it has them all.
    pub fn here(self, ids: &[&str]) -> Self {
        self.wait_picture("all speakers are here", |picture| {
            let speakers = picture["speakers"].as_array().cloned().unwrap_or_default();
            ids.iter().all(|id| speakers.iter().any(|s| s["id"] == *id && s["link"]["state"] != "off"))
        });
        self
    }

    /// What an app needs to know, and where it sends the person who is to allow it.
    pub fn app_asks(&self, id: &str, client: &str) -> String {
        let (status, needed) = self.ask("POST", &format!("/api/speakers/{id}/link/app"), None);
        assert_eq!(status, 200, "{needed}");
        let field = |key: &str| needed[key].as_str().expect("a text").to_owned();
        let mut url = Url::parse(&format!("{}/ap/oa", self.simulator().gateway())).expect("a URL");
        url.query_pairs_mut()
            .append_pair("client_id", client)
            .append_pair("scope", &field("scope"))
            .append_pair("scope_data", &field("scope_data"))
            .append_pair("response_type", "code")
            .append_pair("redirect_uri", APP)
            .append_pair("state", "the app's own")
            .append_pair("code_challenge", &field("code_challenge"))
            .append_pair("code_challenge_method", &field("code_challenge_method"));
        url.into()
    }

    /// The code that Login with Amazon gives for a request that a person allows.
    pub fn allowed(&self, url: &str) -> String {
        let back = self.simulator().allow(url).expect("allowed");
        parameter(&back, "code").expect("a code")
    }

    /// The app hands a code in: status and answer.
    pub fn hand_in(&self, id: &str, code: &str, client: &str, redirect_uri: &str) -> (u16, Value) {
        let body = json!({ "code": code, "client_id": client, "redirect_uri": redirect_uri });
        self.ask("POST", &format!("/api/speakers/{id}/link/code"), Some(body))
    }

    /// Waits until a speaker's link is in this state.
    pub fn wait_link(&self, id: &str, state: &str) -> Value {
        let mut last = Value::Null;
        let found = wait_for(PATIENCE, || {
            last = self.speaker(id)["link"].clone();
            (last["state"] == state).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("{id} is not {state}: {last:#}"))
    }

    /// Waits until a speaker's link says so.
    pub fn wait_why(&self, id: &str, words: &str) {
        let says = || self.speaker(id)["link"]["why"].as_str().is_some_and(|why| why.contains(words));
        eventually(&format!("{id} says {words:?}"), PATIENCE, says);
    }

    /// The code that is shown; it is for this speaker.
    pub fn shown_code(&self, id: &str) -> String {
        let code = wait_for(PATIENCE, || {
            let login = self.speaker(id)["link"]["login"].clone();
            login["user_code"].as_str().map(str::to_owned)
        });
        code.unwrap_or_else(|| panic!("no code: {:#}", self.speaker(id)))
    }

    /// Whether the hub's files hold this text: the database with its log, and what was fetched.
    pub fn keeps(&self, text: &str) -> bool {
        holds(&self.folder().join("state"), text.as_bytes())
    }
}

fn holds(folder: &Path, text: &[u8]) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, text);
        }
        // Files come and go while the hub runs.
        std::fs::read(path).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text))
    })
}
