//! Events with speech: order, progress, one outcome, never a repeat; room among ten streams.

use std::time::Duration;

use antiphon_avs::message::{CaptureId, Event, Retry, StreamId};
use antiphon_avs::session::{EventOutcome, Input, Output, Stack};

use crate::bench::{Bench, config, event};

fn recognize() -> Event {
    // Whatever its maker says: its audio can be sent once.
    let mut event = event("Recognize", Retry::UntilAccepted);
    event.audio = Some(CaptureId(1));
    event
}

/// A connected bench on which a Recognize is being sent, and its stream.
fn speaking() -> (Bench, StreamId) {
    let mut bench = Bench::connected(config(Stack::Legacy));
    assert_eq!(bench.give(Input::Post(recognize())), ["ask Recognize"]);
    let stream = bench.stream("Recognize");
    (bench, stream)
}

fn headers(bench: &mut Bench, stream: StreamId, status: u16) -> Vec<String> {
    let content_type = Some("multipart/related; boundary=BB".to_owned());
    bench.give(Input::Headers { stream, status, content_type })
}

/// Lets time pass on a network that is alive.
fn pass(bench: &mut Bench, seconds: u64) -> Vec<String> {
    let mut words = Vec::new();
    for _ in 0..seconds {
        let conn = bench.conn();
        words.extend(bench.give(Input::Pong(conn)));
        words.extend(bench.pass(Duration::from_secs(1)));
    }
    words.retain(|word| word != "liveness");
    words
}

#[test]
fn the_body_stays_open_for_audio_and_says_how_it_ends() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    bench.session.handle_input(Input::Post(recognize()), bench.now);
    let request = loop {
        match bench.session.poll_output() {
            Output::Request(_, _, request) => break request,
            Output::Wait(_) => panic!("no request"),
            _ => {}
        }
    };
    let (content_type, head) = request.body.expect("a body");
    let audio = request.audio.expect("audio");
    let term = content_type.split("boundary=").nth(1).expect("a boundary");
    assert!(head.ends_with(b"name=\"audio\"\r\nContent-Type: application/octet-stream\r\n\r\n"));
    assert_eq!(audio.closing, format!("\r\n--{term}--\r\n"));
}

#[test]
fn others_wait_for_the_headers_and_not_for_the_end_of_speech() {
    let (mut bench, stream) = speaking();
    assert_eq!(bench.give(Input::Post(event("Other", Retry::BeforeHeaders))), [""; 0]);
    assert_eq!(bench.give(Input::Sent(stream)), [""; 0]);
    // The downchannel is not held up: StopCapture comes there.
    let downchannel = bench.stream("/v20160207/directives");
    let words = bench.directive(downchannel, "SpeechRecognizer", "StopCapture", "{}");
    assert_eq!(words, ["directive StopCapture"]);
    // Headers let the next one go; accepted is said when the audio is there too.
    assert_eq!(headers(&mut bench, stream, 200), ["ask Other"]);
    assert_eq!(bench.give(Input::Uploaded(stream)), ["outcome Recognize"]);
    assert_eq!(bench.directive(stream, "SpeechSynthesizer", "Speak", "{}"), ["directive Speak"]);
    assert!(bench.answered.is_empty());
    assert_eq!(bench.give(Input::End(stream)), ["stream ended"]);
    assert_eq!(bench.answered.len(), 1);
    assert_eq!(bench.outcomes, [("Recognize".into(), EventOutcome::Accepted { status: 200 })]);
}

#[test]
fn an_answer_that_is_complete_ends_the_upload() {
    for status in [200, 204] {
        let (mut bench, stream) = speaking();
        headers(&mut bench, stream, status);
        bench.give(Input::End(stream));
        assert_eq!(bench.outcomes, [("Recognize".into(), EventOutcome::Accepted { status })]);
        assert_eq!(bench.answered.len(), 1, "{status}");
        // What was still on its way means nothing.
        assert_eq!(bench.give(Input::Uploaded(stream)), [""; 0]);
    }
    let (mut bench, stream) = speaking();
    headers(&mut bench, stream, 500);
    assert_eq!(bench.give(Input::End(stream)), ["outcome Recognize"]);
    assert!(matches!(bench.outcomes[0].1, EventOutcome::Refused { status: 500, .. }));
    assert!(bench.answered.is_empty());
    assert_eq!(pass(&mut bench, 100), [""; 0], "speech is not repeated");
}

