//! Dates as sources write them.

const DAY: i64 = 24 * 3600;

/// Microseconds since the epoch of a date such as `2024-10-28T21:39:21.127470Z` or
/// `2019-12-29 04:58:34.806671+00`; without a zone it is UTC. `None` for anything else,
/// and for what was before the epoch.
pub fn micros(text: &str) -> Option<u64> {
    let (date, rest) = text.trim().split_at_checked(10)?;
    let [year, month, day] = numbers(date, '-')?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let of_clock = |c: char| c.is_ascii_digit() || c == ':' || c == '.';
    let end = rest.find(|c| !of_clock(c)).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(end);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let [hour, minute, second] = numbers(clock, ':')?;
    let fits = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !fits {
        return None;
    }
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    let whole = u64::try_from(seconds - offset(zone.trim())?).ok()?;
    Some(whole * 1_000_000 + fraction_micros(fraction)?)
}

fn numbers(text: &str, between: char) -> Option<[i64; 3]> {
    let mut parts = text.split(between);
    let mut next = || {
        let part = parts.next()?;
        let digits = (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    };
    let all = [next()?, next()?, next()?];
    parts.next().is_none().then_some(all)
}

fn fraction_micros(digits: &str) -> Option<u64> {
    let six = digits.get(..digits.len().min(6))?;
    match six.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("{six:0<6}").parse().ok(),
        false => None,
    }
}

/// The zone in seconds east of UTC.
fn offset(zone: &str) -> Option<i64> {
    let (sign, digits) = match zone.split_at_checked(1) {
        None => return Some(0),
        Some(("Z" | "z", "")) => return Some(0),
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        Some(_) => return None,
    };
    let digits = digits.replace(':', "");
    let number = |part: Option<&str>| part?.parse::<i64>().ok();
    let (hours, minutes) = match digits.len() {
        2 => (number(Some(&digits))?, 0),
        4 => (number(digits.get(..2))?, number(digits.get(2..))?),
        _ => return None,
    };
    Some(sign * (hours * 3600 + minutes * 60))
}

/// Days since the epoch of a day in the Gregorian calendar. The year begins in March,
/// so that a leap day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let leaps = year / 4 - year / 100 + year / 400;
    let of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + leaps + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_sources_write_them() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-10-28T21:39:21.127470Z", 1_730_151_561_127_470),
            ("2019-12-29 04:58:34.806671", 1_577_595_514_806_671),
            ("2018-03-27 11:58:28.988414-03", 1_522_162_708_988_414),
            ("2000-02-29T12:00:00.5+05:30", 951_805_800_500_000),
            ("2020-01-13T13:55:39.738+0000", 1_578_923_739_738_000),
            ("2024-03-01 00:00:00.123456789+00", 1_709_251_200_123_456),
        ] {
            assert_eq!(micros(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_date() {
        for bad in [
            "",
            "yesterday",
            "2024-10-28",
            "2024-13-01T00:00:00Z",
            "2024-10-28T25:00:00Z",
            "2024-10-28T21:39:21 Berlin",
            "2024-10-28T21:39:21+1",
            "1969-12-31T23:59:59Z",
            "2024-10-28T21:39",
            "ü24-10-28T21:39:21Z",
        ] {
            assert_eq!(micros(bad), None, "{bad}");
        }
    }
}
