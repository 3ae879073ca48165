//! NaN and infinity, found at the speed of memory.

use framewright_media::PlanarRgb;

/// True where no value is NaN or infinite.
///
/// An f32 is NaN or infinite exactly when all eight exponent bits are set; adding one to the exponent of the absolute
/// value then carries into the sign bit. And, add, or: three operations that every vector unit has, no branch.
pub(crate) fn all_finite(values: &[f32]) -> bool {
    let carry = values.iter().fold(0, |carry, value| {
        carry | ((value.to_bits() & 0x7fff_ffff) + 0x0080_0000)
    });
    carry & 0x8000_0000 == 0
}

/// Values that are NaN or infinite.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotFinite {
    pub(crate) count: usize,
    pub(crate) x: usize,
    pub(crate) y: usize,
}

/// Counts the values that [`all_finite`] found to be there.
#[cold]
pub(crate) fn not_finite(picture: &PlanarRgb) -> NotFinite {
    let is_bad = |value: &&f32| !value.is_finite();
    let count = picture.data().iter().filter(is_bad).count();
    let first = picture
        .planes()
        .iter()
        .filter_map(|plane| plane.iter().position(|v| !v.is_finite()))
        .min();
    let first = first.expect("called for a picture with a value that is not finite");
    NotFinite {
        count,
        x: first % picture.width(),
        y: first / picture.width(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nan_and_both_infinities_are_found_wherever_they_stand() {
        for bad in [
            f32::NAN,
            -f32::NAN,
            f32::from_bits(0x7f80_0001),
            f32::INFINITY,
            f32::NEG_INFINITY,
        ] {
            for n in 1..70 {
                for at in 0..n {
                    let mut values = vec![0.5; n];
                    values[at] = bad;
                    assert!(!all_finite(&values), "{bad} at {at} of {n}");
                }
            }
        }
    }

    #[test]
    fn the_largest_and_smallest_numbers_are_finite() {
        let values = [
            f32::MAX,
            f32::MIN,
            f32::MIN_POSITIVE,
            f32::from_bits(1),
            0.0,
            -0.0,
        ];
        assert!(all_finite(&values));
        assert!(all_finite(&[]));
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_standard_library_on_any_bits(bits in prop::collection::vec(any::<u32>(), 0..300)) {
            let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            prop_assert_eq!(all_finite(&values), values.iter().all(|v| v.is_finite()));
        }
    }
}
