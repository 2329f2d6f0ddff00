//! The talk against servers that are made up here, under a time of their own.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_audio::{BLOCK_FRAMES, Block, CHANNELS};
use antiphon_domain::{Frames, HubTime, SampleRate};
use antiphon_endpoint::{LostReason, Pace};
use proptest::prelude::*;

use super::depth::Depth;
use super::levels::Levels;
use super::talk::{News, Talk};
use super::wire::frame::{HEAD, put_message};
use super::wire::message::COOKIE;
use super::wire::tags::Writer;

const RATE: u32 = 48_000;
/// Bytes a millisecond.
const PACE: u64 = RATE as u64 * 4 / 1_000;
const MS: Duration = Duration::from_millis(1);

fn talk() -> Talk {
    let depth = Depth::of(Pace::Steady);
    Talk::begin("out".into(), depth, Levels::new(true), &[0; COOKIE], HubTime::EPOCH)
}

fn at(millis: u64) -> HubTime {
    HubTime::EPOCH + MS * millis as u32
}

fn frame(message: Writer) -> Vec<u8> {
    framed(&message.into_bytes())
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_message(&mut bytes, message);
    bytes
}

fn reply(tag: u32) -> Writer {
    Writer::default().u32(2).u32(tag)
}

fn made(tag: u32, wanted: u32) -> Vec<u8> {
    let sizes = [7, 70, wanted, u32::MAX, 67_200, 0, 3_840];
    let stream = sizes.into_iter().fold(reply(tag), Writer::u32).stereo(RATE);
    frame(stream.u32(1).text(Some("out")).flag(false))
}

fn latency(tag: u32, sink_micros: u64, read: i64) -> Vec<u8> {
    let mut bytes = reply(tag).into_bytes();
    for micros in [sink_micros, 0] {
        bytes.push(b'U');
        bytes.extend(micros.to_be_bytes());
    }
    bytes.push(b'1');
    bytes.extend([b'T', 0, 0, 0, 0, 0, 0, 0, 0].repeat(2));
    for bytes_so_far in [read, read] {
        bytes.push(b'r');
        bytes.extend(bytes_so_far.to_be_bytes());
    }
    framed(&bytes)
}

/// A server with a sink that begins to play as the stream is made.
struct Server {
    talk: Talk,
    /// How long its sink holds what it has taken.
    sink: Duration,
    /// When the sink stops, though the server goes on.
    stops: u64,
    /// When nothing gets through, either way, milliseconds.
    cut: std::ops::Range<u64>,
    made: Option<u64>,
    asked_for: u64,
    questions: VecDeque<(u32, u32)>,
    news: Vec<News>,
    now: u64,
    block: u64,
}

impl Server {
    fn new(sink: Duration) -> Self {
        Self {
            talk: talk(),
            sink,
            stops: u64::MAX,
            cut: 0..0,
            made: None,
            asked_for: 0,
            questions: VecDeque::new(),
            news: Vec::new(),
            now: 0,
            block: 0,
        }
    }

    /// Bytes that the sink has taken.
    fn read(&self) -> u64 {
        self.made.map_or(0, |made| self.now.min(self.stops).saturating_sub(made) * PACE)
    }

    /// Takes what the talk wants to send; its questions wait to be answered.
    fn take(&mut self) {
        let out = self.talk.out().to_vec();
        self.talk.sent(out.len());
        let mut rest = &out[..];
        let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        while !rest.is_empty() {
            let (length, channel) = (word(rest, 0) as usize, word(rest, 4));
            let message = &rest[HEAD..HEAD + length];
            if channel == u32::MAX {
                self.questions.push_back((word(message, 1), word(message, 6)));
            }
            rest = &rest[HEAD + length..];
        }
    }

