//! What a receiver was told of what plays, so that it is told only what has changed.
//!
//! Driven by the session between other requests. A receiver that refuses one of the three (words, picture, progress) is
//! spared it for the rest of the session, and one that does not answer is spared them all: what it shows is not worth the
//! sound.

use std::sync::Arc;
use std::time::Duration;

use antiphon_domain::{Frames, HubTime, SampleRate};
use antiphon_endpoint::{LostReason, NowPlaying, PlayState};
use prometheus::IntCounter;
use tracing::debug;

use crate::driver::rtsp::Rtsp;
use crate::wire::dmap::{self, Progress, Takes};
use crate::wire::timeline::Timeline;

/// How many times as long as over another request a receiver may take over a picture.
const TIMES: u32 = 3;

/// Progress that differs by less is not told anew: a tenth of a second.
const SAME: u32 = 4_410;

/// The state of a receiver's display.
pub struct Display {
    takes: Takes,
    words: Option<Vec<u8>>,
    picture: Option<Arc<[u8]>>,
    progress: Option<Progress>,
    patience: Duration,
    told: IntCounter,
}

impl Display {
    /// Nothing was told yet to a receiver that takes these, and so long over a request.
    pub fn new(takes: Takes, patience: Duration, told: IntCounter) -> Self {
        Self { takes, words: None, picture: None, progress: None, patience: patience * TIMES, told }
    }

    /// Tells what has changed; `again` tells the progress even if it has not.
    pub async fn show(
        &mut self,
        rtsp: &mut Rtsp,
        now: &NowPlaying,
        timeline: Timeline,
        at: HubTime,
        again: bool,
    ) -> Result<(), LostReason> {
        let heard = timeline.heard(at);
        let stamp = heard.map_or(timeline.next(), |(_, stamp)| stamp);
        let words = dmap::words(now);
        let empty =
            self.words.is_none() && now.title.is_none() && now.artist.is_none() && now.album.is_none();
        if self.takes.words && !empty && self.words.as_ref() != Some(&words) {
            self.takes.words = self.tell(rtsp, dmap::TAGGED, &words, stamp).await?;
            self.words = Some(words);
        }
        if self.takes.pictures {
            self.show_picture(rtsp, now, stamp).await?;
        }
        if self.takes.progress
            && let Some(progress) = progress(now, heard)
            && (again || self.progress.is_none_or(|told| differs(told, progress)))
        {
            let body = progress.body();
            self.takes.progress = self.tell(rtsp, "text/parameters", body.as_bytes(), stamp).await?;
            self.progress = Some(progress);
        }
        Ok(())
    }

    async fn show_picture(
        &mut self,
        rtsp: &mut Rtsp,
        now: &NowPlaying,
        stamp: u32,
    ) -> Result<(), LostReason> {
        let art = now.artwork.as_ref().filter(|art| dmap::is_picture(&art.media_type, art.bytes.len()));
        match (art, &self.picture) {
            (None, None) => {}
            (Some(art), Some(told)) if Arc::ptr_eq(&art.bytes, told) || art.bytes == *told => {}
            (Some(art), _) => {
                self.takes.pictures = self.tell(rtsp, &art.media_type, &art.bytes, stamp).await?;
                self.picture = Some(Arc::clone(&art.bytes));
            }
            (None, Some(_)) => {
                self.takes.pictures = self.tell(rtsp, dmap::NO_PICTURE, &[], stamp).await?;
                self.picture = None;
            }
        }
        Ok(())
    }

    /// Tells one thing; whether the receiver took it.
    async fn tell(
        &mut self,
        rtsp: &mut Rtsp,
        kind: &str,
        body: &[u8],
        stamp: u32,
    ) -> Result<bool, LostReason> {
        let info = format!("rtptime={stamp}");
        let headers = [("RTP-Info", info.as_str())];
        let response = rtsp.request("SET_PARAMETER", &headers, Some((kind, body)), self.patience).await?;
        let Some(response) = response else {
            debug!(kind, "the receiver does not answer what plays");
            self.takes = Takes { words: false, pictures: false, progress: false };
            return Ok(false);
        };
        let taken = (200..300).contains(&response.status);
        if taken {
            self.told.inc();
        } else {
            debug!(kind, status = response.status, "the receiver does not take what plays");
        }
        Ok(taken)
    }
}

/// How far the stream is, where it is known and moves.
fn progress(now: &NowPlaying, heard: Option<(HubTime, u32)>) -> Option<Progress> {
    let ((at, stamp), (then, position), length) = (heard?, now.position?, now.length?);
    if now.state != PlayState::Playing {
        return None;
    }
    let moved = position.as_nanos() as i128 + i128::from(at.nanos()) - i128::from(then.nanos());
    let position = Duration::from_nanos(u64::try_from(moved).unwrap_or(0)).min(length);
    let frames = |time| Frames::within(time, SampleRate::HUB).0;
    Some(Progress::new(stamp, frames(position), frames(length)))
}

/// Whether a receiver that goes on by itself from `told` shows something else than `now`.
fn differs(told: Progress, now: Progress) -> bool {
    let apart = |a: u32, b: u32| a.wrapping_sub(b).min(b.wrapping_sub(a)) > SAME;
    apart(told.begin, now.begin) || apart(told.end, now.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playing(position: u64, then: i64) -> NowPlaying {
        NowPlaying {
            state: PlayState::Playing,
            position: Some((HubTime::from_nanos(then), Duration::from_secs(position))),
            length: Some(Duration::from_secs(100)),
            ..NowPlaying::default()
        }
    }

    #[test]
    fn progress_moves_with_time() {
        let heard = Some((HubTime::from_nanos(5_000_000_000), 1_000_000));
        let told = progress(&playing(10, 3_000_000_000), heard).unwrap();
        assert_eq!(told, Progress::new(1_000_000, 12 * 44_100, 100 * 44_100));
        let later = Some((HubTime::from_nanos(6_000_000_000), 1_044_100));
        assert!(!differs(told, progress(&playing(10, 3_000_000_000), later).unwrap()));
        assert!(differs(told, progress(&playing(40, 3_000_000_000), later).unwrap()));
        assert_eq!(progress(&NowPlaying { state: PlayState::Paused, ..playing(1, 0) }, heard), None);
        assert_eq!(progress(&playing(1, 0), None), None);
    }
}
