//! Bytes and times as people read them.

const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
const STEP: f64 = 1024.0;
const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 3600;

/// `1.5 GiB`.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= STEP && unit + 1 < UNITS.len() {
        value /= STEP;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `9 min 18 s`: the two largest units of so many seconds.
pub fn seconds(seconds: u64) -> String {
    let (hours, minutes) = (seconds / HOUR_S, seconds % HOUR_S / MINUTE_S);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {} s", seconds % MINUTE_S),
        _ => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_their_unit() {
        assert_eq!([bytes(0), bytes(1023), bytes(1536)], ["0 B", "1023 B", "1.5 KiB"]);
        assert_eq!([bytes(5 << 30), bytes(3 << 50)], ["5.0 GiB", "3072.0 TiB"]);
        assert_eq!([seconds(0), seconds(59), seconds(558)], ["0 s", "59 s", "9 min 18 s"]);
        assert_eq!([seconds(3600), seconds(90_061)], ["1 h 0 min", "25 h 1 min"]);
    }
}
