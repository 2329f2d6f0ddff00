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
    /// Where arrivals are told. Held from a change to its telling, so that they are told in order; whoever is told may
    /// look at the list.
    arrivals: Arc<Mutex<Option<ArrivalSink>>>,
    metrics: Metrics,
}

#[derive(Default)]
struct State {
    here: BTreeMap<SpeakerId, Arc<Client>>,
    /// Everybody who ever called, and how loud they were.
    known: BTreeMap<SpeakerId, Level>,
}

impl Clients {
    /// Nobody.
    pub fn new(metrics: Metrics) -> Self {
        Self { state: Arc::default(), arrivals: Arc::default(), metrics }
    }

    /// Tells arrivals there from now on, those who are here at once.
    pub fn tell(&self, arrivals: ArrivalSink) {
        let mut sink = self.sink();
        let here: Vec<Arc<Client>> = self.lock().here.values().cloned().collect();
        for client in here {
            arrivals(Arrival::Here(client.descriptor.clone()));
        }
        *sink = Some(arrivals);
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
        let sink = self.sink();
        let former = {
            let mut state = self.lock();
            let former = state.here.insert(client.descriptor.id.clone(), Arc::clone(client));
            self.metrics.clients.set(state.here.len() as i64);
            former
        };
        if let Some(former) = former {
            former.hang_up(LostReason::Disconnected("the client called again".to_owned()));
        }
        if let Some(arrivals) = sink.as_ref() {
            arrivals(Arrival::Here(client.descriptor.clone()));
        }
    }

    /// Its connection has ended.
    pub fn left(&self, client: &Arc<Client>) {
        let sink = self.sink();
        let id = &client.descriptor.id;
        {
            let mut state = self.lock();
            if !state.here.get(id).is_some_and(|here| Arc::ptr_eq(here, client)) {
                // It has called again already.
                return;
            }
            state.known.insert(id.clone(), client.level());
            state.here.remove(id);
            self.metrics.clients.set(state.here.len() as i64);
        }
        if let Some(arrivals) = sink.as_ref() {
            arrivals(Arrival::Gone(id.clone()));
        }
    }

    /// The client of this name, when it is here.
    pub fn find(&self, id: &SpeakerId) -> Option<Arc<Client>> {
        self.lock().here.get(id).cloned()
    }

    fn sink(&self) -> MutexGuard<'_, Option<ArrivalSink>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
