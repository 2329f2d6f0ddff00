//! What is encoded is what was played: read back by decoders of other people, and shared where it is the same.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::sync::Arc;

use antiphon_audio::BLOCK_FRAMES;
use antiphon_audio::encode::{Codec, Depth, Format, Grouping, Piece, Run, Shared, Thread};
use antiphon_domain::{Frames, HubTime, SampleRate};
use proptest::prelude::*;

fn format(codec: Codec, depth: Depth) -> Format {
    Format { codec, rate: SampleRate::HUB, depth }
}

/// What a decoder makes of a header and chunks: interleaved samples.
fn decoded(header: &[u8], chunks: &[impl AsRef<[u8]>]) -> Vec<i32> {
    let mut file = header.to_vec();
    chunks.iter().for_each(|chunk| file.extend_from_slice(chunk.as_ref()));
    let mut reader = claxon::FlacReader::new(file.as_slice()).unwrap();
    reader.samples().map(Result::unwrap).collect()
}

fn pieces(lengths: &[usize], mut sample: impl FnMut(usize) -> i16) -> Vec<Piece> {
    let mut at = 0;
    let mut piece = |frames: &usize| {
        let samples: Vec<i16> = (at..at + 2 * frames).map(&mut sample).collect();
        at += 2 * frames;
        Piece::whole(samples.into())
    };
    lengths.iter().map(&mut piece).collect()
}

fn all(pieces: &[Piece]) -> Vec<i16> {
    pieces.iter().flat_map(|piece| piece.meant().to_vec()).collect()
}

/// Encodes each run of `most` pieces, and reads it back.
fn survives(depth: Depth, pieces: &[Piece], most: usize) {
    let mut shared = Shared::new(format(Codec::Flac, depth)).unwrap();
    let mut thread = Thread::default();
    let chunks: Vec<_> = pieces.chunks(most).map(|run| shared.chunk(&mut thread, run).bytes).collect();
    let shift = depth.bits() - 16;
    let expected: Vec<i32> = all(pieces).iter().map(|sample| i32::from(*sample) << shift).collect();
    assert_eq!(decoded(&shared.header(), &chunks), expected);
}

#[test]
fn extremes_survive() {
    let odd = |at: usize| at.is_multiple_of(3);
    let signals: [&dyn Fn(usize) -> i16; 7] = [
        &|_| 0,
        &|_| i16::MIN,
        &|at| if at % 2 == 0 { i16::MIN } else { i16::MAX },
        &|at| if odd(at) { i16::MIN } else { i16::MAX },
        &|at| if at % 4 < 2 { i16::MIN } else { i16::MAX },
        &|at| if at == 1_000 { i16::MIN } else { 1 },
        &|at| (at % 65_536) as i16,
    ];
    for signal in signals {
        for depth in [Depth::Sixteen, Depth::TwentyFour] {
            survives(depth, &pieces(&[BLOCK_FRAMES; 6], signal), 3);
            survives(depth, &pieces(&[1, 16, 17, 33, 383, 384, 5_000], signal), 1);
            survives(depth, &pieces(&[1, 16, 17, 33, 383, 384, 5_000], signal), 7);
        }
    }
}

#[test]
fn frames_leave_no_hole_for_decoders_to_fill() {
    // A receiver that joins has a frame of its own made; what the others are sent goes on as if it had not.
    let mut shared = Shared::new(format(Codec::Flac, Depth::Sixteen)).unwrap();
    let mut thread = Thread::default();
    let sound = pieces(&[BLOCK_FRAMES; 9], |at| (at % 97) as i16);
    for run in [&sound[0..3], &sound[4..6], &sound[3..6], &sound[6..9]] {
        let chunk = shared.chunk(&mut thread, run).bytes;
        // The sync code with blocks of variable size, four bytes in all, and the number.
        assert_eq!((chunk[0], chunk[1], chunk[4]), (0xFF, 0xF9, 0));
    }
}

#[test]
fn pcm_is_little_endian() {
    let piece = Piece::whole(Arc::from([0x0102_i16, -2]));
    let mut thread = Thread::default();
    let mut sixteen = Shared::new(format(Codec::Pcm, Depth::Sixteen)).unwrap();
    assert_eq!(sixteen.chunk(&mut thread, std::slice::from_ref(&piece)).bytes[..], [2, 1, 0xFE, 0xFF]);
    let mut more = Shared::new(format(Codec::Pcm, Depth::TwentyFour)).unwrap();
    assert_eq!(more.chunk(&mut thread, &[piece]).bytes[..], [0, 2, 1, 0, 0xFE, 0xFF]);
}

