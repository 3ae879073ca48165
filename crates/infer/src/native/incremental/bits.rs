//! Which pixels of a row changed: a bit for each.

/// A row of pixels, one bit each.
#[derive(Clone)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Of `width` pixels, none set.
    pub(super) fn new(width: usize) -> Self {
        Self(vec![0; width.div_ceil(64)])
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    pub(super) fn set(&mut self, x: usize) {
        self.0[x / 64] |= 1 << (x % 64);
    }

    /// Sets the bits of another row too.
    pub(super) fn add(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    pub(super) fn any(&self) -> bool {
        self.0.iter().any(|&word| word != 0)
    }

    /// Sets the bits next to set ones.
    pub(super) fn grow(&mut self) {
        let mut before = 0;
        for i in 0..self.0.len() {
            let word = self.0[i];
            let behind = self.0.get(i + 1).copied().unwrap_or(0);
            self.0[i] = word | word << 1 | word >> 1 | before >> 63 | behind << 63;
            before = word;
        }
    }

    /// The tiles, two pixels each, that have a set bit: x / 2, ascending.
    pub(super) fn tiles(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(i, &word)| {
            let mut left = (word | word >> 1) & 0x5555_5555_5555_5555;
            std::iter::from_fn(move || {
                let place = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(32 * i + place / 2)
            })
        })
    }

    /// The longest runs of set bits of the first `width`, ascending; runs with no more than `gap` pixels between them are one.
    pub(super) fn runs(
        &self,
        width: usize,
        gap: usize,
    ) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = self.next(at, width)?;
            let mut end = start + 1;
            while let Some(next) = self.next(end, width).filter(|next| *next <= end + gap) {
                end = next + 1;
            }
            at = end;
            Some(start..end)
        })
    }

    /// The first set bit from `x` on, before `width`.
    fn next(&self, x: usize, width: usize) -> Option<usize> {
        let mut i = x / 64;
        let mut word = self.0.get(i)? & (u64::MAX << (x % 64));
        while word == 0 {
            i += 1;
            word = *self.0.get(i)?;
        }
        Some(64 * i + word.trailing_zeros() as usize).filter(|x| *x < width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(width: usize, set: &[usize]) -> Bits {
        let mut bits = Bits::new(width);
        for &x in set {
            bits.set(x);
        }
        bits
    }

    fn places(bits: &Bits, width: usize) -> Vec<usize> {
        bits.runs(width, 0).flatten().collect()
    }

    proptest! {
        #[test]
        fn runs_tiles_and_growth_are_those_of_a_list_of_places(
            width in 1..300_usize, set in proptest::collection::btree_set(0..300_usize, 0..40), gap in 0..9_usize
        ) {
            let set: Vec<usize> = set.into_iter().filter(|x| *x < width).collect();
            let mut row = bits(width, &set);
            prop_assert_eq!(row.any(), !set.is_empty());
            prop_assert_eq!(&places(&row, width), &set);
            let tiles: Vec<_> = row.tiles().collect();
            let mut expected: Vec<usize> = set.iter().map(|x| x / 2).collect();
            expected.dedup();
            prop_assert_eq!(tiles, expected);
            let runs: Vec<_> = row.runs(width, gap).collect();
            for pair in runs.windows(2) {
                prop_assert!(pair[1].start > pair[0].end + gap);
            }
            prop_assert!(set.iter().all(|x| runs.iter().any(|run| run.contains(x))));
            prop_assert!(runs.iter().all(|run| set.contains(&run.start) && set.contains(&(run.end - 1))));
            row.grow();
            let near = |x: &usize| set.iter().any(|set| set.abs_diff(*x) <= 1);
            prop_assert_eq!(places(&row, width), (0..width).filter(near).collect::<Vec<_>>());
        }
    }
}
