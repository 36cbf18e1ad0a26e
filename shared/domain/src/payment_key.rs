//! What a payment key may be made of: the one rule for whoever takes one from a client.

/// The longest payment key Toss gives out, in characters (Toss core API, Payment object).
pub const PAYMENT_KEY_CHARS_MAX: usize = 200;

/// Whether a text can be a payment key. Anything else did not come from Toss, and could change the path it is put into.
pub fn is_payment_key(key: &str) -> bool {
    (1..=PAYMENT_KEY_CHARS_MAX).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=.~".contains(&b))
        && key != "."
        && key != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payment_keys_cannot_change_the_path() {
        let (longest, longer) = ("x".repeat(PAYMENT_KEY_CHARS_MAX), "x".repeat(PAYMENT_KEY_CHARS_MAX + 1));
        for (key, good) in [
            ("tsim_0a", true),
            ("5zJ4xY7m-~=.", true),
            (longest.as_str(), true),
            (longer.as_str(), false),
            ("", false),
            ("../x", false),
            (".", false),
            ("..", false),
            ("a/b", false),
            ("a?b", false),
            ("a%2fb", false),
            ("a b", false),
            ("키", false),
        ] {
            assert_eq!(is_payment_key(key), good, "{key}");
        }
    }
}
