//! Owns what follows from an utterance: the directives the cloud would send. Uses the device's `Player` and the
//! simulator's own media; `Simulator::say` and the admin API drive it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::Error;
use crate::answers::Outgoing;
use crate::media;
use crate::say::{self, Utterance};
use crate::state::Shared;

/// The directives for a sentence said to a device.
pub(crate) async fn directives(shared: &Shared, dsn: &str, sentence: &str) -> Result<Vec<Outgoing>, Error> {
    let not_understood = || Error::NotUnderstood(sentence.to_owned());
    let utterance = say::understand(sentence).ok_or_else(not_understood)?;
    let play = |play: Option<Outgoing>| play.map(|play| vec![play]).ok_or_else(not_understood);
    Ok(match utterance {
        Utterance::Volume(volume) => vec![Outgoing::new("Speaker", "SetVolume", json!({ "volume": volume }))],
        Utterance::Step(step) => vec![Outgoing::new("Speaker", "AdjustVolume", json!({ "volume": step }))],
        Utterance::Mute(mute) => vec![Outgoing::new("Speaker", "SetMute", json!({ "mute": mute }))],
        Utterance::Stop => vec![Outgoing::new("AudioPlayer", "Stop", json!({}))],
        Utterance::Next => play(shared.lock().device(dsn).player.skip())?,
        Utterance::Previous => play(shared.lock().device(dsn).player.back())?,
        Utterance::Play(what) => {
            let album = media::album(&what, &shared.media()).ok_or_else(not_understood)?;
            play(shared.lock().device(dsn).player.begin(album))?
        }
        Utterance::Timer(after) => vec![timer(after)],
        Utterance::Tell(text) => vec![speak(shared, &text).await?],
    })
}

fn timer(after: Duration) -> Outgoing {
    // A clock before 1970 sets a timer that is long past, and the device will say so.
    let due = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + after;
    // SetAlert has whole seconds; rounding up keeps the timer from being early.
    let due = due.as_secs() + u64::from(due.subsec_nanos() > 0);
    let payload = json!({
        "token": format!("timer:{}", uuid::Uuid::new_v4()),
        "type": "TIMER",
        "scheduledTime": timestamp(due),
    });
    Outgoing::new("Alerts", "SetAlert", payload)
}

async fn speak(shared: &Shared, text: &str) -> Result<Outgoing, Error> {
    let speech = shared.tracks.speech(text).await?;
    let id = format!("speech:{}", uuid::Uuid::new_v4());
    let payload = json!({ "url": format!("cid:{id}"), "format": "AUDIO_MPEG", "token": id });
    Ok(Outgoing::new("SpeechSynthesizer", "Speak", payload).with_attachment(&id, speech))
}

/// Seconds since 1970 as the service writes them: `2030-01-01T12:34:56+0000`.
fn timestamp(seconds: u64) -> String {
    let days = seconds / 86_400;
    let of_day = seconds % 86_400;
    // Civil date from day count: years counted from 1 March, in 400-year eras.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00+0000");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00+0000");
        assert_eq!(timestamp(1_893_501_296), "2030-01-01T12:34:56+0000");
        assert_eq!(timestamp(4_107_542_399), "2100-02-28T23:59:59+0000");
    }
}
