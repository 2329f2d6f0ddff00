//! An endpoint that remembers what it would have played.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use antiphon_audio::Block;
use antiphon_domain::{HubTime, Lead};
use antiphon_endpoint::{Caps, Control, Endpoint};
use antiphon_render::{Output, OutputEvent};

use super::Events;

pub type Blocks = Arc<Mutex<Vec<Block>>>;

pub struct Capture {
    lead: Lead,
    blocks: Blocks,
}

impl Capture {
    pub fn new(lead: Lead) -> Self {
        Self { lead, blocks: Blocks::default() }
    }

    pub fn blocks(&self) -> Blocks {
        Arc::clone(&self.blocks)
    }
}

impl Endpoint for Capture {
    fn caps(&self) -> Caps {
        Caps { lead: self.lead, own_volume: false }
    }

    fn play(&mut self, block: &Block) {
        self.blocks.lock().unwrap().push(block.clone());
    }

    fn flush(&mut self, from: HubTime) {
        self.blocks.lock().unwrap().retain(|block| block.due < from);
    }

    fn control(&mut self, _control: Control) {}
}

pub struct Captured {
    pub output: Output,
    pub events: Arc<Events<OutputEvent>>,
    pub blocks: Blocks,
}

/// Sound without a gap in its due times.
#[derive(Debug)]
pub struct Stretch {
    pub due: HubTime,
    pub end: HubTime,
    pub samples: Vec<i16>,
}

impl Captured {
    /// What was played, cut where due times leave a gap.
    pub fn stretches(&self) -> Vec<Stretch> {
        let mut blocks: VecDeque<Block> = self.blocks.lock().unwrap().clone().into();
        let mut stretches: Vec<Stretch> = Vec::new();
        while let Some(block) = blocks.pop_front() {
            match stretches.last_mut() {
                Some(last) if (block.due.nanos() - last.end.nanos()).abs() <= 2 => {
                    last.samples.extend_from_slice(&block.samples);
                    last.end = block.end();
                }
                last => {
                    assert!(last.is_none_or(|last| block.due > last.end), "due times went back");
                    let (due, end) = (block.due, block.end());
                    stretches.push(Stretch { due, end, samples: block.samples.to_vec() });
                }
            }
        }
        stretches
    }

    /// What was played, which must be without a gap.
    pub fn whole(&self) -> Stretch {
        let mut stretches = self.stretches();
        let told: Vec<_> = stretches.iter().map(|s| (s.due, s.end)).collect();
        assert_eq!(stretches.len(), 1, "one stretch of sound: {told:?}, {:?}", self.events.all());
        stretches.remove(0)
    }
}
