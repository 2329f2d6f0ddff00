//! Owns one open downchannel: the first delimiter at once, directives as they come, bare delimiters when idle, and its
//! end. One task a downchannel, fed through `Down`; it ends with its stream.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::answers::Outgoing;
use crate::emit::{self, Emitter, Gone};
use crate::state::{Draft, Shared};
use crate::transcript::Direction;

/// What a downchannel task can be told.
pub(crate) enum Down {
    /// Write a directive; the moment its last byte went to HTTP/2 is told back.
    Directive(Box<Outgoing>, Option<oneshot::Sender<Instant>>),
    /// Write this as a part, whatever it is, outside the transcript.
    Raw(Bytes),
    /// END_STREAM.
    End,
    /// RST_STREAM.
    Reset,
}

/// Serves a downchannel until it ends, whoever ends it.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    dsn: String,
    connection: u64,
    mut emitter: Emitter,
    mut orders: mpsc::UnboundedReceiver<Down>,
) {
    // Not even this first line may fail loudly: a peer that is gone already is an ordinary end.
    let emission = shared.lock().device(&dsn).armed.emission();
    let mut fine = emitter.delimiter(emission).await.is_ok();
    let mut beats: u64 = 0;
    while fine {
        let idle = tokio::time::sleep(shared.options.keep_alive);
        let outcome = tokio::select! {
            order = orders.recv() => match order {
                Some(order) => obey(&shared, &dsn, connection, &mut emitter, order).await,
                None => Err(Gone),
            },
            () = idle => {
                beats += 1;
                emitter.keep_alive(beats.is_multiple_of(2)).await
            }
            () = emitter.closed() => Err(Gone),
        };
        fine = outcome.is_ok();
    }
    drop(orders);
    {
        let mut state = shared.lock();
        let device = state.device(&dsn);
        device.downchannels.retain(|down| !down.sender.is_closed());
        if let Some(seen) = device.connections.get_mut(&connection) {
            seen.downchannel = false;
        }
    }
    shared.touch(&dsn);
}

async fn obey(
    shared: &Shared,
    dsn: &str,
    connection: u64,
    emitter: &mut Emitter,
    order: Down,
) -> Result<(), Gone> {
    match order {
        Down::Directive(outgoing, told) => {
            let attachment_bytes = outgoing.attachments.iter().map(|one| one.data.len() as u64).sum();
            shared.sending(dsn, connection, &outgoing.message);
            for part in emit::parts(&outgoing) {
                let emission = shared.lock().device(dsn).armed.emission();
                emitter.part(&part, emission).await?;
            }
            let at = Instant::now();
            let draft = Draft {
                direction: Direction::Directive,
                at,
                started: at,
                connection,
                message: outgoing.message,
                attachment_bytes,
                status: 0,
                violations: Vec::new(),
            };
            shared.record(dsn, draft);
            if let Some(told) = told {
                // Whoever asked may have stopped waiting.
                let _ = told.send(at);
            }
            Ok(())
        }
        Down::Raw(part) => {
            let emission = shared.lock().device(dsn).armed.emission();
            emitter.part(&part, emission).await
        }
        Down::End => {
            emitter.end();
            Err(Gone)
        }
        Down::Reset => {
            emitter.reset();
            Err(Gone)
        }
    }
}
