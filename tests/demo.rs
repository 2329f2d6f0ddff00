//! `antiphon demo` does what it prints: every command of its guide works as printed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The demo, ended with the test.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.0.id() as i32) {
            let _ = kill_process(pid, Signal::INT);
        }
        let _ = self.0.wait();
    }
}

/// The commands of the guide: what stands in its indented lines before two spaces.
fn commands(guide: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for line in guide.iter().filter(|l| l.starts_with("  antiphon")) {
        for part in line.trim().split("  ").map(str::trim).filter(|p| p.starts_with("antiphon")) {
            found.push(part.to_string());
        }
    }
    found
}

#[test]
fn every_command_of_the_guide_works_as_printed() {
    let antiphon = Path::new(env!("CARGO_BIN_EXE_antiphon"));
    let folder = antiphon.parent().unwrap();
    // Built beside it by a build of the workspace, which `make test` does.
    assert!(
        folder.join("antiphon-simulator").exists(),
        "build antiphon-simulator first: cargo build --workspace"
    );
    let mut child =
        Command::new(antiphon).arg("demo").stdout(Stdio::piped()).spawn().expect("the demo starts");
    let output = child.stdout.take().unwrap();
    let mut demo = Demo(child);
    let mut guide = Vec::new();
    // Kept open to the end: the demo says goodbye too.
    let mut lines = BufReader::new(output).lines();
    for line in lines.by_ref() {
        guide.push(line.unwrap());
        if guide.last().unwrap().starts_with("Ctrl-C") {
            break;
        }
    }
    let commands = commands(&guide);
    assert!(commands.len() >= 10, "the guide was printed: {guide:#?}");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    for command in &commands {
        let ran = Command::new("sh").args(["-c", command]).env("PATH", &path).output().expect("a shell");
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{command}: {out}{err}");
        if command == "antiphon speakers" {
            assert!(out.contains("Kitchen") && out.contains("playing") && out.contains("connected"), "{out}");
        }
        if command == "antiphon alarms sofa" {
            assert!(out.contains("timer in"), "{out}");
        }
        if command.contains("transcript") {
            assert!(out.contains("Speaker.VolumeChanged"), "{out}");
        }
    }
    let pid = Pid::from_raw(demo.0.id() as i32).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert!(demo.0.wait().unwrap().success(), "Ctrl-C ends it well");
}
