//! `tracestate`: what those who trace write for themselves beside a trace. It is passed on as it came and never read.

/// How many entries there may be, as the specification has it.
const ENTRIES: usize = 32;
/// How long it may be: what everybody must be able to pass on, and nobody has to pass on more.
const LENGTH: usize = 512;

/// Entries of others, 1 to 32 of them, 512 bytes at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceState(String);

impl TraceState {
    /// Reads the values of the header, one for each time it is there: together they are one list. What is no such list,
    /// or too long, is none: to cut it would be to decide whose entry counts.
    pub fn read<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let values: Vec<&str> = values.into_iter().map(trim).filter(|value| !value.is_empty()).collect();
        let list = values.join(",");
        let entries = || list.split(',').map(trim).filter(|entry| !entry.is_empty());
        let good = list.len() <= LENGTH && (1..=ENTRIES).contains(&entries().count()) && entries().all(is_entry);
        good.then_some(Self(list))
    }

    /// The list.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Without the white space that HTTP allows around a value.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Whether it is `key=value`.
fn is_entry(entry: &str) -> bool {
    let Some((key, value)) = entry.split_once('=') else { return false };
    let of_key = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    (1..=256).contains(&key.len())
        && key.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && key.bytes().all(of_key)
        && (1..=256).contains(&value.len())
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> Option<String> {
        TraceState::read(values.iter().copied()).map(|state| state.as_str().to_owned())
    }

    #[test]
    fn a_list_is_passed_on_as_it_came() {
        for list in [
            "a=1",
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
            "a=1 , b=2",
            "tenant@system=x y!",
            "0a/b*c-d_e=~",
            "a=1,,b=2",
        ] {
            assert_eq!(read(&[list]).as_deref(), Some(list));
        }
        assert_eq!(read(&["a=1", " b=2\t", ""]).as_deref(), Some("a=1,b=2"));
    }

    #[test]
    fn what_is_no_list_or_too_much_is_none() {
        let many = |n| (0..n).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        let long = |length: usize| format!("k={}", "v".repeat(length - 2));
        assert!(read(&[&many(32)]).is_some() && read(&[&many(33)]).is_none());
        assert!(read(&[&long(258)]).is_some() && read(&[&long(259)]).is_none());
        assert!(read(&[&long(255), &long(256)]).is_some() && read(&[&long(256), &long(256)]).is_none(), "512 bytes");
        for bad in [
            "",
            " ",
            ",",
            "a",
            "=1",
            "a=",
            "A=1",
            "_a=1",
            "a =1",
            "a=1=2",
            "a=é",
            "a=\u{7f}",
            "é=1",
            "a=1,\rb=2",
            "a=1\n",
        ] {
            assert_eq!(read(&[bad]), None, "{bad:?}");
        }
        assert_eq!(read(&["a=1", "nonsense"]), None, "all or nothing");
    }

    proptest! {
        #[test]
        fn what_is_read_is_short_and_reads_the_same_again(values in prop::collection::vec("[a-c=, \t0-9]{0,40}", 0..4)) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            if let Some(state) = read(&values) {
                prop_assert!(state.len() <= LENGTH && state.is_ascii());
                prop_assert_eq!(read(&[&state]), Some(state.clone()));
            }
        }
    }
}
