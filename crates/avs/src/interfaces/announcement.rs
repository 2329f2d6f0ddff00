//! What interfaces of one device tell each other. They do not know of one another beyond this.

/// One piece of news.
#[derive(Clone, Debug, PartialEq)]
pub enum Announcement {
    /// What the AudioPlayer does with an item has changed (cards follow it; a music alarm falls silent for its music).
    Playback {
        /// The item's `audioItemId`.
        item: String,
        /// What it does with it now.
        activity: Activity,
        /// The alert the item was asked for by, where one did (`playRequestor`).
        alert: Option<String>,
    },
    /// Who began content last: it receives what is pressed on a remote control.
    ContentSource(&'static str),
    /// A person chose other locales; the first is the primary one.
    LocalesChanged(Vec<String>),
    /// Speech began to sound (`true`), or nothing more is spoken of this dialog.
    Speaking(bool),
    /// Listening began (`true`) or ended.
    Listening(bool),
    /// An alert began to hold its channel (`true`), or holds it no more.
    Ringing(bool),
    /// A new dialog is the current one.
    Dialog(String),
    /// Nothing of the current dialog waits or runs any more, and its response has wholly come.
    DialogOver,
}

/// What AudioPlayer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Heard.
    Playing,
    /// Standing still for something more important.
    Paused,
    /// Ended on purpose, or by failure.
    Stopped,
    /// Ended by itself.
    Finished,
}
