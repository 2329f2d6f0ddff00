//! Settings of one speaker's device: tone, input, locale, time zone, tones, card.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{delete, put, web};
use antiphon_avs::signal::Wish;
use antiphon_domain::equalizer::{Band, BandLevel, Mode};
use serde::Deserialize;

use super::super::Hub;
use super::{Answer, Problem, done, speaker, wish, wrong};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(equalize)
        .service(select_input)
        .service(set_locale)
        .service(set_time_zone)
        .service(set_tones)
        .service(dismiss_card);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EqualizerBody {
    /// `bass`, `midrange`, `treble`: dB; one that is not named stays.
    #[serde(default)]
    bands: BTreeMap<String, i64>,
    /// A mode, or `none`; absent: it stays.
    mode: Option<String>,
}

fn band(name: &str) -> Option<Band> {
    match name.to_ascii_lowercase().as_str() {
        "bass" => Some(Band::Bass),
        "midrange" => Some(Band::Midrange),
        "treble" => Some(Band::Treble),
        _ => None,
    }
}

fn mode(name: &str) -> Result<Option<Mode>, Problem> {
    match name.to_ascii_lowercase().as_str() {
        "none" => Ok(None),
        "movie" => Ok(Some(Mode::Movie)),
        "music" => Ok(Some(Mode::Music)),
        "night" => Ok(Some(Mode::Night)),
        "sport" => Ok(Some(Mode::Sport)),
        "tv" => Ok(Some(Mode::Tv)),
        _ => Err(wrong(format!("mode: expected movie, music, night, sport, tv or none, found {name:?}"))),
    }
}

#[put("/speakers/{name}/equalizer")]
async fn equalize(hub: web::Data<Hub>, name: web::Path<String>, body: web::Json<EqualizerBody>) -> Answer {
    let mut bands = Vec::new();
    let range = i64::from(BandLevel::MIN)..=i64::from(BandLevel::MAX);
    for (name, db) in &body.bands {
        let band = band(name)
            .ok_or_else(|| wrong(format!("bands: expected bass, midrange or treble, found {name:?}")))?;
        if !range.contains(db) {
            let (least, most) = (range.start(), range.end());
            return Err(wrong(format!("bands.{name}: expected {least} to {most} dB, found {db}")));
        }
        bands.push((band, *db));
    }
    let mode = body.mode.as_deref().map(mode).transpose()?;
    if bands.is_empty() && mode.is_none() {
        return Err(wrong("give \"bands\", \"mode\" or both"));
    }
    let speaker = speaker(&hub, &name).await?;
    if let Some(mode) = mode {
        hub.handle.wish(speaker.clone(), Wish::EqualizerMode(mode)).await?;
    }
    if !bands.is_empty() {
        hub.handle.wish(speaker, Wish::Bands(bands)).await?;
    }
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputBody {
    input: String,
}

#[put("/speakers/{name}/input")]
async fn select_input(hub: web::Data<Hub>, name: web::Path<String>, body: web::Json<InputBody>) -> Answer {
    let wanted = body.input.to_lowercase();
    let found = hub.inputs.iter().find(|(input, friendly)| {
        input.to_lowercase() == wanted || friendly.iter().any(|f| f.to_lowercase() == wanted)
    });
    let Some((input, _)) = found else {
        let known: Vec<String> = hub.inputs.iter().map(|(input, _)| input.clone()).collect();
        return Err(if known.is_empty() {
            let detail = "the hub has no inputs; [[inputs]] of the configuration names them";
            Problem::new(StatusCode::NOT_FOUND, detail)
        } else {
            Problem::unknown("input", &body.input, &known)
        });
    };
    wish(&hub, &name, Wish::SelectInput(input.clone())).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocaleBody {
    locales: Vec<String>,
}

#[put("/speakers/{name}/locale")]
async fn set_locale(hub: web::Data<Hub>, name: web::Path<String>, body: web::Json<LocaleBody>) -> Answer {
    let known = &hub.locales;
    let strange = body.locales.iter().find(|locale| !known.contains(locale));
    if body.locales.is_empty() || strange.is_some() {
        let found = strange.map_or(String::new(), |locale| format!(", found {locale:?}"));
        return Err(wrong(format!("locales: expected one of {}{found}", known.join(", "))));
    }
    wish(&hub, &name, Wish::Locales(body.locales.clone())).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeZoneBody {
    time_zone: String,
}

/// Whether a text can be a name of the IANA time zone database, e.g. `Europe/Berlin`, `Etc/GMT+5`.
fn is_time_zone(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+'))
    };
    text.len() <= 64 && text.split('/').all(part)
}

#[put("/speakers/{name}/time-zone")]
async fn set_time_zone(
    hub: web::Data<Hub>,
    name: web::Path<String>,
    body: web::Json<TimeZoneBody>,
) -> Answer {
    if !is_time_zone(&body.time_zone) {
        let detail = format!("time_zone: expected a name such as Europe/Berlin, found {:?}", body.time_zone);
        return Err(wrong(detail));
    }
    wish(&hub, &name, Wish::TimeZone(body.time_zone.clone())).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TonesBody {
    /// When listening begins.
    wake_word: Option<bool>,
    /// When the request was heard.
    speech: Option<bool>,
}

#[put("/speakers/{name}/tones")]
async fn set_tones(hub: web::Data<Hub>, name: web::Path<String>, body: web::Json<TonesBody>) -> Answer {
    if body.wake_word.is_none() && body.speech.is_none() {
        return Err(wrong("give \"wake_word\", \"speech\" or both"));
    }
    let speaker = speaker(&hub, &name).await?;
    if let Some(on) = body.wake_word {
        hub.handle.wish(speaker.clone(), Wish::WakeWordTone(on)).await?;
    }
    if let Some(on) = body.speech {
        hub.handle.wish(speaker, Wish::SpeechTone(on)).await?;
    }
    done()
}

#[delete("/speakers/{name}/card")]
async fn dismiss_card(hub: web::Data<Hub>, name: web::Path<String>) -> Answer {
    wish(&hub, &name, Wish::DismissCard).await
}

#[cfg(test)]
mod tests {
    use super::is_time_zone;

    #[test]
    fn time_zones_are_names_and_no_paths() {
        for fine in ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
            assert!(is_time_zone(fine), "{fine}");
        }
        for bad in ["", "../etc/passwd", "/Europe", "Europe/", "Europe Berlin", "+05:00"] {
            assert!(!is_time_zone(bad), "{bad}");
        }
    }
}
