//! Who is connected: the list that the door fills and sessions are opened from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use antiphon_domain::{Level, SpeakerId};
use antiphon_endpoint::{Arrival, ArrivalSink, LostReason};

use crate::driver::client::{Client, unknown_level};
use crate::metrics::Metrics;

/// Different clients that are remembered while the hub runs; a house has some tens at most. More are refused, or
/// somebody who makes up names would fill the hub with speakers.
const MOST_KNOWN: usize = 512;

/// The list; cheap to clone.
#[derive(Clone)]
pub struct Clients {
    state: Arc<Mutex<State>>,
    metrics: Metrics,
}

#[derive(Default)]
struct State {
    here: BTreeMap<SpeakerId, Arc<Client>>,
    /// Everybody who ever called, and how loud they were.
    known: BTreeMap<SpeakerId, Level>,
    arrivals: Option<ArrivalSink>,
}

impl Clients {
    /// Nobody.
    pub fn new(metrics: Metrics) -> Self {
        Self { state: Arc::default(), metrics }
    }

    /// Tells arrivals there from now on, those who are here at once.
    pub fn tell(&self, arrivals: ArrivalSink) {
        let mut state = self.lock();
        for client in state.here.values() {
            arrivals(Arrival::Here(client.descriptor.clone()));
        }
        state.arrivals = Some(arrivals);
    }

    /// How loud it was when it was here before; a safe level for who was not. `None` when it cannot be taken.
    pub fn level_of(&self, id: &SpeakerId) -> Option<Level> {
        let mut state = self.lock();
        if let Some(level) = state.known.get(id) {
            return Some(*level);
        }
        if state.known.len() >= MOST_KNOWN {
            return None;
        }
        state.known.insert(id.clone(), unknown_level());
        Some(unknown_level())
    }

    /// It is here. A connection that it had before is its own, forgotten one.
    pub fn arrived(&self, client: &Arc<Client>) {
        let mut state = self.lock();
        let former = state.here.insert(client.descriptor.id.clone(), Arc::clone(client));
        self.metrics.clients.set(state.here.len() as i64);
        if let Some(former) = former {
            former.hang_up(LostReason::Disconnected("the client called again".to_owned()));
        }
        if let Some(arrivals) = &state.arrivals {
            arrivals(Arrival::Here(client.descriptor.clone()));
        }
    }

    /// Its connection has ended.
    pub fn left(&self, client: &Arc<Client>) {
        let mut state = self.lock();
        let id = &client.descriptor.id;
        if !state.here.get(id).is_some_and(|here| Arc::ptr_eq(here, client)) {
            // It has called again already.
            return;
        }
        state.known.insert(id.clone(), client.level());
        state.here.remove(id);
        self.metrics.clients.set(state.here.len() as i64);
        if let Some(arrivals) = &state.arrivals {
            arrivals(Arrival::Gone(id.clone()));
        }
    }

    /// The client of this name, when it is here.
    pub fn find(&self, id: &SpeakerId) -> Option<Arc<Client>> {
        self.lock().here.get(id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
