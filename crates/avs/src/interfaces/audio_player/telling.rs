//! The small things that are said of a stream, to the player and to the cloud.

use std::time::Duration;

use antiphon_domain::media::MediaErrorKind;

use super::stream::Stream;
use crate::effect::PlayerCommand;
use crate::exception::Refusal;
use crate::interfaces::{Activity, Turn};

pub(super) fn prepare(stream: &mut Stream, turn: &mut Turn<'_>) {
    if !stream.prepared {
        stream.prepared = true;
        turn.player(PlayerCommand::Prepare { id: stream.id, source: stream.item.source.clone() });
    }
}

pub(super) fn forget(stream: &Stream, turn: &mut Turn<'_>) {
    if stream.prepared {
        turn.player(PlayerCommand::Stop { id: stream.id });
    }
}

/// An attachment that is not there is the directive's fault, not the player's.
pub(super) fn unattached() -> Refusal {
    Refusal::unexpected("the attachment is not there")
}

/// Says that a stream began, once; at the offset that was asked for.
pub(super) fn start(stream: &mut Stream, turn: &mut Turn<'_>) {
    if !stream.started {
        stream.started = true;
        turn.send(stream.event("PlaybackStarted", stream.item.offset));
        turn.announce(stream.announcement(Activity::Playing));
    }
}

/// Says that the next stream may come, once.
pub(super) fn nearly_finished(stream: &mut Stream, offset: Duration, turn: &mut Turn<'_>) {
    if !stream.nearly {
        stream.nearly = true;
        turn.send(stream.event("PlaybackNearlyFinished", offset));
    }
}

pub(super) const fn error_type(kind: MediaErrorKind) -> &'static str {
    match kind {
        MediaErrorKind::Unknown => "MEDIA_ERROR_UNKNOWN",
        MediaErrorKind::InvalidRequest => "MEDIA_ERROR_INVALID_REQUEST",
        MediaErrorKind::ServiceUnavailable => "MEDIA_ERROR_SERVICE_UNAVAILABLE",
        MediaErrorKind::InternalServerError => "MEDIA_ERROR_INTERNAL_SERVER_ERROR",
        MediaErrorKind::InternalDeviceError => "MEDIA_ERROR_INTERNAL_DEVICE_ERROR",
    }
}
