//! The objects of pictures as columns, in the shape that the library `datasets` gives them: two lists per picture, the
//! boxes and their classes.

use parquet::data_type::{FloatType, Int64Type};

use super::columns::Group;
use super::view::BoundingBox;

/// The columns. All may be null, though nothing is: that is what the library would have written itself.
pub(super) const SCHEMA: &str = "optional group objects {
        optional group bbox (LIST) { repeated group list {
            optional group element (LIST) { repeated group list { optional float element; } }
        } }
        optional group categories (LIST) { repeated group list { optional int64 element; } }
    }";

/// The group and the list are there, but nothing is in it.
const EMPTY: i16 = 2;
/// A number in a list in a list, and in a list.
const SIDE: i16 = 6;
const CLASS: i16 = 4;

/// Writes them as the next columns.
pub(super) fn columns<R>(
    to: &mut Group<'_, '_, R>,
    boxes: impl Fn(&R) -> &[BoundingBox],
) -> anyhow::Result<()> {
    let (mut sides, mut of_sides) = (Vec::new(), Levels::default());
    let (mut classes, mut of_classes) = (Vec::new(), Levels::default());
    for row in to.rows() {
        if boxes(row).is_empty() {
            of_sides.push(EMPTY, 0);
            of_classes.push(EMPTY, 0);
        }
        for (number, found) in boxes(row).iter().enumerate() {
            // 0 begins a picture, 1 goes on with its list, 2 with the list of a box.
            let goes_on = i16::from(number > 0);
            sides.extend(found.xywh.map(|side| side as f32));
            for level in [goes_on, 2, 2, 2] {
                of_sides.push(SIDE, level);
            }
            classes.push(i64::from(found.class));
            of_classes.push(CLASS, goes_on);
        }
    }
    to.levels::<FloatType>(&sides, &of_sides.defined, Some(&of_sides.repeated))?;
    to.levels::<Int64Type>(&classes, &of_classes.defined, Some(&of_classes.repeated))
}

/// Where the values of nested lists belong: how deep each is defined, and at which depth a list goes on.
#[derive(Default)]
struct Levels {
    defined: Vec<i16>,
    repeated: Vec<i16>,
}

impl Levels {
    fn push(&mut self, defined: i16, repeated: i16) {
        self.defined.push(defined);
        self.repeated.push(repeated);
    }
}
