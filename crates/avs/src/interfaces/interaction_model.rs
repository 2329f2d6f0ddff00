//! InteractionModel 1.2: the cloud begins a dialog, and says when it works on a request ("InteractionModel 1.2";
//! connection notes 4.3 and 5.5).

use std::time::Duration;

use antiphon_domain::HubTime;
use serde::Deserialize;

use super::{Announcement, Handling, Interface, Known, Turn, View, payload};
use crate::exception::Refusal;
use crate::message::Directive;
use crate::picture::{Attention, Picture};

/// Without a directive for so long it is not believed to work any more [R].
const THINKING: Duration = Duration::from_secs(8);

/// The interface.
#[derive(Debug, Default)]
pub(super) struct InteractionModel {
    /// The cloud works on a request, until that moment unless something comes.
    thinking: Option<HubTime>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewDialogRequest {
    dialog_request_id: String,
}

impl Interface for InteractionModel {
    fn namespace(&self) -> &'static str {
        "InteractionModel"
    }

    fn version(&self) -> &'static str {
        "1.2"
    }

    fn directives(&self) -> &'static [Known] {
        const {
            &[
                Known::on_arrival("NewDialogRequest"),
                Known::on_arrival("RequestProcessingStarted"),
                Known::on_arrival("RequestProcessingCompleted"),
            ]
        }
    }

    fn on_directive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        match directive.header.name.as_str() {
            "RequestProcessingStarted" => self.thinking = Some(turn.now() + THINKING),
            "RequestProcessingCompleted" => self.thinking = None,
            _ => {
                let request: NewDialogRequest = payload(directive)?;
                if request.dialog_request_id.is_empty() {
                    return Err(Refusal::unexpected("an empty dialogRequestId"));
                }
                turn.begin_dialog(request.dialog_request_id);
            }
        }
        Ok(Handling::Done)
    }

    fn on_announcement(&mut self, announcement: &Announcement, _turn: &mut Turn<'_>) {
        if let Announcement::Dialog(_) | Announcement::Speaking(true) = announcement {
            self.thinking = None;
        }
    }

    fn on_connection(&mut self, up: bool, _turn: &mut Turn<'_>) {
        if !up {
            self.thinking = None;
        }
    }

    fn on_logout(&mut self, _turn: &mut Turn<'_>) {
        self.thinking = None;
    }

    fn deadline(&self) -> Option<HubTime> {
        self.thinking
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now();
        if self.thinking.is_some_and(|until| until <= now) {
            let until = turn.view.last_directive + THINKING;
            self.thinking = (until > now).then_some(until);
        }
    }

    fn show(&self, _view: &View<'_>, picture: &mut Picture) {
        if self.thinking.is_some() && picture.attention == Attention::Idle {
            picture.attention = Attention::Thinking;
        }
    }
}
