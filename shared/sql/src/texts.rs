//! Texts of statements with lists: few different ones, so that each stays prepared.

/// `(?, ?), (?, ?)`: so many rows of so many values.
pub fn rows(rows: usize, values: usize) -> String {
    vec![marks(values); rows].join(", ")
}

/// `(?, ?)`.
pub fn marks(values: usize) -> String {
    format!("({})", vec!["?"; values].join(", "))
}

/// As many as the next power of two, the last repeated: what is looked for in a list of any length needs one of a few texts,
/// and each stays prepared. (A statement that is given up costs more than its own time: `MySQL` does not answer to that, and
/// what is sent next waits for the packet's acknowledgement.)
pub fn padded<T: Clone>(list: &[T]) -> Vec<T> {
    let mut list = list.to_vec();
    if let Some(last) = list.last().cloned() {
        list.resize(list.len().next_power_of_two(), last);
    }
    list
}

/// Rows in pieces of powers of two, the largest first: few texts insert any number of them.
pub fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = 1 << rows.len().checked_ilog2()?;
        let (piece, rest) = rows.split_at(size);
        rows = rest;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_of_values_and_rows() {
        assert_eq!((marks(1), rows(2, 3)), ("(?)".into(), "(?, ?, ?), (?, ?, ?)".into()));
    }

    #[test]
    fn lists_are_as_long_as_a_power_of_two() {
        assert_eq!(padded::<u8>(&[]), Vec::<u8>::new());
        assert_eq!(padded(&[1, 2, 3]), [1, 2, 3, 3]);
        assert_eq!(padded(&[1, 2, 3, 4]), [1, 2, 3, 4]);
        assert_eq!(pieces(&[1, 2, 3, 4, 5, 6, 7]).collect::<Vec<_>>(), [&[1, 2, 3, 4][..], &[5, 6], &[7]]);
        assert_eq!(pieces::<u8>(&[]).count(), 0);
    }
}
