//! What drivers of receivers on the network share: sockets that are open on the interfaces of discovery alone, for kinds
//! whose receivers dial the hub and for those that send to groups; when what is read arrived (`stamped`); the task that
//! sends for all sessions of a kind (`pump`); tasks that end with their owner ([`Standing`]).
//!
//! A door is bound to its interface by the kernel, so that it stays shut to every other network, also when addresses
//! change.

pub mod pump;
pub mod stamped;
mod standing;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

pub use standing::Standing;

/// What this machine is called; empty where it does not say (Linux alone does, in `/proc`).
pub fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Connections that wait to be accepted, at most, at one door.
const WAITING: i32 = 64;

/// Opens a TCP port on each of the `interfaces` (`None`: on all; none listed: nowhere), for IPv4 and IPv6 alike. Port 0
/// takes a free one, the same everywhere. The listeners do not block.
///
/// An interface that does not exist yet is an error of the kind `NotFound` or `InvalidInput`, as the kernel says it.
pub fn listen(port: u16, interfaces: Option<&[String]>) -> io::Result<Vec<TcpListener>> {
    let Some(names) = interfaces else { return Ok(vec![door(port, None)?]) };
    let mut doors: Vec<TcpListener> = Vec::new();
    for name in names {
        let port = match doors.first() {
            Some(first) => first.local_addr()?.port(),
            None => port,
        };
        doors.push(door(port, Some(name))?);
    }
    Ok(doors)
}

/// Sockets to send datagrams to one address. To a multicast group: one on each of the `interfaces` (`None`: one, by the
/// system's route; none listed: none at all), passing at most `ttl` routers; to a single host: one. They do not block, and
/// are marked as media (DSCP AF41, as AES67 has it).
pub fn senders(to: SocketAddr, interfaces: Option<&[String]>, ttl: u8) -> io::Result<Vec<UdpSocket>> {
    let by_route = [None];
    let named: Vec<Option<&str>>;
    let ways: &[Option<&str>] = match interfaces {
        Some(names) if to.ip().is_multicast() => {
            named = names.iter().map(|name| Some(name.as_str())).collect();
            &named
        }
        _ => &by_route,
    };
    ways.iter().map(|interface| sender(to, *interface, ttl)).collect()
}

/// AF41 in the upper six bits.
const MEDIA: u32 = 34 << 2;

fn sender(to: SocketAddr, interface: Option<&str>, ttl: u8) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
    if let Some(name) = interface {
        socket.bind_device(Some(name.as_bytes()))?;
    }
    // A network that does not tell classes of service apart refuses nothing either.
    if to.is_ipv4() {
        let _ = socket.set_tos_v4(MEDIA);
        socket.set_multicast_ttl_v4(u32::from(ttl))?;
    } else {
        let _ = socket.set_tclass_v6(MEDIA);
        socket.set_multicast_hops_v6(u32::from(ttl))?;
    }
    socket.connect(&to.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn door(port: u16, interface: Option<&str>) -> io::Result<TcpListener> {
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let (domain, address) = match Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)) {
        Ok(_) => (Domain::IPV6, any),
        // A machine without IPv6.
        Err(_) => (Domain::IPV4, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
    };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    if let Some(name) = interface {
        socket.bind_device(Some(name.as_bytes()))?;
    }
    socket.bind(&address.into())?;
    socket.listen(WAITING)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_door_is_open_on_its_interface() {
        let doors = listen(0, Some(&["lo".to_owned()])).unwrap();
        let port = doors[0].local_addr().unwrap().port();
        for host in ["127.0.0.1", "::1"] {
            let at = SocketAddr::new(host.parse().unwrap(), port);
            assert!(TcpStream::connect_timeout(&at, Duration::from_secs(5)).is_ok(), "{host}");
        }
    }

    #[test]
    fn a_group_is_reached_by_the_interfaces_alone() {
        let group = SocketAddr::from(([239, 1, 2, 3], 5004));
        assert!(senders(group, Some(&[]), 1).unwrap().is_empty());
        let own = senders(group, Some(&["lo".to_owned()]), 1).unwrap();
        assert_eq!(own.len(), 1);
        assert!(senders(group, Some(&["no-such-wire".to_owned()]), 1).is_err());
        let host = SocketAddr::from(([127, 0, 0, 1], 5004));
        assert_eq!(senders(host, Some(&[]), 1).unwrap().len(), 1);
    }

    #[test]
    fn no_interface_is_no_door_and_a_wrong_one_is_told() {
        assert!(listen(0, Some(&[])).unwrap().is_empty());
        assert!(listen(0, Some(&["no-such-wire".to_owned()])).is_err());
    }
}
