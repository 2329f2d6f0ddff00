//! Asks an address whether anybody is there.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time;

/// Connects over TCP and hangs up again. `Ok` when somebody listens at `address`.
pub async fn probe(address: SocketAddr, timeout: Duration) -> io::Result<()> {
    match time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(connected) => connected.map(drop),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "nobody answered")),
    }
}

/// Probes all of them at the same time; whether any answered.
pub(crate) async fn probe_any(addresses: &[SocketAddr], timeout: Duration) -> bool {
    let mut probes: FuturesUnordered<_> = addresses.iter().map(|a| probe(*a, timeout)).collect();
    while let Some(result) = probes.next().await {
        if result.is_ok() {
            return true;
        }
    }
    false
}
