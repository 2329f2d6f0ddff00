//! A client's messages, each with how long ago it reached this machine.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use antiphon_net::stamped::{Arrival, receive, stamp};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::wire::{Reader, Received, WireError};

/// Bytes read at once; a question for the time has 34.
const READ: usize = 4096;

/// Reads messages.
pub struct Stamped {
    stream: Arc<TcpStream>,
    reader: Reader,
    /// The last bytes that came.
    arrived: Option<Arrival>,
}

impl Stamped {
    /// Reads from a stream that nobody else reads.
    pub fn new(stream: Arc<TcpStream>) -> Self {
        stamp(&*stream);
        Self { stream, reader: Reader::default(), arrived: None }
    }

    /// The next message, and how long ago its last bytes reached this machine. Nothing is lost when this is given up
    /// while it waits.
    pub async fn next(&mut self) -> io::Result<(Result<Received, WireError>, Duration)> {
        loop {
            if let Some(received) = self.reader.next() {
                let age = self.arrived.map(|arrival| arrival.age());
                return Ok((received, age.unwrap_or_default()));
            }
            let mut buffer = [0; READ];
            let stream = &self.stream;
            let take = || receive(&**stream, &mut buffer);
            let arrival = stream.async_io(Interest::READABLE, take).await?;
            if arrival.length == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client hung up"));
            }
            self.arrived = Some(arrival);
            self.reader.push(&buffer[..arrival.length]);
        }
    }
}
