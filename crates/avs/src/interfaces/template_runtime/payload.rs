//! The payloads of TemplateRuntime 1.3: read once to see that they are right, shown as they came. The fields of the
//! templates and the words of controls are recalled, not re-read [R]: a correction is made here.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::exception::Refusal;
use crate::interfaces::payload;
use crate::message::Directive;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenderTemplate {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(rename = "token", default, deserialize_with = "given")]
    _token: Option<String>,
    #[serde(rename = "title", default, deserialize_with = "given")]
    _title: Option<Title>,
    #[serde(rename = "skillIcon", default, deserialize_with = "given")]
    _skill_icon: Option<Image>,
    #[serde(rename = "textField", default, deserialize_with = "given")]
    _text_field: Option<String>,
    #[serde(rename = "image", default, deserialize_with = "given")]
    _image: Option<Image>,
    #[serde(rename = "listItems", default)]
    _list_items: Vec<ListItem>,
    #[serde(rename = "currentWeather", default, deserialize_with = "given")]
    _current_weather: Option<String>,
    #[serde(rename = "description", default, deserialize_with = "given")]
    _description: Option<String>,
    #[serde(rename = "currentWeatherIcon", default, deserialize_with = "given")]
    _icon: Option<Image>,
    #[serde(rename = "currentWeatherIconCode", default, deserialize_with = "given")]
    _icon_code: Option<i64>,
    #[serde(rename = "highTemperature", default, deserialize_with = "given")]
    _high: Option<Temperature>,
    #[serde(rename = "lowTemperature", default, deserialize_with = "given")]
    _low: Option<Temperature>,
    #[serde(rename = "weatherForecast", default)]
    _forecast: Vec<Forecast>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Title {
    #[serde(rename = "mainTitle", default, deserialize_with = "given")]
    _main: Option<String>,
    #[serde(rename = "subTitle", default, deserialize_with = "given")]
    _sub: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    #[serde(rename = "contentDescription", default, deserialize_with = "given")]
    _description: Option<String>,
    #[serde(rename = "sources", default)]
    _sources: Vec<Source>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    #[serde(rename = "url", deserialize_with = "filled")]
    _url: String,
    #[serde(rename = "darkBackgroundUrl", default, deserialize_with = "given")]
    _dark: Option<String>,
    #[serde(rename = "size", default, deserialize_with = "given")]
    _size: Option<Size>,
    #[serde(rename = "widthPixels", default, deserialize_with = "given")]
    _width: Option<u64>,
    #[serde(rename = "heightPixels", default, deserialize_with = "given")]
    _height: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
enum Size {
    XSmall,
    Small,
    Medium,
    Large,
    XLarge,
}

#[derive(Deserialize)]
struct ListItem {
    #[serde(rename = "leftTextField", default, deserialize_with = "given")]
    _left: Option<String>,
    #[serde(rename = "rightTextField", default, deserialize_with = "given")]
    _right: Option<String>,
}

#[derive(Deserialize)]
struct Temperature {
    #[serde(rename = "value", default, deserialize_with = "given")]
    _value: Option<String>,
    #[serde(rename = "arrow", default, deserialize_with = "given")]
    _arrow: Option<Image>,
}

/// In a forecast it may be a bare text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Degrees {
    Text(#[allow(dead_code, reason = "only looked at")] String),
    Whole(#[allow(dead_code, reason = "only looked at")] Temperature),
}

#[derive(Deserialize)]
struct Forecast {
    #[serde(rename = "image", default, deserialize_with = "given")]
    _image: Option<Image>,
    #[serde(rename = "iconCode", default, deserialize_with = "given")]
    _icon_code: Option<i64>,
    #[serde(rename = "day", default, deserialize_with = "given")]
    _day: Option<String>,
    #[serde(rename = "date", default, deserialize_with = "given")]
    _date: Option<String>,
    #[serde(rename = "highTemperature", default, deserialize_with = "given")]
    _high: Option<Degrees>,
    #[serde(rename = "lowTemperature", default, deserialize_with = "given")]
    _low: Option<Degrees>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenderPlayerInfo {
    #[serde(deserialize_with = "filled")]
    audio_item_id: String,
    #[serde(rename = "content", default, deserialize_with = "given")]
    _content: Option<Content>,
    #[serde(rename = "controls", default)]
    _controls: Vec<Control>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "title", default, deserialize_with = "given")]
    _title: Option<String>,
    #[serde(rename = "titleSubtext1", default, deserialize_with = "given")]
    _title_subtext_1: Option<String>,
    #[serde(rename = "titleSubtext2", default, deserialize_with = "given")]
    _title_subtext_2: Option<String>,
    #[serde(rename = "header", default, deserialize_with = "given")]
    _header: Option<String>,
    #[serde(rename = "headerSubtext1", default, deserialize_with = "given")]
    _header_subtext_1: Option<String>,
    #[serde(rename = "mediaLengthInMilliseconds", default, deserialize_with = "given")]
    _length: Option<u64>,
    #[serde(rename = "art", default, deserialize_with = "given")]
    _art: Option<Image>,
    #[serde(rename = "provider", default, deserialize_with = "given")]
    _provider: Option<Provider>,
}

#[derive(Deserialize)]
struct Provider {
    #[serde(rename = "name", default, deserialize_with = "given")]
    _name: Option<String>,
    #[serde(rename = "logo", default, deserialize_with = "given")]
    _logo: Option<Image>,
}

#[derive(Deserialize)]
struct Control {
    #[serde(rename = "type")]
    _kind: ControlKind,
    #[serde(rename = "name")]
    _name: ControlName,
    #[serde(rename = "enabled", default, deserialize_with = "given")]
    _enabled: Option<bool>,
    #[serde(rename = "selected", default, deserialize_with = "given")]
    _selected: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum ControlKind {
    Button,
    Toggle,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ControlName {
    PlayPause,
    Next,
    Previous,
    SkipForward,
    SkipBackward,
    Shuffle,
    Loop,
    Repeat,
    ThumbsUp,
    ThumbsDown,
}

/// The card of a RenderTemplate.
pub(super) fn template(directive: &Directive) -> Result<Value, Refusal> {
    let _: RenderTemplate = payload(directive)?;
    payload(directive)
}

/// The item of a RenderPlayerInfo, and its card.
pub(super) fn player_info(directive: &Directive) -> Result<(String, Value), Refusal> {
    let info: RenderPlayerInfo = payload(directive)?;
    Ok((info.audio_item_id, payload(directive)?))
}

/// What is there is not `null`.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Err(serde::de::Error::custom("an empty text")) } else { Ok(text) }
}
