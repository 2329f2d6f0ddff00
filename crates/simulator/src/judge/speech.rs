//! Owns the order of what a device reports of its speech: each Speak begins once and ends once, or is never heard.

use std::collections::VecDeque;

use super::{Seen, Sent};

/// Most Speaks remembered of one device.
const MAX_KNOWN: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Sent,
    Started,
    Ended,
}

/// The Speaks sent, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Speech {
    speaks: VecDeque<(String, Stage)>,
    forgot: bool,
    /// The connection of the last message; on another one events may have been lost before.
    connection: u64,
}

impl Speech {
    pub(super) fn sending(&mut self, sent: &Sent<'_>) {
        if sent.name == "Speak" {
            if self.speaks.len() >= MAX_KNOWN {
                self.speaks.pop_front();
                self.forgot = true;
            }
            self.speaks.push_back((sent.token().to_owned(), Stage::Sent));
            if self.connection == 0 {
                self.connection = sent.connection;
            }
        }
    }

    /// Whether a Speak may still be waiting or sounding.
    pub(super) fn outstanding(&self) -> bool {
        self.speaks.back().is_some_and(|(_, stage)| *stage != Stage::Ended)
    }

    /// An event was lost on its way: what comes next may skip a step.
    pub(super) fn lost(&mut self) {
        self.connection = u64::MAX;
    }

    pub(super) fn event(&mut self, seen: &Seen<'_>, faults: &mut Vec<String>) {
        let token = seen.token();
        let from = if seen.name == "SpeechStarted" { Stage::Sent } else { Stage::Started };
        let found = self.speaks.iter().position(|(known, stage)| known == token && *stage == from);
        let gap = self.connection != seen.connection;
        self.connection = seen.connection;
        if !gap && from == Stage::Sent && self.speaks.iter().any(|(_, stage)| *stage == Stage::Started) {
            faults.push(format!("{token:?} begins before the speech before it has ended"));
        }
        match found {
            Some(at) => {
                if gap && from == Stage::Sent {
                    self.speaks
                        .iter_mut()
                        .filter(|(_, stage)| *stage == Stage::Started)
                        .for_each(|one| one.1 = Stage::Ended);
                }
                self.speaks[at].1 = if from == Stage::Sent { Stage::Started } else { Stage::Ended };
            }
            // A simulator that came up meanwhile does not know what its forerunner said.
            None if gap || self.forgot || self.speaks.is_empty() => {}
            None if from == Stage::Sent => faults.push(format!("no Speak {token:?} waits to be heard")),
            None => faults.push(format!("{token:?} ends without having begun, or twice")),
        }
    }
}
