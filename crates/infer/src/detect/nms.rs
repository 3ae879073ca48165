//! Candidates in order, and those kept that no better one of their class overlaps.

/// An object that the network may have seen, in pixels of its input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) class: u32,
    pub(super) score: f32,
    /// Left, top, right, bottom.
    pub(super) corners: [f32; 4],
}

/// Most objects in a picture; the reference implementations keep as many.
const MOST: usize = 300;

/// Most candidates that are compared with each other, the best ones.
const COMPARED: usize = 30_000;

/// Best first. Equal scores are ordered by class and place, so that the order does not depend on the network's.
pub(super) fn sort(candidates: &mut [Candidate]) {
    candidates.sort_by(|a, b| {
        let places = a.corners.iter().zip(&b.corners);
        let by_place = || {
            places
                .map(|(a, b)| a.total_cmp(b))
                .find(|order| order.is_ne())
        };
        (b.score.total_cmp(&a.score))
            .then(a.class.cmp(&b.class))
            .then_with(|| by_place().unwrap_or(std::cmp::Ordering::Equal))
    });
}

/// Sorts the candidates and drops each that overlaps a better one of its class by more than `iou`, where `iou` is given.
pub(super) fn keep(candidates: &mut Vec<Candidate>, iou: Option<f32>) {
    sort(candidates);
    if let Some(iou) = iou {
        candidates.truncate(COMPARED);
        let mut kept: Vec<Candidate> = Vec::new();
        for candidate in candidates.iter() {
            let hides = |better: &Candidate| {
                better.class == candidate.class
                    && overlap(&better.corners, &candidate.corners) > iou
            };
            if !kept.iter().any(hides) {
                kept.push(*candidate);
                if kept.len() == MOST {
                    break;
                }
            }
        }
        *candidates = kept;
    }
    candidates.truncate(MOST);
}

/// Intersection over union.
fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |[x1, y1, x2, y2]: &[f32; 4]| (x2 - x1).max(0.0) * (y2 - y1).max(0.0);
    let both = area(&[
        a[0].max(b[0]),
        a[1].max(b[1]),
        a[2].min(b[2]),
        a[3].min(b[3]),
    ]);
    let either = area(a) + area(b) - both;
    if either > 0.0 { both / either } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(class: u32, score: f32, corners: [f32; 4]) -> Candidate {
        Candidate {
            class,
            score,
            corners,
        }
    }

    #[test]
    fn the_weaker_of_two_boxes_of_a_class_goes_and_of_two_classes_stays() {
        let best = candidate(0, 0.9, [0.0, 0.0, 10.0, 10.0]);
        // Overlap 50 of 150.
        let half = candidate(0, 0.8, [5.0, 0.0, 15.0, 10.0]);
        let other = candidate(1, 0.7, [0.0, 0.0, 10.0, 10.0]);
        let kept = |iou| {
            let mut all = vec![other, half, best];
            keep(&mut all, iou);
            all
        };
        assert_eq!(kept(Some(0.34)), [best, half, other]);
        assert_eq!(kept(Some(0.33)), [best, other]);
        assert_eq!(kept(None), [best, half, other]);
    }

    #[test]
    fn a_box_that_was_dropped_hides_nothing() {
        let row = |i: u32| {
            candidate(
                0,
                1.0 - i as f32 / 10.0,
                [4.0 * i as f32, 0.0, 4.0 * i as f32 + 10.0, 1.0],
            )
        };
        let mut all = vec![row(0), row(1), row(2)];
        keep(&mut all, Some(0.4));
        assert_eq!(all, [row(0), row(2)]);
    }

    proptest! {
        #[test]
        fn the_order_of_the_network_does_not_matter(
            mut all in prop::collection::vec(
                (0u32..2, 0u8..4, prop::array::uniform4(0u8..6)).prop_map(|(class, score, [x, y, w, h])| {
                    let [x, y, w, h] = [x, y, w, h].map(f32::from);
                    candidate(class, f32::from(score) / 4.0, [x, y, x + w, y + h])
                }),
                0..20,
            )
        ) {
            let mut reversed: Vec<_> = all.iter().rev().copied().collect();
            keep(&mut all, Some(0.5));
            keep(&mut reversed, Some(0.5));
            prop_assert_eq!(&all, &reversed);
            prop_assert!(all.is_sorted_by(|a, b| a.score >= b.score));
            for (i, a) in all.iter().enumerate() {
                for b in &all[..i] {
                    prop_assert!(a.class != b.class || overlap(&a.corners, &b.corners) <= 0.5);
                }
            }
        }
    }
}
