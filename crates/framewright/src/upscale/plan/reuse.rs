//! Which results are used again, and whether there is room for the network's state.

use framewright_infer::ModelInfo;

use crate::cli::Reuse;

/// What was chosen, and what there is to say about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) reuse: Reuse,
    /// Memory of the network's state; none where none is kept.
    pub(super) state_bytes: Option<u64>,
    pub(super) why: Option<String>,
    /// What is done otherwise than was asked for, or than a user would expect.
    pub(super) fallback: Option<String>,
}

/// Chooses, given what a state would take: none where the engine keeps none.
///
/// Parts of a picture can be computed alone only where it is known what they look at. `room_bytes`: what a state may take,
/// half of the memory at most; everything else has to do with the rest.
pub(super) fn choose(
    asked: Option<Reuse>,
    model: &ModelInfo,
    state_bytes: Option<u64>,
    room_bytes: u64,
) -> Choice {
    let simply = |reuse| Choice {
        reuse,
        state_bytes: None,
        why: None,
        fallback: None,
    };
    if matches!(asked, Some(Reuse::Off | Reuse::Frame)) {
        return simply(asked.unwrap_or(Reuse::Off));
    }
    if model.reach.is_none() {
        let why = "no part of its result can be computed alone";
        return Choice {
            fallback: Some(format!(
                "only whole frames are used again with {}: {why}",
                model.name
            )),
            ..simply(Reuse::Frame)
        };
    }
    if asked == Some(Reuse::Region) {
        return simply(Reuse::Region);
    }
    let megabytes = |bytes: u64| bytes / 1_000_000;
    let problem = match state_bytes {
        Some(bytes) if bytes <= room_bytes => {
            return Choice {
                state_bytes,
                why: Some(format!(
                    "reuse incremental: what every layer made of a frame is kept, {} MB",
                    megabytes(bytes)
                )),
                ..simply(Reuse::Incremental)
            };
        }
        Some(bytes) => format!(
            "the state of {} would take {} MB, more than half of the memory (--memory decides)",
            model.name,
            megabytes(bytes)
        ),
        None if model.passes > 1 => "no state is kept between passes".to_owned(),
        None if model.engine == "none" => "there is no network to keep the state of".to_owned(),
        None => format!("the engine {} keeps no state", model.engine),
    };
    let said = format!("changed regions are computed with what they look at: {problem}");
    let (why, fallback) = match asked {
        Some(_) => (None, Some(said)),
        None => (Some(format!("reuse region: {problem}")), None),
    };
    Choice {
        why,
        fallback,
        ..simply(Reuse::Region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewright_infer::Upscaler as _;
    use framewright_infer::nearest::Nearest;

    fn model(engine: &'static str, reach: Option<usize>) -> ModelInfo {
        ModelInfo {
            engine,
            reach,
            name: "tiny-x2".to_owned(),
            ..Nearest::new().model().clone()
        }
    }

    fn chosen(asked: Option<Reuse>, model: &ModelInfo, state_bytes: Option<u64>) -> Choice {
        choose(asked, model, state_bytes, 2 << 30)
    }

    #[test]
    fn parts_are_not_computed_where_it_is_unknown_what_they_look_at() {
        let unknown = model("ort", None);
        for asked in [None, Some(Reuse::Region), Some(Reuse::Incremental)] {
            let choice = chosen(asked, &unknown, None);
            assert_eq!(choice.reuse, Reuse::Frame);
            let said = choice.fallback.unwrap();
            assert!(said.contains("only whole frames are used again with tiny-x2"));
        }
        let off = chosen(Some(Reuse::Off), &unknown, None);
        assert_eq!((off.reuse, off.fallback), (Reuse::Off, None));
    }

    #[test]
    fn a_state_is_kept_where_there_is_one_and_it_fits_in_half_of_the_memory() {
        let native = model("native", Some(10));
        let fitting = chosen(None, &native, Some(2 << 30));
        assert_eq!(fitting.reuse, Reuse::Incremental);
        assert_eq!(fitting.state_bytes, Some(2 << 30));
        assert!(fitting.why.unwrap().contains("2147 MB"));
        let large = chosen(None, &native, Some((2 << 30) + 1));
        assert_eq!((large.reuse, large.state_bytes), (Reuse::Region, None));
        assert!(large.why.unwrap().contains("--memory decides") && large.fallback.is_none());
        let asked = chosen(Some(Reuse::Incremental), &model("ort", Some(10)), None);
        assert_eq!(asked.reuse, Reuse::Region);
        assert!(
            asked
                .fallback
                .unwrap()
                .ends_with("the engine ort keeps no state")
        );
        let parts = chosen(Some(Reuse::Region), &native, Some(1));
        assert_eq!((parts.reuse, parts.state_bytes), (Reuse::Region, None));
    }
}
