//! Where a receiver is, as a person writes it.

use std::net::{IpAddr, SocketAddr};

/// What `HOST:PORT` says, HOST being a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPort {
    /// An address.
    Address(SocketAddr),
    /// `HOST:PORT` with a name that is still to be resolved.
    Name(String),
}

impl HostPort {
    /// Reads it; where a kind has a `usual` port, HOST alone means that one. `None` when it is neither.
    pub fn read(text: &str, usual: Option<u16>) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            // A colon within brackets belongs to an address.
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (text, usual?),
        };
        if port == 0 {
            return None;
        }
        if let Some(inner) = host.strip_prefix('[') {
            let address: IpAddr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(SocketAddr::new(address, port)));
        }
        // Without brackets one could not tell where an IPv6 address ends.
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || !host.chars().all(is_name) {
            return None;
        }
        Some(match host.parse() {
            Ok(address) => Self::Address(SocketAddr::new(address, port)),
            Err(_) => Self::Name(format!("{host}:{port}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read() {
        let address = |text: &str| Some(HostPort::Address(text.parse().unwrap()));
        let name = |text: &str| Some(HostPort::Name(text.to_owned()));
        assert_eq!(HostPort::read("192.0.2.1:5000", None), address("192.0.2.1:5000"));
        assert_eq!(HostPort::read("[::1]:5000", Some(7)), address("[::1]:5000"));
        assert_eq!(HostPort::read("[::1]", Some(7)), address("[::1]:7"));
        assert_eq!(HostPort::read("kitchen.local:5000", None), name("kitchen.local:5000"));
        assert_eq!(HostPort::read("kitchen.local", Some(7)), name("kitchen.local:7"));
        assert_eq!(HostPort::read("kitchen.local", None), None);
        for bad in [
            "",
            "kitchen:",
            ":5000",
            "a:0",
            "::1",
            "::1:5000",
            "[::1",
            "[kitchen]:5000",
            "a b:1",
            "a:70000",
            "a:+b",
            "[]:1",
            "]:1",
        ] {
            assert_eq!(HostPort::read(bad, Some(7)), None, "{bad}");
        }
    }
}
