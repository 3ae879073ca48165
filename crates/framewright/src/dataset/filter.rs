//! Which pictures are good enough, by what was measured of them.

use crate::dataset::config::FilterConfig;
use crate::dataset::record::{DropReason, Scores};

/// The bound that a picture does not keep, the first of them in the order of [`DropReason`]; none where it is good
/// enough or nothing is dropped.
pub fn quality_drop(scores: &Scores, config: &FilterConfig) -> Option<DropReason> {
    if config.score_only {
        return None;
    }
    let broken = [
        (
            scores.contrast < config.min_contrast,
            DropReason::Featureless,
        ),
        (scores.brightness < config.min_brightness, DropReason::Dark),
        (
            scores.brightness > config.max_brightness,
            DropReason::Bright,
        ),
        (scores.sharpness < config.min_sharpness, DropReason::Blurred),
        (scores.border > config.max_border, DropReason::Border),
    ];
    broken.into_iter().find(|it| it.0).map(|it| it.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Scores = Scores {
        sharpness: 100.0,
        brightness: 120.0,
        contrast: 30.0,
        border: 0.1,
    };

    #[test]
    fn the_first_bound_that_is_broken_is_named() {
        let config = FilterConfig {
            min_sharpness: 50.0,
            min_brightness: 20.0,
            max_brightness: 230.0,
            max_border: 0.5,
            ..FilterConfig::default()
        };
        let drop = |scores| quality_drop(&scores, &config);
        assert_eq!(drop(GOOD), None);
        assert_eq!(
            drop(Scores {
                contrast: 2.9,
                brightness: 0.0,
                ..GOOD
            }),
            Some(DropReason::Featureless)
        );
        assert_eq!(
            drop(Scores {
                brightness: 19.0,
                sharpness: 0.0,
                ..GOOD
            }),
            Some(DropReason::Dark)
        );
        assert_eq!(
            drop(Scores {
                brightness: 231.0,
                ..GOOD
            }),
            Some(DropReason::Bright)
        );
        assert_eq!(
            drop(Scores {
                sharpness: 49.0,
                border: 1.0,
                ..GOOD
            }),
            Some(DropReason::Blurred)
        );
        assert_eq!(
            drop(Scores {
                border: 0.6,
                ..GOOD
            }),
            Some(DropReason::Border)
        );
    }

    #[test]
    fn bounds_that_are_not_set_let_everything_pass_but_featureless_frames() {
        let config = FilterConfig::default();
        let black = Scores {
            sharpness: 0.0,
            brightness: 0.0,
            contrast: 0.0,
            border: 1.0,
        };
        assert_eq!(quality_drop(&black, &config), Some(DropReason::Featureless));
        assert_eq!(
            quality_drop(
                &Scores {
                    contrast: 3.0,
                    ..black
                },
                &config
            ),
            None
        );
        let config = FilterConfig {
            score_only: true,
            ..config
        };
        assert_eq!(quality_drop(&black, &config), None);
    }
}
