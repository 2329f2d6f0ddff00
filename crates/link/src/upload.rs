//! The audio of one event, on its way from whoever captures it into the event's body.
//!
//! Owned by the link's task, driven by its polls. Promises: the capturing side's channel is emptied at once; each piece
//! becomes a DATA frame of its own as soon as the peer's window takes it; no more than [`MAX_BEHIND`] waits here.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::SendStream;
use prometheus::IntGauge;
use tokio::sync::mpsc;

/// Audio that may wait for the peer or for its event's turn (ours): 8 s of PCM, after which nobody waits for an answer.
const MAX_BEHIND: usize = 256 * 1024;

/// What keeping a piece costs beside its bytes, so that a flood of tiny ones is bounded too.
const COST: usize = 64;

/// Audio being uploaded, or waiting for its event to start.
pub(crate) struct Upload {
    pieces: mpsc::Receiver<Bytes>,
    waiting: VecDeque<Bytes>,
    /// Bytes waiting, with the cost of their pieces.
    behind: usize,
    /// What ends the body; taken when the last piece is in `waiting`, present while more may come.
    closing: Option<Bytes>,
    /// No piece follows.
    ended: bool,
    open: Option<IntGauge>,
}

/// More than [`MAX_BEHIND`] waits.
#[derive(Debug)]
pub(crate) struct Overrun;

/// What an upload did.
pub(crate) enum Progress {
    /// Nothing: there is nothing to send, or the peer's window is shut.
    None,
    /// So many bytes left; with `done`, the end of the body too.
    Sent { bytes: usize, done: bool },
    /// The stream takes nothing more.
    Gone,
}

impl Upload {
    pub(crate) fn new(pieces: mpsc::Receiver<Bytes>) -> Self {
        Self { pieces, waiting: VecDeque::new(), behind: 0, closing: None, ended: false, open: None }
    }

    /// The event starts: `closing` ends its body, `open` counts it.
    pub(crate) fn start(&mut self, closing: Bytes, open: IntGauge) {
        open.inc();
        self.open = Some(open);
        self.closing = Some(closing);
    }

    /// Takes what was captured.
    pub(crate) fn fill(&mut self, cx: &mut Context<'_>) -> Result<(), Overrun> {
        while !self.ended {
            match self.pieces.poll_recv(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(Some(piece)) if piece.is_empty() => {}
                Poll::Ready(Some(piece)) => {
                    self.behind += piece.len() + COST;
                    self.waiting.push_back(piece);
                    if self.behind > MAX_BEHIND {
                        return Err(Overrun);
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends what the peer takes.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, stream: &mut SendStream<Bytes>) -> Progress {
        let mut sent = 0;
        loop {
            if self.ended
                && self.waiting.is_empty()
                && let Some(closing) = self.closing.take()
            {
                self.behind += closing.len() + COST;
                self.waiting.push_back(closing);
            }
            let Some(piece) = self.waiting.front_mut() else { break };
            stream.reserve_capacity(piece.len());
            let room = stream.capacity();
            if room == 0 {
                match stream.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(_))) => continue,
                    Poll::Ready(_) => return Progress::Gone,
                    Poll::Pending => break,
                }
            }
            // A window that opens by less than a piece still moves.
            let part = piece.split_to(room.min(piece.len()));
            let whole = piece.is_empty();
            self.behind -= part.len();
            sent += part.len();
            if whole {
                self.waiting.pop_front();
                self.behind -= COST;
            }
            let done = self.closing.is_none() && self.waiting.is_empty();
            if stream.send_data(part, done).is_err() {
                return Progress::Gone;
            }
            if done {
                return Progress::Sent { bytes: sent, done };
            }
        }
        if sent == 0 { Progress::None } else { Progress::Sent { bytes: sent, done: false } }
    }

    /// The answer is complete: ends the body properly where that is possible at once. False if it is not.
    pub(crate) fn finish(&mut self, stream: &mut SendStream<Bytes>) -> bool {
        let Some(closing) = self.closing.take() else { return false };
        stream.reserve_capacity(closing.len());
        stream.capacity() >= closing.len() && stream.send_data(closing, true).is_ok()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            open.dec();
        }
    }
}

#[cfg(test)]
mod tests;
