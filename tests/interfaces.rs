//! A hub with two networks: it announces itself, and opens its doors, on those that it is told alone.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;
use support::house::House;
use support::lab::Lab;
use support::lab::error::LabResult;
use support::or_skip;
use support::patience::wait_for;

/// What the hub announces for receivers that dial it, and on which port, where that is known beforehand.
const ADVERTS: [(&str, Option<u16>); 3] =
    [("_snapcast._tcp", Some(1704)), ("_sendspin-server._tcp", Some(8927)), ("_dacp._tcp", None)];
const PATIENCE: Duration = Duration::from_secs(20);

fn lab() -> LabResult<Lab> {
    let lab = Lab::new(&["hub", "first", "second"])?;
    lab.split("hub", &["second"])?;
    for host in ["first", "second"] {
        lab.name_service(host)?;
    }
    Ok(lab)
}

/// Where a host sees the hub's adverts of a service: addresses and ports.
fn seen(lab: &Lab, host: &str, service: &str) -> Vec<SocketAddr> {
    let lines = lab.browse(host, service).expect("browsed");
    // =;interface;protocol;instance;service;domain;host name;address;port;txt
    let place = |line: &String| {
        let fields: Vec<&str> = line.split(';').collect();
        format!("{}:{}", fields.get(7)?, fields.get(8)?).parse().ok()
    };
    lines.iter().filter_map(place).collect()
}

/// Whether anybody on the host can open a connection there.
fn can_dial(lab: &Lab, host: &str, at: SocketAddr) -> bool {
    lab.within(host, || TcpStream::connect_timeout(&at, Duration::from_secs(2)).is_ok()).expect("a host")
}

/// Waits until a host sees all adverts at this address and no other, and can dial them there.
fn wait_seen(lab: &Lab, host: &str, address: Ipv4Addr) {
    for (service, port) in ADVERTS {
        let mut last = Vec::new();
        let found = wait_for(PATIENCE, || {
            last = seen(lab, host, service);
            (!last.is_empty() && last.iter().all(|at| at.ip() == address)).then_some(())
        });
        assert!(found.is_some(), "{host} sees {service} at {last:?}, not at {address}");
        assert!(port.is_none_or(|port| last[0].port() == port), "{service} at {last:?}");
        assert!(can_dial(lab, host, last[0]), "{host} cannot dial {service} at {last:?}");
    }
}

#[test]
fn lab_a_hub_with_two_networks_is_found_and_dialled_on_those_it_is_told() {
    let Some(lab) = or_skip(lab()) else { return };
    let begin = |interfaces: &str| {
        House::start(&lab, "hub", &format!("[discovery]\ninterfaces = {interfaces}\n")).expect("a house")
    };
    let (one, two) = (lab.address("hub"), lab.second_address("hub"));
    let house = begin("[\"eth0\"]");
    wait_seen(&lab, "first", one);
    for (service, port) in ADVERTS {
        assert_eq!(seen(&lab, "second", service), [], "announced where it is not to be");
        for address in [one, two] {
            let shut = port.is_none_or(|port| !can_dial(&lab, "second", (address, port).into()));
            assert!(shut, "{service} is open where it is not to be");
        }
    }
    drop(house);
    // On both, at each network's own address.
    let _house = begin("[\"eth0\", \"eth1\"]");
    wait_seen(&lab, "first", one);
    wait_seen(&lab, "second", two);
}
