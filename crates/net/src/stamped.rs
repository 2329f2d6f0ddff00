//! How long ago what is read reached this machine.
//!
//! A question for the time is worth as much as the moment we say it came. On a busy machine a task may be woken
//! milliseconds after; so the kernel's own stamp is taken (Linux, `SO_TIMESTAMPNS`), where it gives one.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;

/// What a stamp may say at most; beyond it somebody has set the wall clock, and the stamp is worth nothing.
const OLDEST: Duration = Duration::from_secs(1);

/// What was read: a datagram, or the next bytes of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Bytes in the buffer; of a stream 0 when it has ended.
    pub length: usize,
    /// Who sent the datagram.
    pub from: Option<SocketAddr>,
    stamp: Option<SystemTime>,
}

impl Arrival {
    /// How long ago it reached this machine; zero where the kernel did not say.
    pub fn age(&self) -> Duration {
        let age = self.stamp.and_then(|stamp| SystemTime::now().duration_since(stamp).ok());
        age.filter(|age| *age < OLDEST).unwrap_or_default()
    }
}

/// Has the kernel stamp what arrives at a socket from soon on. Where it does not, everything seems to come when it is read.
pub fn stamp(socket: &impl AsFd) {
    let _ = setsockopt(socket, sockopt::ReceiveTimestampns, &true);
}

/// Reads from a socket without waiting: `WouldBlock` where there is nothing.
pub fn receive(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut control = nix::cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    )?;
    let mut stamp = None;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmTimestampns(time) = part {
            stamp = Some(UNIX_EPOCH + Duration::from(time));
        }
    }
    let from = message.address.as_ref().and_then(address);
    Ok(Arrival { length: message.bytes, from, stamp })
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
    use std::io::Write;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::BorrowedFd;
    use std::time::Instant;

    use super::*;

    /// Reads when `late` has passed since the bytes were there.
    fn read_late(socket: BorrowedFd<'_>, buffer: &mut [u8], late: Duration) -> Arrival {
        let begun = Instant::now();
        let mut peeked = [0; 1];
        while nix::sys::socket::recv(socket.as_raw_fd(), &mut peeked, MsgFlags::MSG_PEEK).is_err()
            || begun.elapsed() < late
        {
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing comes");
            std::thread::yield_now();
        }
        receive(&socket, buffer).unwrap()
    }

    #[test]
    fn a_datagram_says_when_it_came_and_from_whom() {
        for host in ["127.0.0.1", "::1"] {
            let [asker, asked] = [(); 2].map(|()| UdpSocket::bind((host, 0)).unwrap());
            asked.set_nonblocking(true).unwrap();
            stamp(&asked);
            let mut buffer = [0; 100];
            // The kernel begins to stamp a moment after it was told to.
            loop {
                asker.send_to(b"what time is it?", asked.local_addr().unwrap()).unwrap();
                let arrival = read_late(asked.as_fd(), &mut buffer, Duration::from_millis(20));
                assert_eq!(&buffer[..arrival.length], b"what time is it?");
                assert_eq!(arrival.from, Some(asker.local_addr().unwrap()));
                // However late we look, the stamp is that of the arrival.
                if arrival.age() >= Duration::from_millis(19) {
                    break;
                }
            }
            assert_eq!(receive(&asked, &mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn so_do_the_bytes_of_a_stream() {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut asker = TcpStream::connect(door.local_addr().unwrap()).unwrap();
        let (asked, _) = door.accept().unwrap();
        asked.set_nonblocking(true).unwrap();
        stamp(&asked);
        let mut buffer = [0; 100];
        loop {
            asker.write_all(b"time?").unwrap();
            let arrival = read_late(asked.as_fd(), &mut buffer, Duration::from_millis(20));
            assert_eq!(&buffer[..arrival.length], b"time?");
            if arrival.age() >= Duration::from_millis(19) {
                break;
            }
        }
        drop(asker);
        assert_eq!(read_late(asked.as_fd(), &mut buffer, Duration::ZERO).length, 0);
    }
}