    fn answer(&mut self) -> Result<(), LostReason> {
        let now = at(self.now);
        while let Some((question, tag)) = self.questions.pop_front() {
            let bytes = match question {
                8 => frame(reply(tag).u32(35)),
                21 => frame(reply(tag).u32(1).text(Some("out")).text(None).stereo(RATE)),
                3 => {
                    self.made = Some(self.now);
                    self.asked_for = 67_200;
                    made(tag, 67_200)
                }
                14 => latency(tag, self.sink.as_micros() as u64, self.read() as i64),
                _ => frame(reply(tag).u32(1)),
            };
            self.talk.hear(&bytes, now)?;
        }
        // It asks for as much as its sink has taken.
        let room = self.read() + 67_200 - self.asked_for.min(self.read() + 67_200);
        if self.made.is_some() && room >= 3_840 {
            self.asked_for += room;
            let request = Writer::default().u32(61).u32(u32::MAX).u32(7).u32(room as u32);
            self.talk.hear(&frame(request), now)?;
        }
        Ok(())
    }

    /// Lets so many milliseconds pass; blocks are played as they fall due.
    fn run(&mut self, millis: u64, plays: bool) -> Result<(), LostReason> {
        for _ in 0..millis {
            self.now += 1;
            let now = at(self.now);
            let due =
                |block: u64| HubTime::EPOCH + Frames(block * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
            while due(self.block) < now + Duration::from_millis(480) {
                let samples = vec![9; BLOCK_FRAMES * CHANNELS].into();
                if plays {
                    self.talk.play(&Block { due: due(self.block), samples });
                }
                self.block += 1;
            }
            self.talk.tick(now)?;
            if !self.cut.contains(&self.now) {
                self.take();
                self.answer()?;
            }
            while let Some(news) = self.talk.news() {
                self.news.push(news);
            }
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.news.contains(&News::Ready)
    }

    fn late(&self) -> u32 {
        self.news.iter().map(|news| if let News::Late(blocks) = news { *blocks } else { 0 }).sum()
    }
}

#[test]
fn one_that_says_nothing_is_given_up_in_time() {
    let mut talk = talk();
    assert_eq!(talk.tick(HubTime::EPOCH), Ok(()));
    let deadline = talk.deadline().unwrap();
    assert!(deadline <= at(2_000));
    assert!(matches!(talk.tick(deadline), Err(LostReason::Disconnected(_))));
}

#[test]
fn refusals_are_told_apart() {
    let refuse = |code: u32| talk().hear(&frame(Writer::default().u32(0).u32(1).u32(code)), HubTime::EPOCH);
    assert_eq!(refuse(1), Err(LostReason::PasswordRequired));
    assert!(matches!(refuse(7), Err(LostReason::Protocol(_))));
    let old = frame(reply(1).u32(12));
    assert!(matches!(talk().hear(&old, HubTime::EPOCH), Err(LostReason::Protocol(_))));
    // Answers to what nobody asked change nothing.
    assert_eq!(talk().hear(&frame(reply(99)), HubTime::EPOCH), Ok(()));
}

#[test]
fn blocks_wait_for_the_stream_and_not_without_bound() {
    let mut talk = talk();
    let block = Block { due: HubTime::EPOCH, samples: vec![0; 704].into() };
    let taken = (0..10_000).filter(|_| talk.play(&block)).count();
    assert_eq!(taken, 512);
    talk.flush(HubTime::EPOCH);
    assert!(talk.play(&block));
}

#[test]
fn a_sink_that_plays_is_ready_and_misses_nothing() {
    for sink in [5, 200, 380] {
        let mut server = Server::new(MS * sink);
        assert_eq!(server.run(20_000, true), Ok(()), "{sink} ms");
        assert!(server.is_ready() && server.late() == 0, "{sink} ms: {} blocks late", server.late());
    }
}

#[test]
fn a_sink_that_holds_sound_longer_than_it_is_given_ahead_is_not_there() {
    let mut server = Server::new(MS * 500);
    let why = server.run(6_000, true).unwrap_err();
    assert!(why.to_string().contains("holds 500 ms"), "{why}");
    assert!(!server.is_ready());
    // One that becomes so, as a stream is moved to it.
    let mut server = Server::new(MS * 20);
    assert_eq!(server.run(5_000, true), Ok(()));
    assert!(server.is_ready());
    server.sink = MS * 500;
    assert!(matches!(server.run(6_000, true), Err(LostReason::Unavailable(_))));
}

#[test]
fn a_sink_that_stops_while_its_server_goes_on_is_lost() {
    let mut server = Server::new(MS * 20);
    server.stops = 8_000;
    assert_eq!(server.run(8_000, true), Ok(()));
    assert!(server.is_ready());
    let why = server.run(6_000, true).unwrap_err();
    assert!(matches!(why, LostReason::Unavailable(_)), "{why:?}");
}

#[test]
fn sound_that_a_stalled_network_made_late_is_told() {
    let mut server = Server::new(MS * 20);
    server.cut = 5_000..6_000;
    assert_eq!(server.run(8_000, true), Ok(()));
    // The server had 350 ms of the second, and the sink 20.
    let (late, lost) = (f64::from(server.late()), 630.0 * 44.1 / BLOCK_FRAMES as f64);
    assert!((late - lost).abs() < 8.0, "{late} blocks of {lost}");
    // Nobody misses silence.
    let mut server = Server::new(MS * 20);
    server.cut = 5_000..6_000;
    assert_eq!(server.run(8_000, false), Ok(()));
    assert_eq!(server.late(), 0);
}

#[test]
fn a_server_that_takes_nothing_costs_neither_memory_nor_time() {
    let mut server = Server::new(MS * 20);
    assert_eq!(server.run(3_000, true), Ok(()));
    let now = at(server.now);
    let request = Writer::default().u32(61).u32(u32::MAX).u32(7).u32(11_000_000);
    server.talk.hear(&frame(request), now).unwrap();
    // It has played far ahead, so that all of it is wanted at once.
    server.talk.tick(now + MS * 50).unwrap();
    server.take();
    let (_, tag) = *server.questions.iter().find(|(question, _)| *question == 14).unwrap();
    server.talk.hear(&latency(tag, 0, 30_000_000), now + MS * 50).unwrap();
    server.talk.tick(now + MS * 51).unwrap();
    assert!((64 * 1_024..80 * 1_024).contains(&server.talk.out().len()), "{}", server.talk.out().len());
    assert!(server.talk.deadline().unwrap() > now + MS * 51, "it would be woken without an end");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_a_server_says_of_itself_is_taken_or_ends_it(
        wanted in any::<u32>(),
        said in proptest::collection::vec((any::<u64>(), any::<i64>(), any::<u32>(), 50..1_500_u32), 1..40),
        small in any::<bool>(),
    ) {
        let mut talk = talk();
        let sink = reply(3).u32(1).text(None).text(None).stereo(RATE);
        for message in [reply(1).u32(35), reply(2), sink] {
            prop_assert_eq!(talk.hear(&frame(message), HubTime::EPOCH), Ok(()));
        }
        if talk.hear(&made(4, wanted), HubTime::EPOCH).is_err() {
            return Ok(());
        }
        // The subscription; what follows are the questions for the stream's place.
        prop_assert_eq!(talk.hear(&frame(reply(5)), HubTime::EPOCH), Ok(()));
        let mut now = HubTime::EPOCH;
        for (tag, (sink, read, bytes, passed)) in (6..).zip(said) {
            let (sink, read) = if small { (sink % 60_000_000, read % 1_000_000_000) } else { (sink, read) };
            let block = Block { due: now + Duration::from_millis(500), samples: vec![5; 704].into() };
            talk.play(&block);
            let mut go_on = || {
                talk.tick(now)?;
                talk.hear(&latency(tag, sink, read), now)?;
                let request = Writer::default().u32(61).u32(u32::MAX).u32(7).u32(bytes % 1_000_000);
                talk.hear(&frame(request), now + MS)?;
                talk.tick(now + MS)
            };
            if go_on().is_err() {
                return Ok(());
            }
            prop_assert!(talk.out().len() < 80 * 1_024, "{}", talk.out().len());
            let length = talk.out().len();
            talk.sent(length);
            now = now + MS * passed;
        }
    }
}
