//! 256 bits and their distance.

use std::fmt;
use std::str::FromStr;

/// A hash of 256 bits. Two are compared by the number of bits that differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash256(pub [u64; 4]);

impl Hash256 {
    /// The hash whose bits, from the highest of the first word, are what `bit` says of 0 to 255.
    pub(crate) fn from_bits(bit: impl Fn(usize) -> bool) -> Self {
        let word = |n: usize| (0..64).fold(0, |word, i| word << 1 | u64::from(bit(64 * n + i)));
        Self([word(0), word(1), word(2), word(3)])
    }

    /// Number of bits that are set, 0 to 256.
    pub fn ones(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Number of bits that differ, 0 to 256.
    pub fn distance(&self, other: &Self) -> u32 {
        let words = self.0.iter().zip(&other.0);
        words.map(|(a, b)| (a ^ b).count_ones()).sum()
    }
}

/// 64 hexadecimal digits, the highest bit of the first word first.
impl fmt::Display for Hash256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|word| write!(f, "{word:016x}"))
    }
}

impl FromStr for Hash256 {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(());
        }
        let mut words = [0; 4];
        for (n, word) in words.iter_mut().enumerate() {
            *word = u64::from_str_radix(&text[16 * n..16 * (n + 1)], 16).map_err(|_| ())?;
        }
        Ok(Self(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_hash_survives_being_written_down(words: [u64; 4]) {
            let hash = Hash256(words);
            prop_assert_eq!(hash.to_string().parse(), Ok(hash));
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let long = "é".repeat(32);
        for text in ["", "12", &"g".repeat(64), &"+".repeat(64), &long] {
            assert_eq!(text.parse::<Hash256>(), Err(()));
        }
    }

    #[test]
    fn the_distance_counts_differing_bits() {
        let (none, all) = (Hash256::default(), Hash256([u64::MAX; 4]));
        assert_eq!(none.distance(&all), 256);
        assert_eq!(Hash256([1, 2, 4, 8]).distance(&none), 4);
    }
}
