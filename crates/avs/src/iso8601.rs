//! Moments as AVS writes them: ISO 8601 with an offset, `2030-01-01T12:34:56+0000`.
//!
//! Pure. Read are the forms AVS and its reference client use (`+0000`, `+00:00`, `Z`, with or without a fraction of
//! the second); written is one of them. Days are counted in the proleptic Gregorian calendar, leap seconds are not.

use antiphon_domain::WallTime;

const DAY: i64 = 86_400;
const NANOS: i64 = 1_000_000_000;

/// Reads a moment; `None` when it is not one, or lies outside the years 1 to 9999.
pub fn parse(text: &str) -> Option<WallTime> {
    let mut rest = text.as_bytes();
    let year = digits(&mut rest, 4)?;
    mark(&mut rest, b'-')?;
    let month = digits(&mut rest, 2)?;
    mark(&mut rest, b'-')?;
    let day = digits(&mut rest, 2)?;
    mark(&mut rest, b'T')?;
    let hour = digits(&mut rest, 2)?;
    mark(&mut rest, b':')?;
    let minute = digits(&mut rest, 2)?;
    mark(&mut rest, b':')?;
    let second = digits(&mut rest, 2)?;
    let nanos = fraction(&mut rest)?;
    let offset = offset(rest)?;
    if year == 0 || day == 0 || day > days_in(year, month)? || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    // Beyond 2262 nanoseconds do not fit; such a moment is not one we can keep.
    seconds.checked_mul(NANOS)?.checked_add(nanos).map(WallTime::from_nanos)
}

/// Writes a moment in UTC with milliseconds: `2030-01-01T12:34:56.789Z`. Any [`WallTime`] can be written: it ends in
/// the year 2262.
pub fn format(moment: WallTime) -> String {
    let seconds = moment.seconds();
    let millis = moment.nanos().rem_euclid(NANOS) / 1_000_000;
    let (year, month, day) = civil_from_days(seconds.div_euclid(DAY));
    let of_day = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let (head, tail) = rest.split_at_checked(count)?;
    let mut value = 0;
    for byte in head {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    *rest = tail;
    Some(value)
}

fn mark(rest: &mut &[u8], expected: u8) -> Option<()> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    (*first == expected).then_some(())
}

/// Nanoseconds of an optional fraction; digits beyond the ninth are dropped.
fn fraction(rest: &mut &[u8]) -> Option<i64> {
    let [b'.', tail @ ..] = *rest else { return Some(0) };
    let length = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let mut nanos = 0;
    // Missing digits are zeros.
    for byte in tail[..length].iter().chain(&[b'0'; 9]).take(9) {
        nanos = nanos * 10 + i64::from(byte - b'0');
    }
    *rest = &tail[length..];
    Some(nanos)
}

/// Seconds east of Greenwich.
fn offset(rest: &[u8]) -> Option<i64> {
    let (sign, mut rest) = match rest {
        b"Z" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let hours = digits(&mut rest, 2)?;
    if rest.first() == Some(&b':') {
        rest = &rest[1..];
    }
    let minutes = digits(&mut rest, 2)?;
    (rest.is_empty() && hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> Option<i64> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if is_leap(year) { 29 } else { 28 }),
        _ => None,
    }
}

/// Days since 1970-01-01. The year is taken to begin in March, so that the leap day is its last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    // 719468 days lie between 0000-03-01 and 1970-01-01; an era of 400 years has 146097.
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a day since 1970-01-01.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_documents_is_read() {
        let expected = Some(WallTime::from_seconds(1_893_501_296));
        for text in [
            "2030-01-01T12:34:56+0000",
            "2030-01-01T12:34:56+00:00",
            "2030-01-01T12:34:56-0000",
            "2030-01-01T12:34:56Z",
            "2030-01-01T12:34:56.000Z",
            "2030-01-01T14:34:56+0200",
            "2030-01-01T03:04:56-09:30",
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        let nanos = |text| parse(text).map(|time| time.nanos().rem_euclid(NANOS));
        assert_eq!(nanos("2030-01-01T12:34:56.789+0000"), Some(789_000_000));
        assert_eq!(nanos("2030-01-01T12:34:56.1234567891Z"), Some(123_456_789));
    }

    #[test]
    fn what_is_no_moment_is_not_read() {
        for text in [
            "",
            "tomorrow",
            "2030-01-01",
            "2030-01-01T12:34:56",
            "2030-01-01 12:34:56Z",
            "2030-13-01T12:34:56Z",
            "2030-00-01T12:34:56Z",
            "2030-02-29T12:34:56Z",
            "2030-01-32T12:34:56Z",
            "2030-01-01T24:00:00Z",
            "2030-01-01T12:60:00Z",
            "2030-01-01T12:34:60Z",
            "2030-01-01T12:34:56.Z",
            "2030-01-01T12:34:56+00",
            "2030-01-01T12:34:56+24:00",
            "2030-01-01T12:34:56Z ",
            "0000-01-01T00:00:00Z",
            "9999-01-01T00:00:00Z",
            "+030-01-01T12:34:56Z",
            "２030-01-01T12:34:56Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn days_follow_each_other() {
        // Each day from 0001-01-01 to 2400-12-31, counted one by one.
        let mut count = days_from_civil(1, 1, 1);
        for year in 1..=2400 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month).unwrap() {
                    assert_eq!(days_from_civil(year, month, day), count);
                    assert_eq!(civil_from_days(count), (year, month, day));
                    count += 1;
                }
            }
        }
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2000, 3, 1), 11_017);
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(millis in -60_000_000_000_000_i64..9_223_372_036_854) {
            let moment = WallTime::from_nanos(millis.clamp(-9_223_372_036_000, i64::MAX) * 1_000_000);
            proptest::prop_assert_eq!(parse(&format(moment)), Some(moment));
        }

        #[test]
        fn an_offset_only_says_the_same_otherwise(
            seconds in 0_i64..4_000_000_000, hours in -23_i64..=23, minutes in 0_i64..60, colon: bool
        ) {
            let east = hours.signum() * (hours.abs() * 3600 + minutes * 60);
            let there = format(WallTime::from_seconds(seconds + east));
            let sign = if east < 0 { '-' } else { '+' };
            let (h, m) = (east.abs() / 3600, east.abs() / 60 % 60);
            let colon = if colon { ":" } else { "" };
            let text = format!("{}{sign}{h:02}{colon}{m:02}", there.trim_end_matches('Z'));
            proptest::prop_assert_eq!(parse(&text), Some(WallTime::from_seconds(seconds)));
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,40}", bytes in "[0-9TZ:.+-]{0,40}") {
            let _ = (parse(&text), parse(&bytes));
        }
    }
}
