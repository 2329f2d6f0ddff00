//! Owns the TCP socket below TLS and the ways in which it can misbehave: falling silent, reset, half-closed. The
//! connection reads and writes through `Wire`; whoever injects a fault holds the `Grip` on the same socket.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A hold on a socket, to make it misbehave.
#[derive(Clone)]
pub(crate) struct Grip {
    tcp: Arc<TcpStream>,
    silent: Arc<AtomicBool>,
}

impl Grip {
    /// From now on nothing read is looked at and nothing written leaves, but the socket stays open.
    pub(crate) fn silence(&self) {
        self.silent.store(true, Ordering::Release);
    }

    /// The next close of the socket sends RST instead of FIN.
    pub(crate) fn arm_reset(&self) {
        // A failure leaves an ordinary close, which the peer must survive as well.
        let _ = socket2::SockRef::from(&*self.tcp).set_linger(Some(Duration::ZERO));
    }

    /// Sends FIN while still reading.
    pub(crate) fn half_close(&self) {
        let _ = socket2::SockRef::from(&*self.tcp).shutdown(Shutdown::Write);
    }
}

/// A TCP stream that can be gripped.
pub(crate) struct Wire(Grip);

impl Wire {
    /// Wraps a fresh connection.
    pub(crate) fn new(tcp: TcpStream) -> (Self, Grip) {
        let grip = Grip { tcp: Arc::new(tcp), silent: Arc::new(AtomicBool::new(false)) };
        (Self(grip.clone()), grip)
    }

    fn silent(&self) -> bool {
        self.0.silent.load(Ordering::Acquire)
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.tcp.poll_read_ready(cx))?;
            match self.0.tcp.try_read(buf.initialize_unfilled()) {
                // Silent: swallow, so that only the peer's own close ends the connection.
                Ok(count) if count > 0 && self.silent() => {}
                Ok(count) => {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.silent() {
            return Poll::Ready(Ok(data.len()));
        }
        loop {
            ready!(self.0.tcp.poll_write_ready(cx))?;
            match self.0.tcp.try_write(data) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.silent() {
            self.0.half_close();
        }
        Poll::Ready(Ok(()))
    }
}
