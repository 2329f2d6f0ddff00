//! What a player's card says of its item, for whoever shows it elsewhere: on a receiver's display.

use serde_json::Value;

use crate::picture::Playing;

/// The sizes of pictures, the best for a receiver's display first (about 480 to 960 pixels by AVS' own table [R]).
const SIZES: [&str; 5] = ["LARGE", "MEDIUM", "X-LARGE", "SMALL", "X-SMALL"];

/// What the card of a RenderPlayerInfo says.
pub(super) fn read(card: &Value) -> Playing {
    let content = &card["content"];
    let text = |key: &str| content[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    Playing {
        title: text("title"),
        artist: text("titleSubtext1"),
        album: text("titleSubtext2"),
        art: art(content),
        length_ms: content["mediaLengthInMilliseconds"].as_u64().filter(|ms| *ms > 0),
    }
}

fn art(content: &Value) -> Option<String> {
    let sources = content["art"]["sources"].as_array()?;
    let rank = |source: &&Value| {
        let size = source["size"].as_str().unwrap_or_default();
        SIZES.iter().position(|known| *known == size).unwrap_or(SIZES.len())
    };
    sources.iter().min_by_key(rank)?["url"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_said_is_absent() {
        assert_eq!(read(&json!({ "audioItemId": "a" })), Playing::default());
        let art = json!({ "sources": [{ "url": "a", "size": "SMALL" }, { "url": "b", "size": "LARGE" }] });
        let content = json!({ "title": "T", "titleSubtext1": "", "titleSubtext2": "R", "art": art,
            "mediaLengthInMilliseconds": 5 });
        let expected = Playing {
            title: Some("T".into()),
            artist: None,
            album: Some("R".into()),
            art: Some("b".into()),
            length_ms: Some(5),
        };
        assert_eq!(read(&json!({ "content": content })), expected);
    }
}