#[test]
fn opus_keeps_the_tone_and_says_its_delay() {
    let rate = SampleRate::new(48_000).unwrap();
    let format = |rate| Format { codec: Codec::Opus, rate, depth: Depth::Sixteen };
    assert!(Shared::new(format(SampleRate::HUB)).is_err());
    let mut shared = Shared::new(format(rate)).unwrap();
    let mut grouping = shared.grouping(3);
    let mut thread = Thread::default();
    // Pieces that are no packets: 383 and 384 frames, as they come from the resampler.
    let lengths: Vec<usize> = (0..120).map(|number| 383 + number % 2).collect();
    let tone = |at: usize| ((at / 2) as f64 * 0.06).sin() * 10_000.0;
    let sound = pieces(&lengths, |at| tone(at) as i16);
    let (mut due, mut runs) = (HubTime::EPOCH, Vec::new());
    for piece in &sound {
        let next = due + Frames(piece.frames() as u64).duration(rate);
        grouping.push(due, piece.clone(), &mut shared, |run| runs.push(run));
        due = next;
    }
    let mut decoder =
        opusic_c::Decoder::new(opusic_c::Channels::Stereo, opusic_c::SampleRate::Hz48000).unwrap();
    let mut heard: Vec<i16> = Vec::new();
    for run in runs {
        let chunk = shared.chunk(&mut thread, &run.pieces);
        assert!(chunk.frames == 960 && chunk.fresh && chunk.bytes.len() < 1_276);
        let mut frames = vec![0_u16; 2 * 960];
        assert_eq!(decoder.decode_to_slice(&chunk.bytes, &mut frames, false).unwrap(), 960);
        heard.extend(frames.iter().map(|sample| sample.cast_signed()));
    }
    // Later by the delay it says, to the frame.
    let delay = Frames::within(shared.delay() + std::time::Duration::from_nanos(1), rate).0 as usize;
    let likeness = |shift: usize| -> f64 {
        (20_000..30_000).map(|at| f64::from(heard[at + 2 * shift]) * tone(at)).sum()
    };
    let best = (delay - 20..delay + 20).max_by(|a, b| likeness(*a).total_cmp(&likeness(*b))).unwrap();
    assert!(best.abs_diff(delay) <= 1, "{best} frames late, not {delay}");
}

/// One receiver.
struct Lane {
    grouping: Grouping,
    thread: Thread,
    sent: Vec<(HubTime, bytes::Bytes, bool)>,
}

impl Lane {
    fn new(most: usize) -> Self {
        Self { grouping: Grouping::new(most), thread: Thread::default(), sent: Vec::new() }
    }

    fn push(&mut self, number: usize, piece: &Piece, shared: &mut Shared) {
        let due = HubTime::EPOCH + Frames((number * BLOCK_FRAMES) as u64).duration(SampleRate::HUB);
        let mut runs: Vec<Run> = Vec::new();
        self.grouping.push(due, piece.clone(), shared, |run| runs.push(run));
        for run in runs {
            let chunk = shared.chunk(&mut self.thread, &run.pieces);
            self.sent.push((run.due, chunk.bytes, chunk.fresh));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn sound_survives(
        noise in proptest::collection::vec(any::<i16>(), 2 * BLOCK_FRAMES),
        scale in 0_u32..16,
        step in 0.001_f64..3.0,
        loudness in 0.0_f64..32_767.0,
        pan in 0.0_f64..1.0,
        lengths in proptest::collection::vec(1_usize..1_200, 1..8),
        most in 1_usize..4,
        more in any::<bool>(),
    ) {
        let depth = if more { Depth::TwentyFour } else { Depth::Sixteen };
        let sound = pieces(&lengths, |at| {
            let side = if at % 2 == 0 { 1.0 } else { pan };
            let tone = ((at / 2) as f64 * step).sin() * loudness * side;
            (tone as i16).saturating_add(noise[at % noise.len()] >> scale)
        });
        survives(depth, &sound, most);
    }

    /// Whenever a receiver joins, it is soon sent the very bytes that the others are sent, and none is sent a hole.
    #[test]
    fn who_joins_later_shares(
        most in 1_usize..5,
        joins in proptest::collection::vec(0_usize..40, 1..6),
    ) {
        let blocks = pieces(&[BLOCK_FRAMES; 60], |at| at as i16);
        let mut shared = Shared::new(format(Codec::Pcm, Depth::Sixteen)).unwrap();
        let mut lanes: Vec<Lane> = joins.iter().map(|_| Lane::new(most)).collect();
        for (number, block) in blocks.iter().enumerate() {
            for (lane, join) in lanes.iter_mut().zip(&joins) {
                if number >= *join {
                    lane.push(number, block, &mut shared);
                }
            }
        }
        for (lane, join) in lanes.iter().zip(&joins) {
            let heard: Vec<u8> = lane.sent.iter().flat_map(|(_, bytes, _)| bytes.to_vec()).collect();
            let until = join + heard.len() / (4 * BLOCK_FRAMES);
            let expected: Vec<u8> =
                all(&blocks[*join..until]).iter().flat_map(|sample| sample.to_le_bytes()).collect();
            prop_assert_eq!(heard, expected);
            prop_assert!(until + most > 60);
        }
        // Once all have joined they keep step.
        let together = HubTime::EPOCH + Frames((45 * BLOCK_FRAMES) as u64).duration(SampleRate::HUB);
        let dues = |lane: &Lane| {
            let late = lane.sent.iter().map(|(due, ..)| *due).filter(|due| *due > together);
            late.collect::<Vec<_>>()
        };
        for lane in &lanes {
            prop_assert_eq!(dues(lane), dues(&lanes[0]));
        }
        // Everything but those shorter chunks was made once.
        let fresh = lanes.iter().flat_map(|lane| &lane.sent).filter(|(.., fresh)| *fresh).count();
        prop_assert!(fresh <= 60 / most + 1 + 2 * lanes.len(), "{} chunks were made", fresh);
    }
}
