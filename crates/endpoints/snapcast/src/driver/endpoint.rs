//! What the hub holds of a session.
//!
//! Every method hands a value over and returns; none waits. Blocks and flushes keep their order.

use std::sync::Arc;

use antiphon_audio::Block;
use antiphon_domain::HubTime;
use antiphon_endpoint::{
    Caps, Clock, Control, Descriptor, Endpoint, EndpointEvent, EventSink, LostReason, Orders, Pace, orders,
};
use antiphon_net::pump::Pump;

use crate::driver::client::Client;
use crate::driver::{Clients, House, Lane};
use crate::metrics::ClientMetrics;

/// An open session, or one that never began.
pub struct SnapcastEndpoint {
    caps: Caps,
    orders: Orders,
    client: Option<Arc<Client>>,
    metrics: ClientMetrics,
}

/// Begins a session with a client that is connected; with any other it is over at once.
pub fn open(
    house: &House,
    clients: &Clients,
    descriptor: &Descriptor,
    pace: Pace,
    clock: Arc<dyn Clock>,
    events: EventSink,
    pump: &Pump<Lane>,
) -> SnapcastEndpoint {
    let lead = house.options.lead_at(pace);
    let caps = Caps { lead, own_volume: true };
    let (orders, taken) = orders();
    let client = clients.find(&descriptor.id);
    let metrics = house.metrics.client(descriptor.id.as_str());
    let lanes = pump.lanes();
    match client.clone() {
        Some(client) => {
            let number = client.begin(Arc::clone(&events));
            let lane = Lane::new(Arc::clone(&client), number, taken, lead, clock);
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
    SnapcastEndpoint { caps, orders, client, metrics }
}

impl Endpoint for SnapcastEndpoint {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn play(&mut self, block: &Block) {
        if !self.orders.play(block) {
            self.metrics.dropped.inc();
        }
    }

    fn flush(&mut self, from: HubTime) {
        self.orders.flush(from);
    }

    fn control(&mut self, control: Control) {
        if let (Control::Level(level), Some(client)) = (control, &self.client) {
            client.set_level(level);
        }
        self.orders.settle();
    }
}
