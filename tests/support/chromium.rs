//! A real browser without a screen: Chromium, steered by its debugging protocol over a pipe.
//!
//! Its profile is a folder that goes with it; certificates are not looked at (the simulator's are its own).
#![allow(clippy::expect_used, reason = "a test ends where something is not as it must be")]

use super::LabResult;
use super::hub::PATIENCE;
use super::lab::error::LabError;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A browser with one page open.
pub struct Chromium {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: String,
    last: u64,
    /// Every address that was asked for.
    pub asked: Vec<String>,
    /// What the page complained of: errors, and what its policy refused.
    pub complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Chromium {
    /// Starts it; `Missing` where the machine has none.
    pub fn start() -> LabResult<Self> {
        let found = std::env::var_os("PATH").unwrap_or_default();
        let there = |name: &str| std::env::split_paths(&found).any(|folder| folder.join(name).is_file());
        let Some(program) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|n| there(n))
        else {
            return Err(LabError::Missing(vec!["chromium".into()]));
        };
        let profile = tempfile::tempdir().map_err(|e| LabError::failed("make a profile", e))?;
        // The protocol speaks on the descriptors 3 and 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null", "sh", program])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"])
            .args(["--ignore-certificate-errors", "--no-proxy-server", "--disable-dev-shm-usage"])
            .args(["--disable-background-networking", "--disable-component-update", "--no-first-run"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| LabError::failed("start chromium", e))?;
        let to = child.stdin.take().expect("a pipe");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, from) = channel();
        std::thread::spawn(move || {
            for message in out.split(0) {
                let Ok(bytes) = message else { return };
                let tree = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
                if sender.send(tree).is_err() {
                    return;
                }
            }
        });
        let (asked, complaints) = (Vec::new(), Vec::new());
        let session = String::new();
        let mut this = Self { child, to, from, session, last: 0, asked, complaints, _profile: profile };
        let target = this.call("Target.createTarget", json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = this.call("Target.attachToTarget", target)["sessionId"].clone();
        session.as_str().expect("a session").clone_into(&mut this.session);
        for domain in ["Page", "Network", "Runtime", "Log"] {
            this.call(&format!("{domain}.enable"), json!({}));
        }
        Ok(this)
    }

    /// Calls a method and waits for its answer; what happens meanwhile is noted.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).expect("chromium listens");
        let end = Instant::now() + 2 * PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let message = self.from.recv_timeout(left).unwrap_or_else(|e| panic!("{method}: {e}"));
            if message["id"] == self.last {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Value) {
        let happened = &message["params"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match message["method"].as_str() {
            Some("Network.requestWillBeSent") => self.asked.push(text(&happened["request"]["url"])),
            Some("Runtime.exceptionThrown") => self.complaints.push(happened.to_string()),
            Some("Log.entryAdded") => self.complaints.push(text(&happened["entry"]["text"])),
            _ => {}
        }
    }

    /// What an expression is on the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression holds. Pages come and go meanwhile.
    pub fn wait(&mut self, what: &str, expression: &str) {
        let end = Instant::now() + 2 * PATIENCE;
        loop {
            let asked = json!({ "expression": format!("Boolean({expression})"), "returnByValue": true });
            if self.call("Runtime.evaluate", asked)["result"]["value"] == true {
                return;
            }
            let shown =
                || json!({ "expression": "location.href + document.body?.innerText", "returnByValue": true });
            if Instant::now() > end {
                let page = self.call("Runtime.evaluate", shown());
                panic!("waited in vain: {what}; it shows {page}; {:?}", self.complaints);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Goes to an address and waits for the page.
    pub fn open(&mut self, url: &str) {
        let answer = self.call("Page.navigate", json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        self.wait(
            "the page is there",
            "document.readyState === 'complete' && location.protocol !== 'about:'",
        );
    }

    /// The size of the page's window, CSS pixels.
    pub fn resize(&mut self, width: u32, height: u32, mobile: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Presses a key: `Tab`, `Enter` or ` `.
    pub fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            "Tab" => ("Tab", 9, ""),
            "Enter" => ("Enter", 13, "\r"),
            _ => ("Space", 32, " "),
        };
        let press = |kind: &str| json!({ "type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number, "text": text });
        self.call("Input.dispatchKeyEvent", press(if text.is_empty() { "rawKeyDown" } else { "keyDown" }));
        let mut up = press("keyUp");
        up["text"] = json!("");
        self.call("Input.dispatchKeyEvent", up);
    }

    /// What the keyboard is at: its words as they are read aloud.
    pub fn focused(&mut self) -> String {
        let words = self
            .evaluate("document.activeElement === document.body ? '' : document.activeElement.textContent");
        words.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Goes on by Tab until the keyboard is at something with these words.
    pub fn tab_to(&mut self, words: &str) {
        let mut seen = Vec::new();
        for _ in 0..50 {
            self.press("Tab");
            let at = self.focused();
            if at.contains(words) {
                return;
            }
            seen.push(at);
        }
        panic!("the keyboard does not reach {words:?}, only {seen:?}");
    }

    /// A picture of the whole page, PNG.
    pub fn picture(&mut self, file: &Path) {
        let taken =
            self.call("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }));
        let data = taken["data"].as_str().expect("a picture");
        std::fs::write(file, from_base64(data)).expect("the picture is written");
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for letter in text.bytes() {
        let Some(value) = LETTERS.iter().position(|l| *l == letter) else { continue };
        bits = (bits << 6) | value as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
