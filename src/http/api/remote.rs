//! The keys and switches of a remote control: Alexa decides what they do.

use actix_web::http::StatusCode;
use actix_web::{post, put, web};
use antiphon_avs::signal::{Button, Toggle, Wish};

use super::super::Hub;
use super::{Answer, Problem, Switch, wish};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(press).service(turn);
}

/// What a key is called in the path.
const BUTTONS: [(&str, Button); 6] = [
    ("play", Button::Play),
    ("pause", Button::Pause),
    ("next", Button::Next),
    ("previous", Button::Previous),
    ("skip-forward", Button::SkipForward),
    ("skip-backward", Button::SkipBackward),
];

/// What a switch is called in the path.
const TOGGLES: [(&str, Toggle); 5] = [
    ("shuffle", Toggle::Shuffle),
    ("loop", Toggle::Loop),
    ("repeat", Toggle::Repeat),
    ("thumbs-up", Toggle::ThumbsUp),
    ("thumbs-down", Toggle::ThumbsDown),
];

fn find<T: Copy>(what: &str, wanted: &str, all: &[(&str, T)]) -> Result<T, Problem> {
    let found = all.iter().find(|(name, _)| *name == wanted).map(|(_, it)| *it);
    found.ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        let detail = format!("there is no {what} {wanted:?}; known: {}", names.join(", "));
        Problem::new(StatusCode::NOT_FOUND, detail)
    })
}

#[post("/speakers/{name}/buttons/{button}")]
async fn press(hub: web::Data<Hub>, path: web::Path<(String, String)>) -> Answer {
    let button = find("button", &path.1, &BUTTONS)?;
    wish(&hub, &path.0, Wish::Button(button)).await
}

#[put("/speakers/{name}/toggles/{toggle}")]
async fn turn(hub: web::Data<Hub>, path: web::Path<(String, String)>, body: web::Json<Switch>) -> Answer {
    let toggle = find("toggle", &path.1, &TOGGLES)?;
    wish(&hub, &path.0, Wish::Toggle(toggle, body.on)).await
}
