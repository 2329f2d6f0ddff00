//! InteractionModel 1.2: the cloud begins a dialog ("InteractionModel 1.2").

use serde::Deserialize;

use super::{Handling, Interface, Known, Turn, payload};
use crate::exception::Refusal;
use crate::message::Directive;

#[derive(Debug)]
pub(super) struct InteractionModel;

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
        // The other two only colour an attention state, which nothing shows yet.
        if directive.header.name == "NewDialogRequest" {
            let request: NewDialogRequest = payload(directive)?;
            if request.dialog_request_id.is_empty() {
                return Err(Refusal::unexpected("an empty dialogRequestId"));
            }
            turn.begin_dialog(request.dialog_request_id);
        }
        Ok(Handling::Done)
    }
}
