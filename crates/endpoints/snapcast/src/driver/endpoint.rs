//! What the hub holds of a session.
//!
//! Every method hands a value to a bounded channel and returns; none waits. Blocks and flushes keep their order.

use std::sync::Arc;

use antiphon_audio::Block;
use antiphon_domain::HubTime;
use antiphon_endpoint::{
    Caps, Clock, Control, Descriptor, Endpoint, EndpointEvent, EventSink, LostReason, Pace,
};
use tokio::sync::mpsc;

use crate::driver::client::Client;
use crate::driver::lane::Lane;
use crate::driver::{Clients, House, Pump};
use crate::metrics::ClientMetrics;

/// Blocks that wait for the pump: 4 s, more than the lead and a stalled pump need.
const QUEUE: usize = 512;

/// In order for the pump.
#[derive(Debug)]
pub enum Item {
    /// To be sent.
    Block(Block),
    /// Everything due at or after this is void.
    Flush(HubTime),
}

/// An open session, or one that never began.
pub struct SnapcastEndpoint {
    caps: Caps,
    items: mpsc::Sender<Item>,
    client: Option<Arc<Client>>,
    metrics: ClientMetrics,
    /// A flush that found the queue full; it goes in front of whatever comes next.
    owed: Option<HubTime>,
}

/// Begins a session with a client that is connected; with any other it is over at once.
pub fn open(
    house: &House,
    clients: &Clients,
    descriptor: &Descriptor,
    pace: Pace,
    clock: Arc<dyn Clock>,
    events: EventSink,
    pump: &Pump,
) -> SnapcastEndpoint {
    let lead = house.options.lead_at(pace);
    let caps = Caps { lead, own_volume: true };
    let (items, to_pump) = mpsc::channel(QUEUE);
    let client = clients.find(&descriptor.id);
    let metrics = house.metrics.client(descriptor.id.as_str());
    let lanes = pump.lanes();
    match client.clone() {
        Some(client) => {
            let number = client.begin(Arc::clone(&events));
            let lane = Lane::new(Arc::clone(&client), number, to_pump, lead, clock);
            house.runtime.spawn(async move {
                if lanes.send(lane).await.is_ok() {
                    client.tell(EndpointEvent::Ready);
                } else {
                    client.lose(LostReason::Local("the audio pump has ended".to_owned()));
                }
            });
        }
        None => {
            let reason = LostReason::Unreachable {
                address: "its connection to the hub".to_owned(),
                cause: "the client is not connected".to_owned(),
            };
            // Not within the call: nobody expects news before it has returned.
            house.runtime.spawn(async move { events(EndpointEvent::Lost(reason)) });
        }
    }
    SnapcastEndpoint { caps, items, client, metrics, owed: None }
}

impl SnapcastEndpoint {
    /// Hands over the flush that is owed; false when there is still no room.
    fn settle(&mut self) -> bool {
        let Some(from) = self.owed else { return true };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.items.try_send(Item::Flush(from)) {
            return false;
        }
        self.owed = None;
        true
    }
}

impl Endpoint for SnapcastEndpoint {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn play(&mut self, block: &Block) {
        if !self.settle() || self.items.try_send(Item::Block(block.clone())).is_err() {
            self.metrics.dropped.inc();
        }
    }

    fn flush(&mut self, from: HubTime) {
        self.owed = Some(self.owed.map_or(from, |owed| owed.min(from)));
        self.settle();
    }

    fn control(&mut self, control: Control) {
        if let (Control::Level(level), Some(client)) = (control, &self.client) {
            client.set_level(level);
        }
        self.settle();
    }
}
