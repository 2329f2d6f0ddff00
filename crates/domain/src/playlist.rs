//! Playlists of the web, PLS and M3U: what they name, in order. Pure text; who reads it fetches the entries.
//!
//! Whatever the bytes are, parsing ends, and gives no more than [`MOST_ENTRIES`].

/// Entries beyond this many are left out.
pub const MOST_ENTRIES: usize = 1_000;

/// The longest entry, bytes; a longer one is left out.
const LONGEST_ENTRY: usize = 4_096;

/// What a playlist is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playlist {
    /// What it names, in order: URLs, or paths relative to the list.
    Entries(Vec<String>),
    /// HTTP Live Streaming: parts of one stream, or its variants. Not a list for people.
    Hls,
}

/// Whether a URL's path ends like a playlist's: `.m3u`, `.m3u8`, `.pls`.
pub fn is_named_so(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or(url).to_ascii_lowercase();
    [".m3u", ".m3u8", ".pls"].iter().any(|ending| path.ends_with(ending))
}

/// Reads a playlist; `None` when it is none.
pub fn parse(bytes: &[u8]) -> Option<Playlist> {
    if bytes.contains(&0) {
        return None;
    }
    // Old lists are Latin-1; only titles, which are not read, differ.
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    if lines.peek()?.eq_ignore_ascii_case("[playlist]") {
        return Some(Playlist::Entries(pls(lines)));
    }
    let mut entries = Vec::new();
    let mut extended = false;
    for line in lines {
        if let Some(remark) = line.strip_prefix('#') {
            if remark.starts_with("EXT-X-") {
                return Some(Playlist::Hls);
            }
            extended |= remark.starts_with("EXT");
            continue;
        }
        if line.len() > LONGEST_ENTRY {
            continue;
        }
        // Without the mark of the format, a line that is no address means that this is some other text.
        if !extended && (line.contains(char::is_control) || line.starts_with(['<', '{'])) {
            return None;
        }
        if entries.len() < MOST_ENTRIES {
            entries.push(line.to_owned());
        }
    }
    (extended || !entries.is_empty()).then_some(Playlist::Entries(entries))
}

fn pls<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut numbered: Vec<(u32, String)> = Vec::new();
    for line in lines {
        let Some((key, value)) = line.split_once('=') else { continue };
        let key = key.trim().to_ascii_lowercase();
        let Some(number) = key.strip_prefix("file").and_then(|number| number.parse().ok()) else { continue };
        let value = value.trim();
        if value.is_empty() || value.len() > LONGEST_ENTRY || numbered.len() == MOST_ENTRIES {
            continue;
        }
        numbered.push((number, value.to_owned()));
    }
    numbered.sort_by_key(|(number, _)| *number);
    numbered.into_iter().map(|(_, url)| url).collect()
}

/// The URL that an entry of the list at `base` means; `None` for one that such a list may not name: a list from the web
/// leads only into the web.
pub fn resolve(base: &str, entry: &str) -> Option<String> {
    let (scheme, rest) = base.split_once("://")?;
    let web = |scheme: &str| ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    let entry = entry.replace(' ', "%20");
    if let Some((to, _)) = entry.split_once("://")
        && !to.is_empty()
        && to.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    {
        let allowed = web(to) || (to.eq_ignore_ascii_case("file") && scheme.eq_ignore_ascii_case("file"));
        return allowed.then_some(entry);
    }
    if let Some(rest) = entry.strip_prefix("//") {
        return web(scheme).then(|| format!("{scheme}://{rest}"));
    }
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (host, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let path = match entry.as_bytes().first()? {
        b'/' => entry,
        b'?' => format!("{path}{entry}"),
        _ => format!("{}/{entry}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
    };
    Some(format!("{scheme}://{host}{}", without_dots(&path)))
}

/// Takes `.` and `..` out of a path; what would lead above its root stays there.
fn without_dots(path: &str) -> String {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let (path, query) = path.split_at(end);
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}{query}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<String> {
        match parse(text.as_bytes()) {
            Some(Playlist::Entries(entries)) => entries,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lists_are_read_in_their_order() {
        assert_eq!(
            entries("\u{feff}#EXTM3U\r\n#EXTINF:3,A\r\na.mp3\r\n\r\nhttp://h/b.mp3\r\n"),
            ["a.mp3", "http://h/b.mp3"]
        );
        assert_eq!(entries("http://h/only"), ["http://h/only"]);
        let pls = "[Playlist]\nNumberOfEntries=2\nFile2 = http://h/2\nTitle1=x\nfile1=http://h/1\nVersion=2";
        assert_eq!(entries(pls), ["http://h/1", "http://h/2"]);
        assert_eq!(parse(b"#EXTM3U\n#EXT-X-TARGETDURATION:4\na.ts"), Some(Playlist::Hls));
        assert_eq!(parse(b"<html>"), None);
        assert_eq!(parse(b"ID3\0\0"), None);
        assert_eq!(parse(b""), None);
        let long = "http://h/x\n".repeat(5_000);
        assert_eq!(entries(&long).len(), MOST_ENTRIES);
    }

    #[test]
    fn entries_lead_where_the_list_may_lead() {
        let base = "http://h:8/a/b/list.m3u?x=/y";
        for (entry, url) in [
            ("http://other/z", Some("http://other/z")),
            ("c d.mp3", Some("http://h:8/a/b/c%20d.mp3")),
            ("../c.mp3?q=../1", Some("http://h:8/a/c.mp3?q=../1")),
            ("/../c.mp3", Some("http://h:8/c.mp3")),
            ("//other/c", Some("http://other/c")),
            ("?v=2", Some("http://h:8/a/b/list.m3u?v=2")),
            ("file:///etc/passwd", None),
            ("rtsp://h/x", None),
        ] {
            assert_eq!(resolve(base, entry).as_deref(), url, "{entry}");
        }
        assert_eq!(resolve("file:///m/l.m3u", "x.mp3").as_deref(), Some("file:///m/x.mp3"));
        assert_eq!(resolve("file:///m/l.m3u", "file:///n/x.mp3").as_deref(), Some("file:///n/x.mp3"));
        assert_eq!(resolve("http://h", "x").as_deref(), Some("http://h/x"));
        assert_eq!(resolve("nothing", "x"), None);
    }

    #[test]
    fn names_tell() {
        assert!(is_named_so("http://h/a.PLS?x=1"));
        assert!(is_named_so("http://h/a.m3u8"));
        assert!(!is_named_so("http://h/a.mp3?list=a.m3u"));
    }
}
