//! What is said of an axis against networks that are run: their values are hashes of everything they depend on.

use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::prelude::*;

use super::*;
use crate::pad::crop;

/// One operator on an axis.
#[derive(Debug, Clone)]
enum Step {
    Windows(Window),
    Transposed(Window, i64),
    Unfolded(i64),
    Folded(i64),
    /// Up, down, and the first and last position that is read, counted from its own place.
    Resized(i64, i64, [i64; 2]),
    Padded([i64; 2]),
    Reflected([i64; 2]),
    Repeated([i64; 2]),
    /// Joined with what the step that many back has given.
    Joined(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let windows = || {
        (1_i64..5, 1_i64..4, 1_i64..3, -1_i64..4, -1_i64..4).prop_map(
            |(kernel, stride, dilation, a, b)| Window {
                kernel,
                stride,
                dilation,
                pads: [a, b],
            },
        )
    };
    // Nothing is gained or lost, as in most networks: otherwise few results are as large as they have to be.
    let same = (1_i64..5, 1_i64..3, 0_i64..9).prop_map(|(kernel, dilation, before)| {
        let before = before % ((kernel - 1) * dilation + 1);
        Window {
            kernel,
            stride: 1,
            dilation,
            pads: [before, (kernel - 1) * dilation - before],
        }
    });
    let half = (0_i64..2).prop_map(|more| Window {
        kernel: 2 + 2 * more,
        stride: 2,
        dilation: 1,
        pads: [more, more],
    });
    let pads = || (0_i64..4, 0_i64..4).prop_map(|(a, b)| [a, b]);
    let step = prop_oneof![
        4 => same.prop_map(Step::Windows),
        2 => half.clone().prop_map(Step::Windows),
        2 => half.prop_map(|window| Step::Transposed(window, 0)),
        1 => windows().prop_map(Step::Windows),
        1 => (windows(), 0_i64..2).prop_map(|(window, more)| Step::Transposed(window, more)),
        2 => (1_i64..4).prop_map(Step::Unfolded),
        2 => (1_i64..4).prop_map(Step::Folded),
        2 => (1_i64..5, 1_i64..5, -2_i64..3, 0_i64..4)
            .prop_map(|(up, down, first, more)| Step::Resized(up, down, [first, first + more])),
        1 => pads().prop_map(Step::Padded),
        1 => pads().prop_map(|[a, b]| Step::Padded([-a, -b])),
        2 => pads().prop_map(Step::Reflected),
        1 => pads().prop_map(Step::Repeated),
        2 => (0_usize..4).prop_map(Step::Joined),
        2 => pads().prop_map(|[a, b]| Step::Windows(Window {
            kernel: a + b + 1,
            stride: 1,
            dilation: 1,
            pads: [0, 0],
        })),
    ];
    prop::collection::vec(step, 1..8)
}

impl Step {
    /// What is said of the result, given that of all values before.
    fn on_axis(&self, before: &[Axis]) -> Option<Axis> {
        let axis = before.last()?;
        match *self {
            Self::Windows(window) => axis.windows(window, false),
            Self::Transposed(window, more) => axis.transposed(window, more),
            Self::Unfolded(block) => axis.unfolded(block),
            Self::Folded(block) => axis.folded(block),
            Self::Resized(up, down, [first, last]) => axis.resized(up, down, |position| {
                let own = position * down / up;
                (own + first, own + last)
            }),
            Self::Padded(pads) => axis.padded(pads),
            Self::Reflected(pads) | Self::Repeated(pads) => axis.continued(pads),
            Self::Joined(back) => axis.joined(&before[before.len().checked_sub(back + 1)?]),
        }
    }

