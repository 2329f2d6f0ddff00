//! A WebSocket that is read and written by one task, neither way waiting for the other.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{FutureExt, Sink, Stream};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::wire::Frame;
use crate::wire::noise::LONGEST;

/// Limits for either side: a Noise message at most, and a write buffer that holds some seconds of sound.
pub fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(LONGEST))
        .max_frame_size(Some(LONGEST))
        .read_buffer_size(16 * 1024)
        .write_buffer_size(64 * 1024)
        .max_write_buffer_size(1024 * 1024)
}

/// What the socket had to say.
#[derive(Debug)]
pub enum Heard {
    /// A message.
    Frame(Frame),
    /// The answer to a ping of ours.
    Pong(Bytes),
    /// Nothing that concerns us; or there is room to write again.
    Nothing,
    /// It is over; why, where that is an error.
    Over(Option<String>),
}

/// The socket.
pub struct Socket {
    inner: WebSocketStream<TcpStream>,
    /// Something was written that the system has not taken yet.
    unflushed: bool,
}

impl Socket {
    /// Takes a socket whose handshake is done.
    pub fn new(inner: WebSocketStream<TcpStream>) -> Self {
        Self { inner, unflushed: false }
    }

    /// Waits for a message, or for what was written to be taken.
    pub async fn hear(&mut self) -> Heard {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        match Pin::new(&mut self.inner).poll_next(cx) {
            Poll::Ready(Some(Ok(message))) => return Poll::Ready(heard(message)),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Heard::Over(said(&error))),
            Poll::Ready(None) => return Poll::Ready(Heard::Over(None)),
            Poll::Pending => {}
        }
        if !self.unflushed {
            return Poll::Pending;
        }
        match Pin::new(&mut self.inner).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.unflushed = false;
                Poll::Ready(Heard::Nothing)
            }
            Poll::Ready(Err(error)) => Poll::Ready(Heard::Over(said(&error))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether everything written was taken by the system.
    pub fn is_clear(&self) -> bool {
        !self.unflushed
    }

    /// Writes without waiting; to be called while [`Socket::is_clear`], and followed by [`Socket::flush`].
    pub fn write(&mut self, frame: Frame) -> Result<(), String> {
        let message = match frame {
            Frame::Text(text) => Message::text(text),
            Frame::Binary(bytes) => Message::Binary(bytes),
        };
        self.send(message)
    }

    /// Asks whether the peer is there.
    pub fn ping(&mut self, mark: Bytes) -> Result<(), String> {
        self.send(Message::Ping(mark))
    }

    fn send(&mut self, message: Message) -> Result<(), String> {
        self.unflushed = true;
        let sent = Pin::new(&mut self.inner).start_send(message);
        sent.map_err(|error| said(&error).unwrap_or_default())
    }

    /// Gives the system what it takes now; the rest follows in [`Socket::hear`].
    pub fn flush(&mut self) -> Result<(), String> {
        if !self.unflushed {
            return Ok(());
        }
        match poll_fn(|cx| Pin::new(&mut self.inner).poll_flush(cx)).now_or_never() {
            Some(Ok(())) => {
                self.unflushed = false;
                Ok(())
            }
            Some(Err(error)) => Err(said(&error).unwrap_or_default()),
            None => Ok(()),
        }
    }

    /// Says farewell and waits until that is sent.
    pub async fn close(mut self) {
        // The peer may be gone already, which is what was wanted.
        let _ = self.inner.close(None).await;
    }
}

fn heard(message: Message) -> Heard {
    match message {
        Message::Text(text) => Heard::Frame(Frame::Text(text.as_str().to_owned())),
        Message::Binary(bytes) => Heard::Frame(Frame::Binary(bytes)),
        Message::Pong(mark) => Heard::Pong(mark),
        Message::Ping(_) | Message::Frame(_) => Heard::Nothing,
        Message::Close(_) => Heard::Over(None),
    }
}

/// The words of an error; none where the connection was closed in an orderly way.
fn said(error: &Error) -> Option<String> {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => None,
        error => Some(error.to_string()),
    }
}
