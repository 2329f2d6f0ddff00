//! How sound gets to a receiver: by datagrams, timed by sync packets, or by one stream (TCP), timed by when it is sent.
//!
//! Driven by the lane; never waits. What a stream cannot take at once is kept up to [`BACKLOG`]; beyond that whole packets
//! are dropped, so that a receiver that stalls is silent, not ours to feed later, and the framing holds.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::wire::rtp::{AUDIO_HEADER, framed};

/// Bytes kept for a receiver that does not read: some 0.4 s of sound.
const BACKLOG: usize = 48 * 1024;

/// The way.
#[derive(Debug)]
pub enum Carrier {
    /// Packets to the audio port, the time to the control port.
    Datagrams {
        /// Connected to the receiver's audio port, not blocking.
        audio: UdpSocket,
        /// Sends from our control port, not blocking.
        control: UdpSocket,
        /// The receiver's control port.
        control_to: SocketAddr,
        /// Where a packet is put together.
        packet: Vec<u8>,
    },
    /// Packets framed in a stream.
    Stream {
        /// Not blocking.
        stream: TcpStream,
        /// What it has not taken yet.
        backlog: Vec<u8>,
        /// How long the receiver keeps what it gets before it is heard.
        latency: Duration,
    },
}

impl Carrier {
    /// By datagrams.
    pub fn datagrams(audio: UdpSocket, control: UdpSocket, control_to: SocketAddr) -> Self {
        Self::Datagrams { audio, control, control_to, packet: Vec::with_capacity(1500) }
    }

    /// By a stream, to a receiver that plays what it gets `latency` later.
    pub fn stream(stream: TcpStream, latency: Duration) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self::Stream { stream, backlog: Vec::with_capacity(BACKLOG), latency })
    }

    /// How long before it is due a packet goes at the earliest; `None`: as early as one likes.
    pub fn holds_back(&self) -> Option<Duration> {
        match self {
            Self::Datagrams { .. } => None,
            Self::Stream { latency, .. } => Some(*latency),
        }
    }

    /// Sends a packet; how many bytes. `WouldBlock` where there is no room for it.
    pub fn audio(&mut self, header: &[u8; AUDIO_HEADER], payload: &[u8]) -> io::Result<usize> {
        match self {
            Self::Datagrams { audio, packet, .. } => {
                packet.clear();
                packet.extend_from_slice(header);
                packet.extend_from_slice(payload);
                audio.send(packet)
            }
            Self::Stream { stream, backlog, .. } => {
                drain(stream, backlog)?;
                let frame = framed(AUDIO_HEADER + payload.len());
                let length = frame.len() + header.len() + payload.len();
                if backlog.len() + length > BACKLOG {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                backlog.extend_from_slice(&frame);
                backlog.extend_from_slice(header);
                backlog.extend_from_slice(payload);
                drain(stream, backlog)?;
                Ok(length)
            }
        }
    }

    /// Tells the time; whether that was possible. A stream knows no such packet.
    pub fn sync(&self, packet: &[u8]) -> bool {
        match self {
            Self::Datagrams { control, control_to, .. } => control.send_to(packet, *control_to).is_ok(),
            Self::Stream { .. } => false,
        }
    }
}

fn drain(stream: &mut TcpStream, backlog: &mut Vec<u8>) -> io::Result<()> {
    while !backlog.is_empty() {
        match stream.write(backlog) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => drop(backlog.drain(..taken)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn one_that_does_not_read_costs_a_bounded_backlog_and_whole_packets() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let mut carrier = Carrier::stream(stream, Duration::ZERO).unwrap();
        let mut refused = 0;
        let mut packets = 0u32;
        while refused < 100 {
            match carrier.audio(&[1; AUDIO_HEADER], &[2; 988]) {
                Ok(length) => {
                    assert_eq!(length, 1004);
                    packets += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    refused += 1;
                }
            }
            assert!(packets < 100_000, "it takes without end");
        }
        let Carrier::Stream { backlog, .. } = &carrier else { unreachable!() };
        assert!(backlog.len() <= BACKLOG && backlog.len() > BACKLOG - 1004);
        drop(carrier);
        let mut taken = Vec::new();
        peer.read_to_end(&mut taken).unwrap();
        for packet in taken.chunks_exact(1004) {
            assert_eq!(packet[..5], [b'$', 0, 0x03, 0xe8, 1]);
        }
    }
}
