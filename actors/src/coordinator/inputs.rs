//! Where a device's stream comes from: the network, an attachment, an input of the hub, a phone.

use antiphon_avs::effect::PlayerSource;
use antiphon_domain::media::without_secrets;
use antiphon_domain::{GroupId, SpeakerId};
use antiphon_render::{ByteReader, Feed, StreamSource};

use super::Coordinator;
use super::content::{Ending, Heard};
use super::now::Currents;
use crate::requests::InputSource;

/// Mirrors of mirrors that are followed.
pub(super) const DEEPEST: usize = 4;

/// What a content is made of.
pub(super) enum Origin {
    /// A stream of its own.
    Stream(Box<StreamSource>),
    /// Whatever another speaker hears.
    Mirror(SpeakerId),
}

/// What is found behind a source, and how it is called in the picture; `None`: nothing.
impl Coordinator {
    pub(super) fn origin(
        &self,
        source: PlayerSource,
        attachment: Option<ByteReader>,
    ) -> Option<(Origin, String)> {
        let stream = |source: StreamSource| Origin::Stream(Box::new(source));
        match source {
            PlayerSource::Media(media) => {
                let url = without_secrets(&media.url);
                Some((stream(media.into()), url))
            }
            PlayerSource::Attachment { content_id, offset, end, .. } => {
                let source = StreamSource::Bytes { reader: attachment?, offset, end };
                Some((stream(source), format!("cid:{content_id}")))
            }
            PlayerSource::Input(name) => {
                let input = self.parts.inputs.iter().find(|input| input.name == name)?;
                let origin = match &input.source {
                    InputSource::Media(media) => stream(media.clone().into()),
                    InputSource::Device(text) => stream(StreamSource::Device(text.clone())),
                    InputSource::Speaker(speaker) => Origin::Mirror(speaker.clone()),
                };
                Some((origin, format!("input:{name}")))
            }
            PlayerSource::Bluetooth(device) => {
                let text = self.parts.bluetooth.as_ref()?.source(&device)?;
                Some((stream(StreamSource::Device(text)), "bluetooth".into()))
            }
        }
    }

    /// "Stop" was said at a speaker whose AudioPlayer plays nothing: what its group hears ends, be it another member's, a
    /// person's or an input. Where a voice is for one speaker alone, only what is its own.
    pub(super) fn silence(&mut self, speaker: &SpeakerId) {
        let Some(group) = self.house.group_of(speaker) else { return };
        let (id, alone) = (group.id.clone(), group.members().len() == 1);
        if alone || self.parts.voice_moves_group || self.contents.leader(&id).as_ref() == Some(speaker) {
            self.end_all(&id, None, Ending::Stopped);
            self.reconcile();
        }
    }

    /// The feed a group's members listen to, through mirrors.
    pub(super) fn feed_of(&self, group: &GroupId) -> Option<Feed> {
        self.feed_in(group, &self.contents.currents()).cloned()
    }

    /// The same, where it is known already what every group hears.
    pub(super) fn feed_in<'a>(&self, group: &GroupId, currents: &Currents<'a>) -> Option<&'a Feed> {
        let mut group = group.clone();
        for _ in 0..DEEPEST {
            let (_, content) = currents.get(&group)?;
            match &content.heard {
                Heard::Feed(feed) => return Some(feed),
                Heard::Mirror(_) if content.is_held() => return None,
                Heard::Mirror(speaker) => group = self.house.group_of(speaker)?.id.clone(),
            }
        }
        None
    }
}