    /// The result itself; none where the operator does not take the length.
    fn on_values(&self, before: &[Vec<u64>]) -> Option<Vec<u64>> {
        let values = before.last()?;
        let n = values.len() as i64;
        // Zeros outside.
        let at = |position: i64| {
            usize::try_from(position)
                .ok()
                .and_then(|i| values.get(i).copied())
                .unwrap_or(0)
        };
        let one = |number: &dyn Fn(i64) -> Vec<u64>, len: i64| -> Option<Vec<u64>> {
            (1..5000)
                .contains(&len)
                .then(|| (0..len).map(|position| hash(&number(position))).collect())
        };
        let inner = |position: i64| {
            if (0..n).contains(&position) {
                Some(position)
            } else {
                None
            }
        };
        match *self {
            Self::Windows(w) => {
                let room = n + w.pads[0] + w.pads[1] - w.span() - 1;
                let number = |p: i64| {
                    let taps = 0..w.kernel;
                    taps.map(|tap| at(p * w.stride - w.pads[0] + tap * w.dilation))
                        .collect()
                };
                one(&number, if room < 0 { 0 } else { room / w.stride + 1 })
            }
            Self::Transposed(w, more) => {
                let number = |p: i64| {
                    let hits = |from: &i64| {
                        let tap = p + w.pads[0] - from * w.stride;
                        tap >= 0 && tap % w.dilation == 0 && tap / w.dilation < w.kernel
                    };
                    // With its tap: the phase matters.
                    (0..n)
                        .filter(hits)
                        .flat_map(|from| [at(from), (p + w.pads[0] - from * w.stride) as u64])
                        .collect()
                };
                one(
                    &number,
                    (n - 1) * w.stride + more + w.span() + 1 - w.pads[0] - w.pads[1],
                )
            }
            Self::Unfolded(block) => one(&|p| vec![at(p / block), (p % block) as u64], n * block),
            Self::Folded(block) if n % block == 0 => one(
                &|p| (0..block).map(|i| at(p * block + i)).collect(),
                n / block,
            ),
            Self::Folded(_) => None,
            Self::Resized(up, down, [first, last]) => {
                let number = |p: i64| {
                    let own = p * down / up;
                    let read = (own + first..=own + last).map(|from| at(from.clamp(0, n - 1)));
                    read.chain([(p * down % up) as u64]).collect()
                };
                one(&number, n * up / down)
            }
            Self::Padded([a, b]) => one(&|p| vec![at(p - a)], n + a + b),
            Self::Repeated([a, b]) => one(&|p| vec![at((p - a).clamp(0, n - 1))], n + a + b),
            Self::Reflected([a, b]) => {
                let mirrored = |p: i64| inner(p).or(inner(-p)).unwrap_or(2 * (n - 1) - p);
                (a.max(b) < n).then(|| one(&|p| vec![at(mirrored(p - a))], n + a + b))?
            }
            Self::Joined(back) => {
                let other = &before[before.len().checked_sub(back + 1)?];
                (other.len() == values.len())
                    .then(|| one(&|p| vec![at(p), other[p as usize]], n))?
            }
        }
    }
}

fn hash(numbers: &[u64]) -> u64 {
    let mut hasher = DefaultHasher::new();
    numbers.hash(&mut hasher);
    hasher.finish() | 1
}

/// The result of all steps.
fn run(steps: &[Step], input: Vec<u64>) -> Option<Vec<u64>> {
    let mut values = vec![input];
    for step in steps {
        values.push(step.on_values(&values)?);
    }
    values.pop()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, max_global_rejects: 2_000_000, ..ProptestConfig::default() })]

    #[test]
    fn a_crop_as_large_as_the_reach_gives_what_the_whole_gives(
        steps in steps(), side in 1_usize..150, at in prop_oneof![Just(0), any::<u16>()], len in 1_usize..30,
        beyond in any::<bool>(), seed in any::<u64>(),
    ) {
        let mut axes = vec![Axis::input()];
        for step in &steps {
            let axis = step.on_axis(&axes);
            prop_assume!(axis.is_some());
            axes.extend(axis);
        }
        let axis = axes.last().unwrap();
        let [positions, pixels] = axis.ratio();
        prop_assume!(positions % pixels == 0);
        let scale = positions / pixels;
        let reach = axis.reach(scale);
        prop_assume!(reach.is_some_and(|reach| reach < 40));
        let (reach, scale) = (reach.unwrap() as usize, scale as usize);

        let input: Vec<u64> = (0..side as u64).map(|i| hash(&[seed, i])).collect();
        let whole = run(&steps, input.clone());
        prop_assume!(whole.as_ref().is_some_and(|whole| whole.len() == scale * side));
        let whole = whole.unwrap();
        let start = usize::from(at) % side;
        let region = start..side.min(start + len);
        let needed = region.start.saturating_sub(reach)..side.min(region.end + reach);
        // As small as it may be, or of the sizes that are run.
        let period = axes.iter().fold(1, |all, axis| lcm(all, axis.period() as usize));
        let place = if beyond {
            crop(&needed, side, period, 1)
        } else {
            needed.start / period * period..needed.end.next_multiple_of(period).min(side)
        };
        let mut part = input[place.clone()].to_vec();
        for (i, value) in place.clone().zip(&mut part) {
            if !needed.contains(&i) {
                *value = 1;
            }
        }
        // A crop may be too small for an operator, which is what the smallest size of a network is for.
        let part = run(&steps, part);
        prop_assume!(part.is_some());
        let part = &part.unwrap()[scale * (region.start - place.start)..][..scale * region.len()];
        prop_assert_eq!(part, &whole[scale * region.start..][..scale * region.len()], "{:?}", place);
    }
}
