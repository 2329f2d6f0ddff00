//! The page of speakers and their accounts, as HTML. Whatever was named by others is escaped.

use std::fmt::{self, Display, Formatter, Write};

use antiphon_actors::snapshot::{Snapshot, SpeakerView};

/// What the page shows.
pub(super) struct Page<'a> {
    /// The hub.
    pub(super) snapshot: &'a Snapshot,
    /// Whether a companion site's way back is configured.
    pub(super) site: bool,
}

/// A text inside HTML.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A part of a path (RFC 3986: all but the unreserved is encoded).
struct Part<'a>(&'a str);

impl Display for Part<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                f.write_char(byte as char)?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/link/style.css">
"#;

impl Display for Page<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let speakers = &self.snapshot.speakers;
        let linked = speakers.iter().filter(|s| s.link.state == "connected").count();
        write!(
            f,
            "{HEAD}<title>Speakers and Alexa · Antiphon</title>\n<script src=\"/link/page.js\" defer></script>\n\
             </head>\n<body>\n<header><h1>Speakers and Alexa</h1>\n<p>{linked} of {} speakers are linked to an \
             Amazon account. Each has an account of its own to link; it may be the same for all.</p></header>\n\
             <main>\n",
            speakers.len()
        )?;
        if speakers.is_empty() {
            f.write_str("<p>No speaker yet. They appear here as they are found.</p>\n")?;
        }
        for speaker in speakers {
            self.speaker(speaker, f)?;
        }
        f.write_str("</main>\n</body>\n</html>\n")
    }
}

/// What a link's state means to people.
fn words(state: &str) -> (&'static str, &'static str) {
    match state {
        "connected" => ("good", "Linked"),
        "connecting" => ("busy", "Connecting …"),
        "waiting" => ("busy", "Not reachable now; tried again soon"),
        "needs_login" => ("open", "Not linked"),
        "closed" => ("bad", "Closed"),
        _ => ("off", "Alexa is off"),
    }
}

/// A reason as a sentence; what to type elsewhere is left out, for it is pressed here.
fn sentence(why: &str) -> String {
    let parts: Vec<&str> = why.split("; ").filter(|part| !part.contains("`antiphon ")).collect();
    let text = parts.join("; ");
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => text,
    }
}

impl Page<'_> {
    fn speaker(&self, speaker: &SpeakerView, f: &mut Formatter<'_>) -> fmt::Result {
        let (name, link) = (Text(&speaker.name), &speaker.link);
        let path = Part(speaker.id.as_str());
        let (class, state) = if link.login.is_some() {
            ("busy", "Waiting for the code to be entered")
        } else {
            words(link.state)
        };
        writeln!(f, "<section aria-labelledby=\"{path}\" data-speaker>\n<h2 id=\"{path}\">{name}</h2>")?;
        writeln!(f, "<div role=\"status\"><p class=\"state {class}\">{state}</p>")?;
        if let Some(why) = link.why.as_deref().filter(|_| link.login.is_none()) {
            writeln!(f, "<p>{}</p>", Text(&sentence(why)))?;
        }
        if let Some(login) = &link.login {
            let (uri, code) = (Text(&login.verification_uri), Text(&login.user_code));
            // Read letter by letter, not as a word.
            let spelled: Vec<String> = login.user_code.chars().map(String::from).collect();
            let spelled = spelled.join(" ");
            writeln!(
                f,
                "<p>Open <a href=\"{uri}\" target=\"_blank\" rel=\"noopener noreferrer\">{uri}</a> on any device \
                 and enter</p>\n<p class=\"code\"><span aria-hidden=\"true\">{code}</span>\
                 <span class=\"spoken\">{}</span></p>",
                Text(&spelled)
            )?;
        }
        if link.linking && link.login.is_none() {
            writeln!(f, "<p>Amazon is asked for a code …</p>")?;
        }
        f.write_str("</div>\n")?;
        match link.state {
            // Without a product there is nothing to link to; the state says so.
            "off" => {}
            "connected" => {
                self.ways(speaker, "Link another account", f)?;
                self.farewell(speaker, f)?;
            }
            _ => {
                f.write_str("<div class=\"ways\">\n")?;
                self.buttons(speaker, f)?;
                f.write_str("</div>\n")?;
            }
        }
        f.write_str("</section>\n")
    }

    fn ways(&self, speaker: &SpeakerView, title: &str, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "<details><summary>{title}<span class=\"spoken\"> to {}</span></summary>",
            Text(&speaker.name)
        )?;
        f.write_str(
            "<p>The present account serves until the new one is proved.</p>\n<div class=\"ways\">\n",
        )?;
        self.buttons(speaker, f)?;
        f.write_str("</div>\n</details>\n")
    }

    fn buttons(&self, speaker: &SpeakerView, f: &mut Formatter<'_>) -> fmt::Result {
        let (name, path) = (Text(&speaker.name), Part(speaker.id.as_str()));
        let whom = format!("<span class=\"spoken\"> for {name}</span>");
        writeln!(f, "<a class=\"button\" href=\"/link/{path}/local\">Log in here{whom}</a>")?;
        let again = if speaker.link.login.is_some() { "Show a new code" } else { "Show a code" };
        writeln!(
            f,
            "<form method=\"post\" action=\"/link/{path}/code\"><button>{again}{whom}</button></form>"
        )?;
        if self.site {
            writeln!(
                f,
                "<a class=\"button\" href=\"/link/{path}/site\">Log in by the companion site{whom}</a>"
            )?;
        }
        writeln!(
            f,
            "<details><summary>With a companion app{whom}</summary>\n<p>The app asks this hub at \
             <code>POST /api/speakers/{path}/link/app</code> for what Amazon wants to know, lets you log in, and \
             hands the code to <code>POST /api/speakers/{path}/link/code</code>.</p></details>"
        )
    }

    fn farewell(&self, speaker: &SpeakerView, f: &mut Formatter<'_>) -> fmt::Result {
        let (name, path) = (Text(&speaker.name), Part(speaker.id.as_str()));
        writeln!(
            f,
            "<details><summary>Log out<span class=\"spoken\"> {name}</span></summary>\n<p>Its account, alarms, timers, \
             reminders and messages are erased from this hub. It stays in its group and plays.</p>\n\
             <form method=\"post\" action=\"/link/{path}/logout\"><button class=\"grave\">Log out {name}</button></form>\
             </details>"
        )
    }
}

/// The page of an error: what happened, where, and the way back.
pub(super) fn trouble(place: &str, what: &str) -> String {
    format!(
        "{HEAD}<title>That did not work · Antiphon</title>\n</head>\n<body>\n<main><section>\n\
         <h1>That did not work</h1>\n<p><strong>Where:</strong> {}</p>\n<p><strong>What:</strong> {}</p>\n\
         <p><a class=\"button\" href=\"/link\">Back to the speakers</a></p>\n</section></main>\n</body>\n</html>\n",
        Text(place),
        Text(what),
    )
}

#[cfg(test)]
mod tests {
    use super::{Part, Text, sentence, trouble};

    #[test]
    fn reasons_are_sentences_without_commands() {
        assert_eq!(sentence("logged out; link it again with `antiphon link`"), "Logged out.");
        assert_eq!(sentence("Alexa cannot be reached"), "Alexa cannot be reached.");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn what_others_named_is_text() {
        assert_eq!(
            Text("<b>\"a\" & 'b'</b>").to_string(),
            "&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/b&gt;"
        );
        assert_eq!(Part("a/b c@ü").to_string(), "a%2Fb%20c%40%C3%BC");
        assert!(!trouble("<script>", "<script>").contains("<script>"));
    }
}
