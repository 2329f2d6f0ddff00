//! Receivers that want something of a person before they play for us.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use antiphon_domain::{Secret, SpeakerId};
use antiphon_endpoint::{Answer as Word, AnswerError, Ask, Wants};
use serde::{Deserialize, Serialize};

use super::super::Hub;
use super::{Answer, Problem, done, wrong};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(show_asks).service(answer);
}

#[derive(Serialize)]
struct AskView {
    speaker: SpeakerId,
    name: String,
    kind: &'static str,
    /// `approval`, `code`, `refused` by a person, or `nothing`: it is trusted. The last two can be taken back.
    wants: &'static str,
}

fn words(wants: Wants) -> &'static str {
    match wants {
        Wants::Approval => "approval",
        Wants::Code => "code",
        Wants::Refused => "refused",
        _ => "nothing",
    }
}

#[get("/pairing")]
async fn show_asks(hub: web::Data<Hub>) -> Answer {
    let asks = hub.handle.asks().await?;
    let views: Vec<AskView> = asks
        .into_iter()
        .map(|(kind, ask)| AskView { speaker: ask.speaker, name: ask.name, kind, wants: words(ask.wants) })
        .collect();
    Ok(HttpResponse::Ok().json(views))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerBody {
    /// `approve`, `refuse`, `code` or `unpair`.
    answer: String,
    /// With `code`: as it was read.
    code: Option<Secret>,
}

fn word(body: AnswerBody) -> Result<Word, Problem> {
    match (body.answer.as_str(), body.code) {
        ("approve", None) => Ok(Word::Approve),
        ("refuse", None) => Ok(Word::Refuse),
        ("unpair", None) => Ok(Word::Unpair),
        ("code", Some(code)) if !code.expose().is_empty() && code.expose().len() <= MOST => {
            Ok(Word::Code(code))
        }
        ("code", _) => Err(wrong(format!("code: expected the code as it was read, 1 to {MOST} bytes"))),
        ("approve" | "refuse" | "unpair", Some(_)) => {
            Err(wrong("code: expected with the answer \"code\" alone"))
        }
        (other, _) => {
            Err(wrong(format!("answer: expected approve, refuse, code or unpair, found {other:?}")))
        }
    }
}

/// A code is a few digits; a token some dozens of letters (ours).
const MOST: usize = 1_024;

/// The one that asks, by id or by a name that no other has.
fn asking(asks: &[(&'static str, Ask)], wanted: &str) -> Result<SpeakerId, Problem> {
    let mut named = asks.iter().filter(|(_, a)| a.name.to_lowercase() == wanted.to_lowercase());
    if asks.iter().any(|(_, a)| a.speaker.as_str() == wanted) {
        return Ok(SpeakerId::new(wanted));
    }
    match (named.next(), named.next()) {
        (Some((_, one)), None) => Ok(one.speaker.clone()),
        (Some(_), Some(_)) => {
            let same = asks.iter().filter(|(_, a)| a.name.to_lowercase() == wanted.to_lowercase());
            let ids: Vec<&str> = same.map(|(_, a)| a.speaker.as_str()).collect();
            Err(Problem::ambiguous("receiver", wanted, &ids))
        }
        (None, _) => {
            let known: Vec<String> =
                asks.iter().map(|(_, a)| format!("{} ({})", a.name, a.speaker)).collect();
            Err(Problem::unknown("receiver that asks", wanted, &known))
        }
    }
}

#[post("/pairing/{speaker}")]
async fn answer(hub: web::Data<Hub>, name: web::Path<String>, body: web::Json<AnswerBody>) -> Answer {
    let word = word(body.into_inner())?;
    let speaker = asking(&hub.handle.asks().await?, &name)?;
    match hub.handle.answer(speaker, word).await? {
        Ok(()) => done(),
        Err(why) => Err(Problem::new(status(&why), why.to_string())),
    }
}

fn status(why: &AnswerError) -> StatusCode {
    match why {
        AnswerError::Unknown(_) => StatusCode::NOT_FOUND,
        AnswerError::NotAsked => StatusCode::CONFLICT,
        _ => StatusCode::BAD_REQUEST,
    }
}
