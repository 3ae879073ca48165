//! Films that are written beside the result, to see and to test what is computed.

use framewright_media::{Frame, Region};
use framewright_pipeline::BoxError;

use crate::upscale::reuse_map::{Computed, ReuseMap};
use crate::upscale::savings::{Savings, Share};
use crate::upscale::writer::Writer;

/// What a side film shows of a frame.
pub struct View {
    /// As decoded.
    pub source: Frame,
    /// The picture that the network is taken to have seen.
    pub composite: Frame,
    /// What was computed of it, where that was not all.
    pub parts: Vec<Region>,
}

/// The side films that were asked for.
#[derive(Default)]
pub struct SideFilms {
    /// The composites, losslessly.
    pub composites: Option<Writer>,
    /// The source with what was computed.
    pub map: Option<ReuseMap>,
}

impl SideFilms {
    /// Whether there are any.
    pub fn any(&self) -> bool {
        self.composites.is_some() || self.map.is_some()
    }

    /// Shows a frame, with its own share and with what was computed up to it.
    pub fn show(
        &mut self,
        view: &View,
        (pts, duration): (i64, i64),
        share: &Share,
        savings: &Savings,
    ) -> Result<(), BoxError> {
        if let Some(writer) = &mut self.composites {
            let mut frame = view.composite.share();
            frame.set_pts(pts);
            frame.duration = duration;
            writer.encode(&frame)?;
        }
        if let Some(map) = &mut self.map {
            let computed = match &view.parts[..] {
                [] if share.computed > 0.0 => Computed::All,
                [] => Computed::Nothing,
                parts => Computed::Parts(parts, &share.layers),
            };
            let shares = (share.computed, savings.effects().compute_fraction);
            map.show(&view.source, (pts, duration), &computed, shares)?;
        }
        Ok(())
    }

    /// Completes them.
    pub fn finish(self) -> Result<(), BoxError> {
        if let Some(writer) = self.composites {
            writer.finish()?;
        }
        if let Some(map) = self.map {
            map.finish()?;
        }
        Ok(())
    }
}
