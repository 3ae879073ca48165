//! The hash of the gradients: whether each of 17×16 areas is brighter than the one to its left.

use crate::Hash256;

use super::resize::Span;
use super::{Reduced, SIDE};

const ROWS: usize = 16;
const COLUMNS: usize = 17;

/// 16 bits per row, the top row first. Where both are equally bright, the bit is 0 in the mirrored picture too.
pub(super) fn hash(reduced: &Reduced, mirrored: bool) -> Hash256 {
    let spans: [Span; COLUMNS] = std::array::from_fn(|n| Span::new(n, SIDE, COLUMNS));
    let mut areas = [[0_u32; COLUMNS]; ROWS];
    for (rows, areas) in reduced.chunks_exact(SIDE * SIDE / ROWS).zip(&mut areas) {
        let mut sums = [0_u32; SIDE];
        for row in rows.chunks_exact(SIDE) {
            for (sum, &level) in sums.iter_mut().zip(row) {
                *sum += u32::from(level);
            }
        }
        for (span, area) in spans.iter().zip(areas.iter_mut()) {
            let whole: u32 = sums[span.first + 1..span.last].iter().sum();
            *area = whole * COLUMNS as u32
                + sums[span.first] * span.first_weight
                + sums[span.last] * span.last_weight;
        }
        if mirrored {
            areas.reverse();
        }
    }
    Hash256::from_bits(|bit| {
        let (row, n) = (&areas[bit / 16], bit % 16);
        row[n + 1] > row[n]
    })
}
