//! Owns the wall clock as the service writes it, `2030-01-01T12:34:56+0000`. Pure but for `now`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since 1970; a clock set before that reads as 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The whole second that is not before `after` from now: rounding up keeps an alert from being early.
pub(crate) fn due(after: Duration) -> u64 {
    let due = now() + after;
    due.as_secs() + u64::from(due.subsec_nanos() > 0)
}

/// Seconds since 1970 as the service writes them.
pub(crate) fn timestamp(seconds: u64) -> String {
    let days = seconds / 86_400;
    let of_day = seconds % 86_400;
    // Civil date from day count: years counted from 1 March, in 400-year eras.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+0000")
}

/// Whole seconds since 1970 of a timestamp with an offset of `Z`, `+HHMM` or `+HH:MM`; a fraction is dropped.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let marks = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')];
    if marks.iter().any(|(at, mark)| text.chars().nth(*at) != Some(*mark)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let zone = text.get(19..)?.trim_start_matches(|mark: char| mark == '.' || mark.is_ascii_digit());
    let offset = match zone.split_at_checked(1)? {
        ("Z", "") => 0,
        (sign @ ("+" | "-"), digits) => {
            let digits = digits.replace(':', "");
            let value = digits.parse::<i64>().ok().filter(|_| digits.len() == 4)?;
            let seconds = (value / 100 * 60 + value % 100) * 60;
            if sign == "+" { seconds } else { -seconds }
        }
        _ => return None,
    };
    // The inverse of the civil date above.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn timestamps() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00+0000");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00+0000");
        assert_eq!(timestamp(1_893_501_296), "2030-01-01T12:34:56+0000");
        assert_eq!(timestamp(4_107_542_399), "2100-02-28T23:59:59+0000");
        assert_eq!(parse("2030-01-01T12:34:56.123Z"), Some(1_893_501_296));
        assert_eq!(parse("2030-01-01T13:34:56+01:00"), Some(1_893_501_296));
        for wrong in
            ["", "2030-01-01", "2030-01-01T12:34:56", "2030-01-01T12:34:56+1", "ä".repeat(30).as_str()]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(seconds in 0u64..9_000_000_000) {
            prop_assert_eq!(parse(&timestamp(seconds)), i64::try_from(seconds).ok());
        }

        #[test]
        fn never_panics(text in "[0-9TZ:+.-]{0,30}") {
            parse(&text);
        }
    }
}
