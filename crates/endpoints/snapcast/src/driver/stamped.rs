//! A client's messages, each with how long ago it reached this machine.
//!
//! A question for the time is worth as much as the moment we say it came. On a busy machine a task may be woken
//! milliseconds after; so the kernel's own stamp is taken (Linux, `SO_TIMESTAMPNS`), where it gives one.

use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::wire::{Reader, Received, WireError};

/// What a stamp may say at most; beyond it somebody has set the wall clock, and the stamp is worth nothing.
const OLDEST: Duration = Duration::from_secs(1);

/// Bytes read at once; a question for the time has 34.
const READ: usize = 4096;

/// Reads messages.
pub struct Stamped {
    stream: Arc<TcpStream>,
    reader: Reader,
    /// When the last bytes came.
    arrived: Option<SystemTime>,
}

impl Stamped {
    /// Reads from a stream that nobody else reads.
    pub fn new(stream: Arc<TcpStream>) -> Self {
        // Without stamps answers are late by our own waking, no more.
        let _ = setsockopt(&*stream, sockopt::ReceiveTimestampns, &true);
        Self { stream, reader: Reader::default(), arrived: None }
    }

    /// The next message, and how long ago its last bytes reached this machine. Nothing is lost when this is given up
    /// while it waits.
    pub async fn next(&mut self) -> io::Result<(Result<Received, WireError>, Duration)> {
        loop {
            if let Some(received) = self.reader.next() {
                return Ok((received, self.age()));
            }
            let mut buffer = [0; READ];
            let stream = &self.stream;
            let (count, arrived) = stream.async_io(Interest::READABLE, || take(stream, &mut buffer)).await?;
            if count == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client hung up"));
            }
            self.arrived = arrived;
            self.reader.push(&buffer[..count]);
        }
    }

    fn age(&self) -> Duration {
        let age = self.arrived.and_then(|arrived| SystemTime::now().duration_since(arrived).ok());
        age.filter(|age| *age < OLDEST).unwrap_or_default()
    }
}

fn take(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<(usize, Option<SystemTime>)> {
    let mut control = nix::cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    let mut arrived = None;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmTimestampns(stamp) = part {
            arrived = Some(UNIX_EPOCH + Duration::from(stamp));
        }
    }
    Ok((message.bytes, arrived))
}
