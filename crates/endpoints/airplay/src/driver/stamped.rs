//! A UDP socket that tells how long ago each datagram reached this machine.
//!
//! A time request is worth as much as the moment we say it came. On a busy machine a task may be woken milliseconds
//! after; so the kernel's own stamp is taken (Linux, `SO_TIMESTAMPNS`), and what passed since then is our processing
//! time, which the asker subtracts.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use tokio::io::Interest;

/// What a stamp may say at most; beyond it somebody has set the wall clock, and the stamp is worth nothing.
const OLDEST: Duration = Duration::from_secs(1);

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
        // Without stamps answers are late by our own waking, no more.
        let _ = setsockopt(&socket, sockopt::ReceiveTimestampns, &true);
        Ok(Self { socket: tokio::net::UdpSocket::from_std(socket)? })
    }

    /// The next datagram. Nothing is lost when this is given up while it waits.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<Arrival> {
        self.socket.async_io(Interest::READABLE, || take(&self.socket, buffer)).await
    }

    /// Sends a datagram.
    pub async fn send_to(&self, packet: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.socket.send_to(packet, to).await
    }
}

fn take(socket: &tokio::net::UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut control = nix::cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    )?;
    let mut age = Duration::ZERO;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmTimestampns(stamp) = part {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            age = now.checked_sub(Duration::from(stamp)).filter(|age| *age < OLDEST).unwrap_or_default();
        }
    }
    let from = message.address.as_ref().and_then(address).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Arrival { length: message.bytes, from, age })
}

fn address(from: &SockaddrStorage) -> Option<SocketAddr> {
    from.family()?;
    match (from.as_sockaddr_in(), from.as_sockaddr_in6()) {
        (Some(v4), _) => Some(SocketAddrV4::new(v4.ip(), v4.port()).into()),
        (_, Some(v6)) => Some(SocketAddrV6::new(v6.ip(), v6.port(), v6.flowinfo(), v6.scope_id()).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(host: &str) -> UdpSocket {
        let socket = UdpSocket::bind((host, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    #[tokio::test]
    async fn a_datagram_says_when_it_came() {
        for host in ["127.0.0.1", "::1"] {
            let (asker, asked) = (socket(host), socket(host));
            let to = asked.local_addr().unwrap();
            let stamped = Stamped::new(asked).unwrap();
            let mut buffer = [0; 100];
            // The kernel begins to stamp a moment after it was told to.
            loop {
                asker.send_to(b"what time is it?", to).unwrap();
                tokio::time::sleep(Duration::from_millis(30)).await;
                let arrival = stamped.recv(&mut buffer).await.unwrap();
                assert_eq!(&buffer[..arrival.length], b"what time is it?");
                assert_eq!(arrival.from, asker.local_addr().unwrap());
                // However late we look, the stamp is that of the arrival.
                if arrival.age >= Duration::from_millis(29) {
                    break;
                }
            }
            stamped.send_to(b"late", asker.local_addr().unwrap()).await.unwrap();
        }
    }
}
