//! Owns playlists: M3U and PLS of the simulator's albums, HLS on demand with its segments made by `make`, and a live
//! HLS stream that is a window moving over those segments. Pure but for asking `Tracks` for what is made.

use std::time::{Duration, Instant};

use super::{Format, Sound, Tracks, album, recipe};
use crate::Error;

/// Segments a live playlist shows.
const WINDOW: u64 = 5;
/// Seconds of a segment, as `make` cuts them.
pub(super) const SEGMENT: u64 = 2;
/// Length of what a live stream repeats, seconds.
const LIVE: u32 = 60;

/// A playlist's text and content type; `None` if there is no such playlist. `base`: where media are served.
pub(super) async fn playlist(
    tracks: &Tracks,
    name: &str,
    base: &str,
    started: Instant,
) -> Option<Result<(String, &'static str), Error>> {
    let (stem, extension) = name.rsplit_once('.')?;
    match extension {
        "m3u" => Some(Ok((m3u(&entries(stem, base)?), "audio/x-mpegurl"))),
        "pls" => Some(Ok((pls(&entries(stem, base)?), "audio/x-scpls"))),
        "m3u8" => {
            const TYPE: &str = "application/vnd.apple.mpegurl";
            let live = stem.strip_prefix("live-").and_then(|hertz| hertz.parse::<u32>().ok());
            let (stem, sound) = match live.filter(|hertz| (20..=20_000).contains(hertz)) {
                Some(hertz) => (format!("tone-{hertz}-{LIVE}s"), Sound::Tone { hertz, seconds: LIVE }),
                None => (stem.to_owned(), recipe(&format!("{stem}.aac"))?.0),
            };
            let made = tracks.hls(&stem, sound).await;
            let elapsed = live.map(|_| started.elapsed());
            Some(made.map(|text| (elapsed.map_or_else(|| text.clone(), |now| window(&text, now)), TYPE)))
        }
        _ => None,
    }
}

/// Whether this names a segment that `make` may have made: nothing but such a name is looked for on disk.
pub(super) fn segment(name: &str) -> bool {
    let Some((stem, number)) = name.strip_suffix(".ts").and_then(|name| name.split_once(".hls-")) else {
        return false;
    };
    let digits = number.len() == 5 && number.bytes().all(|byte| byte.is_ascii_digit());
    digits && recipe(&format!("{stem}.aac")).is_some_and(|(_, format)| format == Format::Aac)
}

fn entries(stem: &str, base: &str) -> Option<Vec<String>> {
    if stem == "nested" {
        return Some(vec![format!("{base}/demo.m3u")]);
    }
    // `demo.aac.m3u` names the format, `demo.m3u` leaves it at MP3.
    album(stem, base).filter(|_| !stem.contains("://"))
}

fn m3u(urls: &[String]) -> String {
    let lines: String = urls.iter().map(|url| format!("#EXTINF:-1,{}\r\n{url}\r\n", title(url))).collect();
    format!("#EXTM3U\r\n{lines}")
}

fn pls(urls: &[String]) -> String {
    let mut text = format!("[playlist]\nNumberOfEntries={}\n", urls.len());
    for (at, url) in urls.iter().enumerate() {
        let number = at + 1;
        text.push_str(&format!("File{number}={url}\nTitle{number}={}\nLength{number}=-1\n", title(url)));
    }
    text.push_str("Version=2\n");
    text
}

fn title(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

/// The live playlist at this time after the start: a window over the segments, which come round again for ever.
fn window(whole: &str, elapsed: Duration) -> String {
    let mut segments: Vec<(&str, &str)> = Vec::new();
    let mut length = "";
    for line in whole.lines() {
        if let Some(told) = line.strip_prefix("#EXTINF:") {
            length = told.trim_end_matches(',');
        } else if !line.starts_with('#') && !line.is_empty() {
            segments.push((length, line));
        }
    }
    // A short left-over at the end would make the window jump.
    if segments.len() > 1 {
        segments.pop();
    }
    let count = segments.len().max(1) as u64;
    // Already as long as its window when the first listener comes.
    let first = elapsed.as_secs() / SEGMENT;
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
        SEGMENT + 1,
        first.saturating_sub(1) / count,
    );
    for number in first..first + WINDOW {
        // Below the count of a list in memory.
        let Some((length, name)) = segments.get((number % count) as usize) else { break };
        if number % count == 0 && number > 0 {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        text.push_str(&format!("#EXTINF:{length},\n{name}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_window_moves_and_comes_round() {
        let whole =
            "#EXTM3U\n#EXTINF:2.0,\na\n#EXTINF:2.0,\nb\n#EXTINF:2.0,\nc\n#EXTINF:0.1,\nd\n#EXT-X-ENDLIST\n";
        let at = |seconds| window(whole, Duration::from_secs(seconds));
        assert!(at(0).contains("SEQUENCE:0") && at(0).contains("#EXTINF:2.0,\na\n"));
        assert!(!at(0).contains("ENDLIST"));
        let names = |text: &str| text.lines().filter(|line| line.len() == 1).collect::<String>();
        assert_eq!(names(&at(0)), "abcab");
        assert_eq!(names(&at(2)), "bcabc");
        assert_eq!(at(2).matches("#EXT-X-DISCONTINUITY\n").count(), 1);
    }

    #[test]
    fn only_segments_are_looked_for() {
        assert!(segment("tone-440-5s.hls-00012.ts") && segment("demo-1.hls-00000.ts"));
        for wrong in
            ["x.hls-00000.ts", "tone-440.hls-0.ts", "../ca-key.pem", "tone-440.mp3.hls-00000.ts", ".ts"]
        {
            assert!(!segment(wrong), "{wrong}");
        }
    }
}
