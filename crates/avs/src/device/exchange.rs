//! How far an exchange with the cloud has come: whether a request's response still comes, and whether all it brought is
//! done with. The device machine keeps it and tells the interfaces once when it is over.

use antiphon_domain::HubTime;

use crate::session::EventOutcome;
use crate::signal::Signal;

/// The latest request, and what came.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// The messageId of the request whose response has not wholly come.
    open: Option<String>,
    /// Something happened since the end of an exchange was last told.
    under_way: bool,
    latest: HubTime,
}

impl Exchange {
    /// A request goes out.
    pub(super) fn asked(&mut self, message_id: String) {
        self.open = Some(message_id);
        self.under_way = true;
    }

    /// A directive arrived that is to be carried out.
    pub(super) fn arrived(&mut self, now: HubTime) {
        self.under_way = true;
        self.latest = now;
    }

    /// When the latest of them arrived.
    pub(super) fn latest(&self) -> HubTime {
        self.latest
    }

    /// The connection is gone, and the response with it.
    pub(super) fn cut(&mut self) {
        self.open = None;
    }

    /// News that may be of the request.
    pub(super) fn hear(&mut self, signal: &Signal) {
        let ended = match signal {
            Signal::Answered { message_id } => Some(message_id),
            // Directives follow a 200 only.
            Signal::Outcome { message_id, outcome } => {
                Some(message_id).filter(|_| *outcome != EventOutcome::Accepted { status: 200 })
            }
            _ => None,
        };
        if ended.is_some() && ended == self.open.as_ref() {
            self.open = None;
        }
    }

    /// Whether it is over since the last call: true once.
    pub(super) fn ends(&mut self, quiet: bool) -> bool {
        let ends = self.under_way && quiet && self.open.is_none();
        if ends {
            self.under_way = false;
        }
        ends
    }
}
