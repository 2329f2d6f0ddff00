//! A writer that is killed in the middle of its work has lost nothing it said was saved, and never saved half a batch.
//!
//! The writer is this very test binary, started again with a path in its environment.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use antiphon_domain::{Secret, SpeakerId};
use antiphon_store::Store;

const PATH: &str = "ANTIPHON_STORE_CRASH_PATH";
const ROUNDS: u64 = 8;

/// The child's side: counts upwards for ever, printing each number once it is acknowledged.
#[test]
fn writer() {
    let Some(path) = env::var_os(PATH) else { return };
    let mut store = Store::open(Path::new(&path)).unwrap();
    let id = SpeakerId::new("a");
    let mut n: u64 = store.document("left").unwrap().unwrap_or(0);
    loop {
        n += 1;
        store
            .batch(|batch| {
                batch.save_document("left", &n)?;
                batch.save_secret(&id, "token", &Secret::new(n.to_string()))?;
                // Large enough that a commit is more than one page.
                batch.save_document(&format!("padding {}", n % 16), &"x".repeat(3_000))?;
                batch.save_document("right", &n)
            })
            .unwrap();
        writeln!(std::io::stdout(), "\nacknowledged {n}").unwrap();
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("antiphon.db");
    let mut last = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["writer", "--exact", "--nocapture"])
            .env(PATH, &path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        // Killed after a different number of commits each round, wherever the writer is by then.
        let enough = last + 5 + 7 * round;
        let mut line = String::new();
        while last < enough {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "the writer ended by itself");
            last = acknowledged(&line).unwrap_or(last);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // It went on until the signal came; what is left in the pipe was acknowledged as well.
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        last = rest.lines().filter_map(acknowledged).max().unwrap_or(last).max(last);

        let store = Store::open(&path).unwrap();
        let left: u64 = store.document("left").unwrap().unwrap();
        let right: u64 = store.document("right").unwrap().unwrap();
        let token = store.secret(&SpeakerId::new("a"), "token").unwrap().unwrap();
        assert!(left >= last, "acknowledged {last}, found {left}");
        assert!(left <= last + 1, "one commit at most can be unannounced: {last}, {left}");
        assert_eq!(left, right, "half a batch");
        assert_eq!(token.expose(), left.to_string());
        last = left;
    }
}

/// The number a line acknowledges. Of a line cut off by the kill a smaller number is left, which does no harm.
fn acknowledged(line: &str) -> Option<u64> {
    line.trim_end_matches('\n').strip_prefix("acknowledged ")?.parse().ok()
}
