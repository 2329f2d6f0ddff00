//! Uploads over HTTP/2 in memory: the peer reads, reads slowly, or does not read at all.

use std::future::poll_fn;

use h2::{Reason, RecvStream, client, server};
use prometheus::IntGauge;
use proptest::prelude::*;

use super::*;

/// What became of an upload.
#[derive(Debug, PartialEq)]
enum End {
    Done,
    Overrun,
    Gone,
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Runs an upload whose pieces come from `pieces` against a peer that `reads`, with this window for each stream.
async fn upload<R, F>(window: u32, pieces: mpsc::Receiver<Bytes>, reads: R) -> (End, F::Output)
where
    R: FnOnce(RecvStream) -> F,
    F: Future + Send + 'static,
    F::Output: Send,
{
    let (here, there) = tokio::io::duplex(64 * 1024);
    let peer = tokio::spawn(async move {
        let mut connection = server::Builder::new()
            .initial_window_size(window)
            .handshake::<_, Bytes>(there)
            .await
            .expect("a connection");
        let (request, answer) = connection.accept().await.expect("a request").expect("a request");
        tokio::spawn(async move { while connection.accept().await.is_some() {} });
        (request.into_body(), answer)
    });
    let (mut send, connection) =
        client::Builder::new().max_send_buffer_size(64 * 1024).handshake(here).await.expect("a connection");
    tokio::spawn(connection);
    poll_fn(|cx| send.poll_ready(cx)).await.expect("ready");
    let request = http::Request::post("https://a/").body(()).expect("a request");
    let (response, mut stream) = send.send_request(request, false).expect("sent");
    let (body, answer) = peer.await.expect("the peer lives");
    let reading = tokio::spawn(reads(body));
    let mut upload = Upload::new(pieces);
    let open = IntGauge::new("open", "open").expect("a gauge");
    upload.start(Bytes::from_static(b"END"), open.clone());
    assert_eq!(open.get(), 1);
    let end = poll_fn(|cx| {
        if upload.fill(cx).is_err() {
            return Poll::Ready(End::Overrun);
        }
        match upload.send(cx, &mut stream) {
            Progress::Sent { done: true, .. } => Poll::Ready(End::Done),
            Progress::Gone => Poll::Ready(End::Gone),
            Progress::Sent { .. } | Progress::None => Poll::Pending,
        }
    })
    .await;
    drop(upload);
    assert_eq!(open.get(), 0);
    if end != End::Done {
        stream.send_reset(Reason::CANCEL);
    }
    let read = reading.await.expect("the reader lives");
    drop((answer, response));
    (end, read)
}

/// Reads to the end: every frame's bytes.
async fn frames(mut body: RecvStream) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while let Some(Ok(frame)) = body.data().await {
        let _ = body.flow_control().release_capacity(frame.len());
        if !frame.is_empty() {
            frames.push(frame);
        }
    }
    frames
}

fn channel(pieces: &[Vec<u8>]) -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(pieces.len().max(1));
    for piece in pieces {
        sender.try_send(Bytes::from(piece.clone())).expect("room");
    }
    receiver
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_the_same_body_whatever_the_window(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..700), 0..40),
        window in prop_oneof![16..400u32, Just(65_535u32)],
    ) {
        let (end, frames) = runtime().block_on(upload(window, channel(&pieces), frames));
        prop_assert_eq!(end, End::Done);
        let body: Vec<u8> = frames.concat();
        let expected: Vec<u8> = pieces.concat().into_iter().chain(*b"END").collect();
        prop_assert_eq!(body, expected);
        // With room enough each piece is a frame of its own.
        let pieces: Vec<&Vec<u8>> = pieces.iter().filter(|p| !p.is_empty()).collect();
        if window == 65_535 && pieces.iter().map(|p| p.len()).sum::<usize>() < 30_000 {
            prop_assert_eq!(frames.len(), pieces.len() + 1);
        }
    }
}

#[test]
fn pieces_leave_while_the_rest_is_not_captured_yet() {
    runtime().block_on(async {
        let (sender, receiver) = mpsc::channel(4);
        let (first, heard) = tokio::sync::oneshot::channel();
        let speaking = tokio::spawn(async move {
            sender.send(Bytes::from(vec![1; 320])).await.expect("taken");
            // The second is captured only when the first was heard at the other end.
            let frame: Bytes = heard.await.expect("heard");
            assert_eq!(frame.len(), 320);
            sender.send(Bytes::from(vec![2; 320])).await.expect("taken");
        });
        let (end, rest) = upload(65_535, receiver, |mut body: RecvStream| async move {
            let frame = body.data().await.expect("a frame").expect("a frame");
            first.send(frame).expect("wanted");
            frames(body).await
        })
        .await;
        speaking.await.expect("spoken");
        assert_eq!((end, rest.len()), (End::Done, 2));
    });
}

#[test]
fn a_peer_that_does_not_read_costs_a_bounded_queue_and_then_the_capture() {
    runtime().block_on(async {
        let (sender, receiver) = mpsc::channel(4);
        let (closed, over) = tokio::sync::oneshot::channel();
        let speaking = tokio::spawn(async move {
            let mut sent = 0;
            while sender.send(Bytes::from(vec![0; 320])).await.is_ok() {
                sent += 320;
                assert!(sent < 1 << 20, "unbounded");
            }
            closed.send(()).expect("wanted");
            sent
        });
        // Its window stays shut until the capturing side was told.
        let (end, ()) = upload(16_384, receiver, |body: RecvStream| async move {
            over.await.expect("told");
            drop(body);
        })
        .await;
        let sent = speaking.await.expect("told");
        assert_eq!(end, End::Overrun);
        assert!(sent <= MAX_BEHIND + 16_384 + 65_536 + 4 * 320, "{sent}");
    });
}

#[test]
fn a_flood_of_tiny_pieces_is_bounded_too() {
    let (sender, receiver) = mpsc::channel(2 * MAX_BEHIND);
    for _ in 0..MAX_BEHIND / COST + 1 {
        sender.try_send(Bytes::from_static(b"x")).expect("room");
    }
    let mut upload = Upload::new(receiver);
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(upload.fill(&mut context).is_err());
}
