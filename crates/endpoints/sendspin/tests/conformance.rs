//! The suite every kind passes, with clients of our own: one that is dialled, one that dials.
#![allow(clippy::unwrap_used)] // a test that cannot set the stage has failed

mod support;

use std::cell::RefCell;
use std::sync::Arc;

use antiphon_endpoint::Kind;
use antiphon_endpoint::conformance::{Setup, suite, two_beside_each_other, what_was_lost_comes_again};
use antiphon_sendspin::Unpaired;
use support::{Client, House, Manner, dialled};

fn setup(house: &House, descriptor: antiphon_endpoint::Descriptor) -> Setup {
    let (other, _) = dialled(Manner { secret: [9; 32], ..Manner::default() });
    // Nobody has ever answered there: the door of `other` is another client's.
    let refusing = antiphon_endpoint::Descriptor {
        id: antiphon_domain::SpeakerId::new(antiphon_sendspin::wire::Identity::new([8; 32]).id().to_string()),
        ..other
    };
    Setup {
        kind: Arc::clone(&house.kind) as Arc<dyn Kind>,
        descriptor,
        refusing: Some(refusing),
        clock: Arc::clone(&house.clock),
    }
}

#[test]
fn a_client_that_is_dialled_conforms() {
    let house = House::new(Unpaired::Allow);
    let (descriptor, clients) = dialled(Manner::default());
    // Each connection is kept until it ends.
    std::thread::spawn(move || clients.iter().for_each(|client| client.hung_up()));
    suite(&setup(&house, descriptor));
}

#[test]
fn a_client_that_dials_conforms() {
    let house = House::new(Unpaired::Allow);
    let client = Client::dials(house.at(), Manner::default());
    let here = house.here();
    suite(&setup(&house, here));
    drop(client);
}

#[test]
fn two_clients_do_not_concern_each_other() {
    let house = House::new(Unpaired::Allow);
    let (dialled, clients) = dialled(Manner::default());
    std::thread::spawn(move || clients.iter().for_each(|client| client.hung_up()));
    let _calling = Client::dials(house.at(), Manner { secret: [3; 32], ..Manner::default() });
    let calling = house.here();
    two_beside_each_other(&setup(&house, calling.clone()), &dialled);
    two_beside_each_other(&setup(&house, dialled), &calling);
}

#[test]
fn a_client_that_hung_up_and_calls_again_plays_again() {
    let house = House::new(Unpaired::Allow);
    let client = RefCell::new(Some(Client::dials(house.at(), Manner::default())));
    let here = house.here();
    let lose = || drop(client.take());
    let bring_back = || drop(client.replace(Some(Client::dials(house.at(), Manner::default()))));
    what_was_lost_comes_again(&setup(&house, here), lose, bring_back);
}
