//! The mDNS daemon: started on the configured interfaces only, browsed for services, turned into plain records.
//!
//! Owns the daemon's thread, which ends when this is dropped. Driven by the driver's loop through [`Mdns::next`].

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use antiphon_endpoint::{Advert, Kind, ServiceRecord};
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{StreamExt, stream};
use mdns_sd::{DaemonEvent, IfKind, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent, ServiceInfo};

use crate::DiscoveryError;
use crate::entry::MAX_ADDRESSES;

/// How long the owner of a disputed record has to answer. RFC 6762 section 10.4 asks for two queries, which go out a
/// second apart, and up to 10 s; a speaker is to play within 5 s of its return, so it is less here.
const VERIFY: Duration = Duration::from_secs(3);

/// What the daemon brought.
#[derive(Debug)]
pub(crate) enum News {
    Resolved { instance: String, record: ServiceRecord },
    Removed { instance: String },
    Queried { service: &'static str },
    Trouble(String),
}

enum Raw {
    Service(&'static str, u64, ServiceEvent),
    Ended(&'static str, u64),
    Daemon(DaemonEvent),
}

/// One browsing of a service.
struct Browsing {
    number: u64,
    /// Whether its opening event was seen; each further one stands for a query.
    opened: bool,
    ended: bool,
}

pub(crate) struct Mdns {
    daemon: ServiceDaemon,
    streams: SelectAll<BoxStream<'static, Raw>>,
    browsing: HashMap<&'static str, Browsing>,
    numbers: u64,
}

impl Mdns {
    /// Starts the daemon, begins to browse and announces our own services; `None` when there is no interface or
    /// nothing to look for and to announce.
    pub fn start(
        interfaces: Option<&[String]>,
        kinds: &[Arc<dyn Kind>],
        adverts: &[Advert],
    ) -> Result<Option<Mdns>, DiscoveryError> {
        let mut services: Vec<&'static str> =
            kinds.iter().flat_map(|k| k.services().iter().copied()).collect();
        services.sort_unstable();
        services.dedup();
        if (services.is_empty() && adverts.is_empty()) || interfaces.is_some_and(<[String]>::is_empty) {
            return Ok(None);
        }
        let failed = |e: mdns_sd::Error| DiscoveryError::Mdns(e.to_string());
        let daemon = ServiceDaemon::new().map_err(failed)?;
        let mut streams = SelectAll::new();
        let monitor = daemon.monitor().map_err(failed)?;
        streams.push(monitor.into_stream().map(Raw::Daemon).boxed());
        if let Some(names) = interfaces {
            // The daemon begins with every interface. It takes commands in order, so nothing is asked anywhere before
            // this is done.
            daemon.disable_interface(IfKind::All).map_err(failed)?;
            for name in names {
                daemon.enable_interface(name.as_str()).map_err(failed)?;
            }
        }
        let mut mdns = Self { daemon, streams, browsing: HashMap::new(), numbers: 0 };
        for service in services {
            mdns.browse(service).map_err(failed)?;
        }
        for advert in adverts {
            // One that cannot be announced is no reason to find nobody.
            if let Err(error) = mdns.announce(advert) {
                tracing::error!(service = advert.service, instance = advert.instance, %error, "cannot be announced");
            }
        }
        Ok(Some(mdns))
    }

    /// Announces a service of ours, at whatever addresses the interfaces have, until this is dropped.
    fn announce(&self, advert: &Advert) -> Result<(), mdns_sd::Error> {
        let properties: Vec<(&str, &str)> =
            advert.txt.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let host = format!("{}-antiphon.local.", host_label());
        let info = ServiceInfo::new(
            advert.service,
            &advert.instance,
            &host,
            "",
            advert.port,
            properties.as_slice(),
        )?;
        self.daemon.register(info.enable_addr_auto())
    }

    /// Asks afresh for a service; the daemon repeats it after 1, 2, 4 ... s by itself (RFC 6762 section 5.2).
    pub fn query(&mut self, service: &'static str) {
        if let Err(error) = self.browse(service) {
            tracing::warn!(service, %error, "mdns query refused");
        }
    }

    /// Asks whether an instance is still there; if not it is removed in a few seconds.
    pub fn verify(&self, instance: String) {
        if let Err(error) = self.daemon.verify(instance, VERIFY) {
            tracing::warn!(%error, "mdns verification refused");
        }
    }

    /// Browses again for what the daemon stopped telling us about (it does when we fall far behind).
    pub fn repair(&mut self) {
        let ended: Vec<&'static str> =
            self.browsing.iter().filter(|(_, b)| b.ended).map(|(service, _)| *service).collect();
        for service in ended {
            self.query(service);
        }
    }

    /// The next news. Never ends; may be dropped while it waits.
    pub async fn next(&mut self) -> News {
        loop {
            let Some(raw) = self.streams.next().await else {
                // Nothing will come until something is browsed again.
                std::future::pending::<()>().await;
                continue;
            };
            match raw {
                Raw::Daemon(DaemonEvent::Error(error)) => return News::Trouble(error.to_string()),
                Raw::Daemon(_) => {}
                Raw::Ended(service, number) => {
                    if let Some(browsing) = self.browsing.get_mut(service)
                        && browsing.number == number
                    {
                        browsing.ended = true;
                        return News::Trouble(format!("no longer browses {service}"));
                    }
                }
                Raw::Service(service, number, event) => {
                    if let Some(news) = self.read(service, number, event) {
                        return news;
                    }
                }
            }
        }
    }

    fn browse(&mut self, service: &'static str) -> Result<(), mdns_sd::Error> {
        let receiver = self.daemon.browse(service)?;
        self.numbers += 1;
        let number = self.numbers;
        self.browsing.insert(service, Browsing { number, opened: false, ended: false });
        let events = receiver.into_stream().map(move |event| Raw::Service(service, number, event));
        // The stream of the browsing that this one replaces ends by itself, after what is in it was read.
        self.streams.push(events.chain(stream::iter([Raw::Ended(service, number)])).boxed());
        Ok(())
    }

    fn read(&mut self, service: &'static str, number: u64, event: ServiceEvent) -> Option<News> {
        match event {
            ServiceEvent::SearchStarted(_) => {
                let browsing = self.browsing.get_mut(service)?;
                if browsing.number != number {
                    return None;
                }
                // The first says that the search was taken up, the others come with a query each.
                let queried = browsing.opened;
                browsing.opened = true;
                queried.then_some(News::Queried { service })
            }
            ServiceEvent::ServiceResolved(resolved) => Some(News::Resolved {
                instance: resolved.fullname.clone(),
                record: record(service, &resolved),
            }),
            ServiceEvent::ServiceRemoved(_, instance) => Some(News::Removed { instance }),
            _ => None,
        }
    }
}

impl Drop for Mdns {
    fn drop(&mut self) {
        // Refused only when the daemon's short queue is full (it empties in microseconds) or it has ended.
        for _ in 0..100 {
            match self.daemon.shutdown() {
                Err(mdns_sd::Error::Again) => std::thread::yield_now(),
                _ => return,
            }
        }
    }
}

fn record(service: &'static str, resolved: &ResolvedService) -> ServiceRecord {
    let mut txt = BTreeMap::new();
    for property in resolved.txt_properties.iter() {
        let value = match property.val() {
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => continue,
            },
            None => String::new(),
        };
        // Of a key that stands there twice the first counts (RFC 6763 section 6.4).
        txt.entry(property.key().to_ascii_lowercase()).or_insert(value);
    }
    ServiceRecord {
        service: service.to_owned(),
        instance: label(&resolved.fullname, service).to_owned(),
        host: resolved.host.clone(),
        addresses: addresses(resolved),
        txt,
    }
}

/// This machine's name as one label. Its own mDNS responder may answer for the bare name, so ours gets a suffix.
fn host_label() -> String {
    let name = antiphon_net::machine_name();
    let label = name.split('.').next().unwrap_or_default();
    let fine: String = label.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(48).collect();
    if fine.is_empty() { "hub".to_owned() } else { fine }
}

/// The part of a full name before the service type.
fn label<'a>(fullname: &'a str, service: &str) -> &'a str {
    let Some(cut) = fullname.len().checked_sub(service.len()) else { return fullname };
    match (fullname.get(..cut), fullname.get(cut..)) {
        (Some(head), Some(tail)) if tail.eq_ignore_ascii_case(service) => {
            head.strip_suffix('.').unwrap_or(head)
        }
        _ => fullname,
    }
}

