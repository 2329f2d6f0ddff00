//! A UDP socket that tells how long ago each datagram reached this machine.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use antiphon_net::stamped;
use tokio::io::Interest;

/// The socket.
pub struct Stamped {
    socket: tokio::net::UdpSocket,
}

/// A datagram that arrived.
pub struct Arrival {
    /// Bytes of it in the buffer.
    pub length: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// How long ago it reached this machine; zero where the kernel did not say.
    pub age: Duration,
}

impl Stamped {
    /// Takes over a bound socket that does not block.
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        stamped::stamp(&socket);
        Ok(Self { socket: tokio::net::UdpSocket::from_std(socket)? })
    }

    /// The next datagram. Nothing is lost when this is given up while it waits.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<Arrival> {
        let take = || stamped::receive(&self.socket, buffer);
        let arrival = self.socket.async_io(Interest::READABLE, take).await?;
        let from = arrival.from.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Arrival { length: arrival.length, from, age: arrival.age() })
    }

    /// Sends a datagram.
    pub async fn send_to(&self, packet: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.socket.send_to(packet, to).await
    }
}
