//! One axis of a value of the graph: which pixels of the input each of its positions depends on.
//!
//! A value is as long as the input times a ratio, so what its positions see repeats: position `j + len` sees what
//! position `j` sees, `period` pixels further on. One period is written down, exactly, in whole pixels:
//!
//! ```text
//! input       0 1 2 3 4 5        period 2, 2 positions: [0, 1] [0, 1]
//! 2x2 pool     └┬┘ └┬┘ └┬┘
//! nearest x2   0 1 2 3 4 5
//! ```
//! **Invariant:** a position that would lie before the value sees a pixel before the input, and one behind the value a
//! pixel behind it. So where the input is a crop, every position that sees only pixels of the crop exists in the crop,
//! and padding, which stands for what does not exist, is seen only by positions that see beyond the crop as well. That
//! is why such a position has the value it has in the whole picture.

use super::lcm;

/// Positions or pixels of a period, at most. Bounds the time that a file can take.
const MAX_PERIOD: i64 = 64;

/// Pixels or positions a value may be off, at most; no useful network comes near it, and no sum overflows.
const MAX_OFFSET: i64 = 1 << 16;

/// One axis of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axis {
    /// Pixels of the input after which everything repeats.
    period: i64,
    /// First and last pixel that each position of the first period depends on.
    seen: Vec<[i64; 2]>,
    /// Positions more than whole periods, for an input of whole periods.
    extra: i64,
}

/// How a convolution or pooling moves along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) kernel: i64,
    pub(super) stride: i64,
    pub(super) dilation: i64,
    /// Padding before the first position and behind the last.
    pub(super) pads: [i64; 2],
}

impl Window {
    /// Positions from the first to the last that it covers, less one.
    pub(super) fn span(&self) -> i64 {
        (self.kernel - 1) * self.dilation
    }

    /// Whether its numbers are those of some network, so that nothing overflows.
    fn is_sound(&self) -> bool {
        let small = |number: i64, least: i64| (least..=4096).contains(&number);
        small(self.kernel, 1)
            && small(self.dilation, 1)
            && small(self.span(), 0)
            && (1..=MAX_PERIOD).contains(&self.stride)
            && self.pads.iter().all(|&pad| small(pad, -4096))
    }
}

/// All constructions are `None` where the bounds above or a condition named with them do not hold.
impl Axis {
    /// The input itself.
    pub(super) fn input() -> Self {
        Self {
            period: 1,
            seen: vec![[0, 0]],
            extra: 0,
        }
    }

    /// Pixels after which everything repeats; crops have to begin at multiples of it.
    pub(super) fn period(&self) -> i64 {
        self.period
    }

    /// Positions of a period.
    fn len(&self) -> i64 {
        self.seen.len() as i64
    }

    /// Positions over pixels, as in an exact fraction.
    pub(super) fn ratio(&self) -> [i64; 2] {
        [self.len(), self.period]
    }

    /// How far a result of `scale` times the input's size looks around its own pixel; none for another size.
    pub(super) fn reach(&self, scale: i64) -> Option<i64> {
        if self.len() != scale * self.period || self.extra != 0 {
            return None;
        }
        let distances = (0..).zip(&self.seen).map(|(position, [first, last])| {
            let own = position / scale;
            (own - first).max(last - own).max(0)
        });
        distances.max()
    }

    /// The first and last pixel that the positions `first..=last` depend on.
    fn hull(&self, first: i64, last: i64) -> [i64; 2] {
        let len = self.len();
        let at = |position: i64, side: usize| {
            self.period * position.div_euclid(len)
                + self.seen[position.rem_euclid(len) as usize][side]
        };
        // Whatever lies more than a period further in sees more distant pixels only.
        let lowest = (first..=last.min(first + len - 1)).map(|position| at(position, 0));
        let highest = (first.max(last - len + 1)..=last).map(|position| at(position, 1));
        [lowest.min().unwrap_or(0), highest.max().unwrap_or(0)]
    }

    /// An axis of the same period with `len` positions in it, each of which depends on a range of positions of this one.
    fn reading(&self, len: i64, extra: i64, reads: impl Fn(i64) -> (i64, i64)) -> Option<Self> {
        if !(1..=MAX_PERIOD).contains(&len) {
            return None;
        }
        let hulls = (0..len).map(|position| {
            let (first, last) = reads(position);
            self.hull(first, last)
        });
        Self::checked(self.period, hulls.collect(), extra)
    }

    /// An axis within the bounds, which sees more than it is said to where the invariant needs that.
    fn checked(period: i64, mut seen: Vec<[i64; 2]>, extra: i64) -> Option<Self> {
        let len = seen.len() as i64;
        if !(1..=MAX_PERIOD).contains(&period) || extra.abs() > MAX_OFFSET {
            return None;
        }
        for [first, _] in &mut seen {
            // A period earlier that is -1.
            *first = (*first).min(period - 1);
        }
        for behind in extra..extra + len {
            let [_, last] = &mut seen[behind.rem_euclid(len) as usize];
            *last = (*last).max(-period * behind.div_euclid(len));
        }
        let bounded = seen.iter().flatten().all(|pixel| pixel.abs() <= MAX_OFFSET);
        bounded.then_some(Self {
            period,
            seen,
            extra,
        })
    }

    /// The same axis with a period `times` as long.
    fn repeated(&self, times: i64) -> Option<Self> {
        if times * self.period.max(self.len()) > MAX_PERIOD {
            return None;
        }
        let seen = (0..times * self.len()).map(|position| self.hull(position, position));
        Self::checked(self.period * times, seen.collect(), self.extra)
    }