/// IPv4 first (every receiver has it), then routable IPv6, then what works on this machine or link alone.
fn addresses(resolved: &ResolvedService) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for ip in &resolved.addresses {
        let address = match ip {
            ScopedIp::V6(v6) if v6.addr().is_unicast_link_local() => {
                SocketAddrV6::new(*v6.addr(), resolved.port, 0, v6.scope_id().index).into()
            }
            other => SocketAddr::new(other.to_ip_addr(), resolved.port),
        };
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses.sort_by_key(|a| (rank(a.ip()), *a));
    addresses.truncate(MAX_ADDRESSES);
    addresses
}

fn rank(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(v4) if v4.is_loopback() => 4,
        IpAddr::V4(v4) if v4.is_link_local() => 2,
        IpAddr::V4(_) => 0,
        IpAddr::V6(v6) if v6.is_loopback() => 5,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => 3,
        IpAddr::V6(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_is_what_stands_before_the_service() {
        let service = "_raop._tcp.local.";
        assert_eq!(label("33FA00A66F2E@Kitchen._raop._tcp.local.", service), "33FA00A66F2E@Kitchen");
        assert_eq!(label("A@Dr. Bath._RAOP._tcp.local.", service), "A@Dr. Bath");
        assert_eq!(label("ü", service), "ü");
        assert_eq!(label("üüüüüüüüüüüüüü", service), "üüüüüüüüüüüüüü");
    }
}