#[test]
fn what_dies_in_the_midst_is_lost_and_never_repeated() {
    for answered in [false, true] {
        for how in 0..3 {
            let (mut bench, stream) = speaking();
            if answered {
                headers(&mut bench, stream, 200);
            }
            let conn = bench.conn();
            match how {
                0 => bench.give(Input::Reset { stream, unprocessed: true }),
                1 => bench.give(Input::Closed(conn)),
                _ => {
                    let message_id = bench.posted.clone().expect("a request");
                    bench.give(Input::Abandon(message_id))
                }
            };
            assert_eq!(bench.outcomes, [("Recognize".into(), EventOutcome::Lost)], "{answered} {how}");
            assert!(bench.answered.is_empty());
            let asked = bench.asked.iter().filter(|(_, _, name)| name == "Recognize").count();
            bench.pass(Duration::from_secs(20));
            assert_eq!(bench.asked.iter().filter(|(_, _, n)| n == "Recognize").count(), asked);
        }
    }
}

#[test]
fn thirty_seconds_without_progress_end_it_and_audio_is_progress() {
    let (mut bench, stream) = speaking();
    headers(&mut bench, stream, 200);
    for _ in 0..100 {
        assert_eq!(pass(&mut bench, 1), [""; 0]);
        bench.give(Input::Sent(stream));
    }
    // Nobody captures any more, and nothing comes back.
    assert_eq!(pass(&mut bench, 29), [""; 0]);
    assert_eq!(pass(&mut bench, 1), ["cancel", "stream ended", "outcome Recognize", "ask /ping"]);
    assert_eq!(bench.outcomes, [("Recognize".into(), EventOutcome::Lost)]);
}

#[test]
fn speech_waits_for_its_turn_but_not_for_another_connection() {
    let mut bench = Bench::connected(config(Stack::Legacy));
    bench.give(Input::Post(event("Slow", Retry::BeforeHeaders)));
    assert_eq!(bench.give(Input::Post(recognize())), [""; 0]);
    let conn = bench.conn();
    bench.give(Input::Closed(conn));
    assert_eq!(bench.outcomes, [("Recognize".into(), EventOutcome::Lost)]);
}

#[test]
fn speech_goes_on_where_it_began_while_the_connection_is_renewed() {
    let (mut bench, stream) = speaking();
    pass(&mut bench, 12);
    let downchannel = bench.stream("/v20160207/directives");
    let words = bench.give(Input::End(downchannel));
    assert!(words.iter().any(|word| word.starts_with("connect")), "{words:?}");
    bench.open();
    bench.give(Input::Sent(stream));
    headers(&mut bench, stream, 200);
    bench.give(Input::Uploaded(stream));
    assert_eq!(bench.directive(stream, "SpeechSynthesizer", "Speak", "{}"), ["directive Speak"]);
    assert_eq!(bench.give(Input::End(stream)), ["stream ended", "close 1"]);
    assert_eq!(bench.outcomes, [("Recognize".into(), EventOutcome::Accepted { status: 200 })]);
}

#[test]
fn an_open_recognize_takes_one_of_ten_streams() {
    let mut config = config(Stack::Legacy);
    config.max_waiting = 64;
    let mut bench = Bench::connected(config);
    bench.give(Input::Post(recognize()));
    let stream = bench.stream("Recognize");
    headers(&mut bench, stream, 200);
    for n in 0..10 {
        bench.give(Input::Post(event(&format!("E{n}"), Retry::BeforeHeaders)));
        if bench.asked.iter().any(|(_, _, name)| *name == format!("E{n}")) {
            let stream = bench.stream(&format!("E{n}"));
            headers(&mut bench, stream, 200);
        }
    }
    // Downchannel, Recognize, a place for the ping: seven are left.
    let started = bench.asked.iter().filter(|(_, _, name)| name.starts_with('E')).count();
    assert_eq!(started, 7);
    bench.give(Input::Uploaded(stream));
    assert!(bench.give(Input::End(stream)).contains(&"ask E7".to_owned()));
}