    /// The same axis with a multiple of `n` positions in its period.
    fn in_multiples_of(&self, n: i64) -> Option<Self> {
        self.repeated(common(self.len(), n) / self.len())
    }

    /// What depends on this axis and on `other` at the same position; only for the same size.
    pub(super) fn joined(&self, other: &Self) -> Option<Self> {
        if self.len() * other.period != other.len() * self.period || self.extra != other.extra {
            return None;
        }
        let period = common(self.period, other.period);
        let (a, b) = (
            self.repeated(period / self.period)?,
            other.repeated(period / other.period)?,
        );
        let hulls = a
            .seen
            .iter()
            .zip(&b.seen)
            .map(|(a, b)| [a[0].min(b[0]), a[1].max(b[1])]);
        Self::checked(period, hulls.collect(), self.extra)
    }

    /// A convolution, a pooling, or every `stride`-th position (a kernel of 1). `ceil`: a last window that sticks out
    /// counts; only where there is none for whole periods.
    pub(super) fn windows(&self, window: Window, ceil: bool) -> Option<Self> {
        let (Window { stride, pads, .. }, span) = (window, window.span());
        if !window.is_sound() {
            return None;
        }
        let wide = self.in_multiples_of(stride)?;
        let room = wide.extra + pads[0] + pads[1] - span - 1;
        if ceil && room.rem_euclid(stride) != 0 {
            return None;
        }
        let extra = room.div_euclid(stride) + 1;
        wide.reading(wide.len() / stride, extra, |position| {
            let first = position * stride - pads[0];
            (first, first + span)
        })
    }

    /// A transposed convolution, `output_padding` positions longer than its windows need.
    pub(super) fn transposed(&self, window: Window, output_padding: i64) -> Option<Self> {
        let (Window { stride, pads, .. }, span) = (window, window.span());
        if !window.is_sound() || !(0..=MAX_PERIOD).contains(&output_padding) {
            return None;
        }
        let extra = (self.extra - 1) * stride + output_padding + span + 1 - pads[0] - pads[1];
        self.reading(self.len() * stride, extra, |position| {
            let last = (position + pads[0]).div_euclid(stride);
            let first = -(span - position - pads[0]).div_euclid(stride);
            (first.min(last), last)
        })
    }

    /// Each position becomes `block` of them, as in `DepthToSpace`.
    pub(super) fn unfolded(&self, block: i64) -> Option<Self> {
        let block = Some(block).filter(|block| (1..=MAX_PERIOD).contains(block))?;
        self.reading(self.len() * block, self.extra * block, |position| {
            (position / block, position / block)
        })
    }

    /// Each `block` positions become one, as in `SpaceToDepth`; only where that leaves none over.
    pub(super) fn folded(&self, block: i64) -> Option<Self> {
        let block = Some(block).filter(|block| (1..=MAX_PERIOD).contains(block))?;
        let wide = self.in_multiples_of(block)?;
        if wide.extra % block != 0 {
            return None;
        }
        wide.reading(wide.len() / block, wide.extra / block, |position| {
            (position * block, position * block + block - 1)
        })
    }

    /// `up` positions in place of `down`; only where that comes out even. `reads` names the first and the last position
    /// of this axis that a new one is made from.
    ///
    /// What is read outside is taken from the nearest position inside. It counts as read, since the new position's own
    /// place is inside and is added here.
    pub(super) fn resized(
        &self,
        up: i64,
        down: i64,
        reads: impl Fn(i64) -> (i64, i64),
    ) -> Option<Self> {
        let bounds = 1..=MAX_PERIOD;
        if !bounds.contains(&up) || !bounds.contains(&down) {
            return None;
        }
        let wide = self.in_multiples_of(down)?;
        if wide.extra * up % down != 0 {
            return None;
        }
        let (len, extra) = (wide.len() * up / down, wide.extra * up / down);
        wide.reading(len, extra, |position| {
            let ((first, last), own) = (reads(position), position * down / up);
            (first.min(own), last.max(own))
        })
    }

    /// Padded on both sides with values that do not depend on the picture, or cropped by negative numbers.
    pub(super) fn padded(&self, pads: [i64; 2]) -> Option<Self> {
        if pads.iter().any(|pad| pad.abs() > MAX_OFFSET) {
            return None;
        }
        self.reading(self.len(), self.extra + pads[0] + pads[1], |position| {
            (position - pads[0], position - pads[0])
        })
    }

    /// Padded on both sides with what stands inside: the edge repeated or reflected. Only for what is as large as the
    /// input and not off its place.
    ///
    /// A position outside is taken from one that is nearer to every position inside. Seen from inside the picture, it
    /// thus depends on nothing farther away than it would if the picture went on – if the picture is seen equally far
    /// to both sides, which is assumed of it from here on.
    pub(super) fn continued(&self, pads: [i64; 2]) -> Option<Self> {
        let reach = self.reach(1)?;
        if pads.iter().any(|pad| !(0..=MAX_OFFSET).contains(pad)) {
            return None;
        }
        let seen = (0..self.len()).map(|position| {
            let own = position - pads[0];
            [own - reach, own + reach]
        });
        Self::checked(self.period, seen.collect(), pads[0] + pads[1])
    }
}

/// The least common multiple of two positive numbers.
fn common(a: i64, b: i64) -> i64 {
    lcm(a as usize, b as usize) as i64
}

#[cfg(test)]
mod tests;
