//! The one task of a kind that encodes and sends sound, for all its sessions.
//!
//! It wakes once a block's length while anything plays and walks the sessions' lanes: one timer and one encoder for all,
//! so a further receiver of a group costs its packets and little else, and packets leave evenly, not in bursts.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Between two walks while something plays: a block lasts 7.98 ms.
const TICK: Duration = Duration::from_millis(8);

/// Between two walks while nothing plays; well below any lead.
const IDLE: Duration = Duration::from_millis(25);

/// Walks without anything to send before the pump slows down.
const PATIENCE: u32 = 125;

/// Sessions that may wait to be taken up between two walks.
const NEWCOMERS: usize = 64;

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Something is playing or about to.
    Busy,
    /// Nothing is.
    Idle,
    /// The session has ended.
    Over,
}

/// One session as the pump sees it.
pub trait Lane: Send + 'static {
    /// What all sessions of the kind share.
    type Encoder: Send + 'static;

    /// Sends what is to be sent now; never waits.
    fn tick(&mut self, encoder: &mut Self::Encoder) -> Tick;
}

/// A handle on the task; it ends when this and every session have gone.
pub struct Pump<L> {
    lanes: mpsc::Sender<L>,
}

impl<L: Lane> Pump<L> {
    /// Starts the task.
    pub fn start(runtime: &Handle, encoder: L::Encoder) -> Self {
        let (lanes, newcomers) = mpsc::channel(NEWCOMERS);
        runtime.spawn(run(newcomers, encoder));
        Self { lanes }
    }

    /// Where sessions hand their lanes to.
    pub fn lanes(&self) -> mpsc::Sender<L> {
        self.lanes.clone()
    }
}

async fn run<L: Lane>(mut newcomers: mpsc::Receiver<L>, mut encoder: L::Encoder) {
    let mut lanes: Vec<L> = Vec::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut idle = 0;
    loop {
        if lanes.is_empty() {
            match newcomers.recv().await {
                Some(lane) => lanes.push(lane),
                None => return,
            }
            idle = 0;
        } else if idle < PATIENCE {
            ticks.tick().await;
        } else {
            sleep(IDLE).await;
        }
        while let Ok(lane) = newcomers.try_recv() {
            lanes.push(lane);
        }
        let mut busy = false;
        lanes.retain_mut(|lane| match lane.tick(&mut encoder) {
            Tick::Busy => {
                busy = true;
                true
            }
            Tick::Idle => true,
            Tick::Over => false,
        });
        idle = if busy { 0 } else { idle.saturating_add(1) };
    }
}
