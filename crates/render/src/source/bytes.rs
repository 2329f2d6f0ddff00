//! A pipe for media that arrives from elsewhere: an attachment, an upload.
//!
//! The writer hands over chunks as they come and keeps each alive until GStreamer has used it up, so a chunk may stand
//! for the peer's permission to send more. Nobody waits: what GStreamer does not want yet lies in the pipe.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer_app as gst_app;

/// How much GStreamer takes before it has used up what it has, in bytes; the rest stays in the pipe.
const TAKEN: u64 = 64 * 1024;

/// Makes a pipe.
pub fn byte_pipe() -> (ByteWriter, ByteReader) {
    let shared = Arc::new(Shared::default());
    (ByteWriter { shared: Arc::clone(&shared), finished: false }, ByteReader { shared })
}

/// The writing end. Dropping it without [`ByteWriter::finish`] means that the rest is lost.
pub struct ByteWriter {
    shared: Arc<Shared>,
    finished: bool,
}

/// The reading end, which a stream is opened on.
pub struct ByteReader {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    pipe: Mutex<Pipe>,
    /// Something came, for those who wait on a thread of their own.
    news: Condvar,
    /// GStreamer takes more.
    hungry: AtomicBool,
}

#[derive(Default)]
struct Pipe {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// Nothing more comes: whether it is complete.
    end: Option<bool>,
    ended: bool,
    closed: bool,
    to: Option<gst_app::AppSrc>,
}

struct Chunk(Box<dyn AsRef<[u8]> + Send>);

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl Shared {
    fn pipe(&self) -> MutexGuard<'_, Pipe> {
        // Nothing in here can panic half done.
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on what GStreamer wants. It never waits there: `push_buffer` only queues.
    fn pass_on(&self) {
        let mut pipe = self.pipe();
        let Some(to) = pipe.to.clone() else { return };
        while self.hungry.load(Ordering::Acquire) {
            let Some(chunk) = pipe.chunks.pop_front() else { break };
            pipe.bytes -= chunk.as_ref().len();
            if to.push_buffer(gst::Buffer::from_slice(chunk)).is_err() {
                return;
            }
        }
        if pipe.chunks.is_empty() && pipe.end.is_some() && !pipe.ended {
            pipe.ended = true;
            // Refused only by a pipeline that is going down.
            let _ = to.end_of_stream();
        }
    }
}

impl ByteWriter {
    /// Hands over what came next. False, and the chunk is dropped, when nobody reads any more.
    pub fn push(&self, chunk: Box<dyn AsRef<[u8]> + Send>) -> bool {
        let chunk = Chunk(chunk);
        if chunk.as_ref().is_empty() {
            return true;
        }
        let mut pipe = self.shared.pipe();
        if pipe.closed {
            return false;
        }
        pipe.bytes += chunk.as_ref().len();
        pipe.chunks.push_back(chunk);
        drop(pipe);
        self.shared.news.notify_all();
        self.shared.pass_on();
        true
    }

    /// Bytes that nobody has taken yet.
    pub fn pending(&self) -> usize {
        self.shared.pipe().bytes
    }

    /// Nothing more comes; `complete` tells whether that was all.
    pub fn finish(mut self, complete: bool) {
        self.end(complete);
    }

    fn end(&mut self, complete: bool) {
        if !std::mem::replace(&mut self.finished, true) {
            self.shared.pipe().end = Some(complete);
            self.shared.news.notify_all();
            self.shared.pass_on();
        }
    }
}

impl Drop for ByteWriter {
    fn drop(&mut self) {
        self.end(false);
    }
}

impl ByteReader {
    /// Begins to feed `to`, which is set up to queue little and never to wait.
    pub(crate) fn feed(&self, to: &gst_app::AppSrc) {
        to.set_max_bytes(TAKEN);
        to.set_block(false);
        let (more, enough) = (Arc::downgrade(&self.shared), Arc::downgrade(&self.shared));
        to.set_callbacks(
            gst_app::AppSrcCallbacks::builder()
                .need_data(move |_, _| {
                    if let Some(shared) = more.upgrade() {
                        shared.hungry.store(true, Ordering::Release);
                        shared.pass_on();
                    }
                })
                .enough_data(move |_| {
                    if let Some(shared) = enough.upgrade() {
                        shared.hungry.store(false, Ordering::Release);
                    }
                })
                .build(),
        );
        self.shared.pipe().to = Some(to.clone());
    }

    /// Whether the writer ended before all was written.
    pub(crate) fn is_broken(&self) -> bool {
        self.shared.pipe().end == Some(false)
    }

    /// Takes the next chunk, where no GStreamer is wanted.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        let mut pipe = self.shared.pipe();
        let chunk = pipe.chunks.pop_front()?;
        pipe.bytes -= chunk.as_ref().len();
        Some(chunk.as_ref().to_vec())
    }

    /// Waits until something may have come.
    pub(crate) fn wait(&self, most: Duration) {
        let pipe = self.shared.pipe();
        if pipe.chunks.is_empty() && pipe.end.is_none() {
            // Whoever waits looks again anyway.
            drop(self.shared.news.wait_timeout(pipe, most));
        }
    }

    /// Whether nothing more comes, and whether that was all.
    pub(crate) fn end(&self) -> Option<bool> {
        let pipe = self.shared.pipe();
        pipe.end.filter(|_| pipe.chunks.is_empty())
    }
}

impl Drop for ByteReader {
    fn drop(&mut self) {
        let mut pipe = self.shared.pipe();
        pipe.closed = true;
        pipe.to = None;
        let chunks = std::mem::take(&mut pipe.chunks);
        pipe.bytes = 0;
        drop(pipe);
        // A chunk may do anything when it is dropped.
        drop(chunks);
    }
}
