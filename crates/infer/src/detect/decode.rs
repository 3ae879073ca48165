//! From a network's outputs to candidates: boxes in pixels of its input, each with its class and score.

use super::family::{Family, Shaped};
use super::nms::Candidate;
use crate::ort::Answer;

/// The candidates that score at least `least`, in the order of the network. `size` is width and height of the input.
///
/// A row stands for its best class, but for the family [`Family::Detr`], where each class of a query counts. The error
/// says what is wrong with the outputs.
pub(super) fn candidates(
    shaped: &Shaped,
    answers: &[Answer],
    size: [usize; 2],
    least: f32,
) -> Result<Vec<Candidate>, String> {
    let outputs = shaped
        .outputs
        .iter()
        .map(|&i| answers.get(i).ok_or("an output is missing"))
        .collect::<Result<Vec<_>, _>>()?;
    for answer in &outputs {
        finite(answer)?;
    }
    let found = Found {
        shaped,
        side: size.map(|side| side as f32),
        least,
        candidates: Vec::new(),
    };
    match shaped.family {
        Family::Yolo => found.columns(outputs[0]),
        Family::YoloEnd => found.finished(outputs[0], [0, 1, 2, 3], 4, 5),
        Family::YoloV7End => found.finished(outputs[0], [1, 2, 3, 4], 6, 5),
        Family::Paddle => found.finished(outputs[0], [2, 3, 4, 5], 1, 0),
        Family::RtDetr => found.queries(outputs[0]),
        Family::DetrDeploy => found.deployed(outputs[0], outputs[1], outputs[2]),
        Family::Detr | Family::DetrSoftmax => found.scored_queries(outputs[0], outputs[1]),
        Family::YoloX | Family::YoloXDecoded | Family::YoloV5 => found.rows(outputs[0], size),
        Family::NanoDet => found.distances(&[outputs[0]], &[outputs[0]], size, 0.0),
        Family::PicoDet => {
            let (scores, distances) = outputs.split_at(outputs.len() / 2);
            found.distances(scores, distances, size, 0.5)
        }
        Family::FastestDet => found.cells(outputs[0]),
    }
}

/// Refuses numbers that are none.
fn finite(answer: &Answer) -> Result<(), String> {
    let bad = answer
        .values
        .iter()
        .filter(|value| !value.is_finite())
        .count();
    if bad == 0 {
        return Ok(());
    }
    Err(format!(
        "the detector gave {bad} values that are NaN or infinite, use another one or its fp32 version"
    ))
}

/// The candidates so far.
struct Found<'a> {
    shaped: &'a Shaped,
    /// Width and height of the input.
    side: [f32; 2],
    least: f32,
    candidates: Vec<Candidate>,
}

impl Found<'_> {
    /// Adds one if it scores enough; a box of parts of the input is brought to its pixels.
    fn add(&mut self, class: usize, score: f32, corners: [f32; 4]) -> Result<(), String> {
        if score < self.least {
            return Ok(());
        }
        let unit = if self.shaped.fractions {
            self.side
        } else {
            [1.0; 2]
        };
        let corners = [
            corners[0] * unit[0],
            corners[1] * unit[1],
            corners[2] * unit[0],
            corners[3] * unit[1],
        ];
        if !score.is_finite() || !corners.iter().all(|corner| corner.is_finite()) {
            return Err(
                "the detector gave a box without an end or score, use another one or its fp32 version"
                    .to_owned(),
            );
        }
        self.candidates.push(Candidate {
            class: class as u32,
            score,
            corners,
        });
        Ok(())
    }

    fn score(&self, value: f32) -> f32 {
        if self.shaped.logits {
            sigmoid(value)
        } else {
            value
        }
    }

    fn classes(&self) -> usize {
        self.shaped.classes.unwrap_or_default()
    }

    /// `[1, 4 + classes, anchors]`.
    fn columns(mut self, answer: &Answer) -> Result<Vec<Candidate>, String> {
        let &[1, values, anchors] = answer.shape.as_slice() else {
            return Err(changed(answer));
        };
        let classes = self.classes();
        if values < 4 + classes || anchors == 0 {
            return Err(changed(answer));
        }
        let rows: Vec<&[f32]> = answer.values.chunks_exact(anchors).collect();
        let mut best = vec![(0, f32::NEG_INFINITY); anchors];
        for (class, scores) in rows[4..4 + classes].iter().enumerate() {
            for (best, &score) in best.iter_mut().zip(*scores) {
                if score > best.1 {
                    *best = (class, score);
                }
            }
        }
        for (i, &(class, score)) in best.iter().enumerate() {
            let corners = corners([rows[0][i], rows[1][i], rows[2][i], rows[3][i]]);
            self.add(class, self.score(score), corners)?;
        }
        Ok(self.candidates)
    }

    /// Rows of corners, score and class at these places.
    fn finished(
        mut self,
        answer: &Answer,
        corners: [usize; 4],
        score: usize,
        class: usize,
    ) -> Result<Vec<Candidate>, String> {
        for row in rows(answer, 6)? {
            // Paddle says "nothing" by the class -1, others by a score of 0.
            if row[class] < 0.0 {
                continue;
            }
            self.add(whole(row[class])?, row[score], corners.map(|i| row[i]))?;
        }
        Ok(self.candidates)
    }

    /// Ultralytics' RT-DETR: centre and size as parts, then score and class, or the scores of all classes.
    fn queries(mut self, answer: &Answer) -> Result<Vec<Candidate>, String> {
        let classes = self.shaped.classes;
        for row in rows(answer, 4 + classes.unwrap_or(2))? {
            let (class, score) = match classes {
                None => (whole(row[5])?, row[4]),
                Some(classes) => best(&row[4..4 + classes]),
            };
            let corners = self.parts([row[0], row[1], row[2], row[3]]);
            self.add(class, self.score(score), corners)?;
        }
        Ok(self.candidates)
    }

    fn deployed(
        mut self,
        labels: &Answer,
        boxes: &Answer,
        scores: &Answer,
    ) -> Result<Vec<Candidate>, String> {
        let boxes = rows(boxes, 4)?;
        for ((corners, &label), &score) in boxes.zip(&labels.values).zip(&scores.values) {
            self.add(
                whole(label)?,
                score,
                [corners[0], corners[1], corners[2], corners[3]],
            )?;
        }
        Ok(self.candidates)
    }

    fn scored_queries(mut self, boxes: &Answer, scores: &Answer) -> Result<Vec<Candidate>, String> {
        let classes = self.classes();
        let is_softmax = self.shaped.family == Family::DetrSoftmax;
        let scores = rows(scores, classes + usize::from(is_softmax))?;
        for (corners, scores) in rows(boxes, 4)?.zip(scores) {
            let corners = self.parts([corners[0], corners[1], corners[2], corners[3]]);
            if is_softmax {
                let (class, score) = best(&scores[..classes]);
                let most = scores.iter().fold(score, |most, &score| most.max(score));
                let sum: f32 = scores.iter().map(|score| (score - most).exp()).sum();
                self.add(class, (score - most).exp() / sum, corners)?;
                continue;
            }
            for (class, &score) in scores.iter().enumerate() {
                self.add(class, self.score(score), corners)?;
            }
        }
        Ok(self.candidates)
    }

    /// `[1, anchors, 5 + classes]`.
    fn rows(mut self, answer: &Answer, size: [usize; 2]) -> Result<Vec<Candidate>, String> {
        let classes = self.classes();
        let mut grid = Vec::new();
        for &stride in &self.shaped.strides {
            grid.extend(points(size, stride).map(|[x, y]| [x, y, stride as f32]));
        }
        let rows = rows(answer, 5 + classes)?;
        let is_grid = self.shaped.family == Family::YoloX;
        if is_grid && rows.len() != grid.len() {
            return Err(changed(answer));
        }
        for (i, row) in rows.enumerate() {
            let (class, score) = best(&row[5..5 + classes]);
            let score = self.score(row[4]) * self.score(score);
            if score < self.least {
                continue;
            }
            let mut place = [row[0], row[1], row[2], row[3]];
            if is_grid {
                let [x, y, stride] = grid[i];
                place = [
                    (place[0] + x) * stride,
                    (place[1] + y) * stride,
                    place[2].exp() * stride,
                    place[3].exp() * stride,
                ];
            }
            self.add(class, score, corners(place))?;
        }
        Ok(self.candidates)
    }

    /// Scores, and for each of the four distances from a point how likely each whole number of strides is. The point is
    /// `offset` strides into its cell.
    fn distances(
        mut self,
        scores: &[&Answer],
        distances: &[&Answer],
        size: [usize; 2],
        offset: f32,
    ) -> Result<Vec<Candidate>, String> {
        let classes = self.classes();
        let (together, mut points_of) = (scores.len() == 1, Vec::new());
        for &stride in &self.shaped.strides {
            let points: Vec<_> = points(size, stride)
                .map(|[x, y]| [x, y, stride as f32])
                .collect();
            points_of.push(points);
        }
        if together {
            points_of = vec![points_of.concat()];
        }
        for ((scores, distances), points) in scores.iter().zip(distances).zip(points_of) {
            let all = scores.values.len() / points.len();
            let (score_rows, distance_rows) = (rows(scores, classes)?, rows(distances, 4)?);
            if score_rows.len() != points.len()
                || distance_rows.len() != points.len()
                || all < classes
            {
                return Err(changed(scores));
            }
            for ((row, distances), [x, y, stride]) in score_rows.zip(distance_rows).zip(points) {
                let (class, score) = best(&row[..classes]);
                let score = self.score(score);
                if score < self.least {
                    continue;
                }
                let distances = if together {
                    &distances[classes..]
                } else {
                    distances
                };
                let bins = distances.len() / 4;
                let far = |side: usize| stride * expected(&distances[side * bins..][..bins]);
                let (x, y) = ((x + offset) * stride, (y + offset) * stride);
                let end = |value: f32, axis: usize| value.clamp(0.0, self.side[axis]);
                let corners = [
                    end(x - far(0), 0),
                    end(y - far(1), 1),
                    end(x + far(2), 0),
                    end(y + far(3), 1),
                ];
                self.add(class, score, corners)?;
            }
        }
        Ok(self.candidates)
    }

    /// `[1, 5 + classes, rows, columns]`: objectness, place in the cell, size as part of the input, classes.
    fn cells(mut self, answer: &Answer) -> Result<Vec<Candidate>, String> {
        let &[1, values, height, width] = answer.shape.as_slice() else {
            return Err(changed(answer));
        };
        let classes = self.classes();
        if values < 5 + classes {
            return Err(changed(answer));
        }
        let cells = width * height;
        let at = |value: usize, cell: usize| answer.values[value * cells + cell];
        let mut scores = vec![0.0; classes];
        for cell in 0..cells {
            for (class, score) in scores.iter_mut().enumerate() {
                *score = at(5 + class, cell);
            }
            let (class, score) = best(&scores);
            let x = ((cell % width) as f32 + at(1, cell).tanh()) / width as f32;
            let y = ((cell / width) as f32 + at(2, cell).tanh()) / height as f32;
            let corners = self.parts([x, y, sigmoid(at(3, cell)), sigmoid(at(4, cell))]);
            self.add(class, at(0, cell).powf(0.6) * score.powf(0.4), corners)?;
        }
        Ok(self.candidates)
    }

    /// Corners in pixels of a centre and size in parts of the input.
    fn parts(&self, place: [f32; 4]) -> [f32; 4] {
        let [width, height] = self.side;
        corners([
            place[0] * width,
            place[1] * height,
            place[2] * width,
            place[3] * height,
        ])
    }
}

/// The error for outputs that differ from those of the first run.
fn changed(answer: &Answer) -> String {
    format!(
        "the detector's output has the shape {:?} now, another one than before",
        answer.shape
    )
}

/// The rows of the last dimension, which has at least `values`.
fn rows(answer: &Answer, values: usize) -> Result<std::slice::ChunksExact<'_, f32>, String> {
    let last = answer
        .shape
        .last()
        .copied()
        .filter(|&last| last >= values.max(1));
    let last = last.ok_or_else(|| changed(answer))?;
    Ok(answer.values.chunks_exact(last))
}

/// Column and row of each point of a grid, line by line.
fn points(size: [usize; 2], stride: usize) -> impl Iterator<Item = [f32; 2]> {
    let [width, height] = size.map(|side| side.div_ceil(stride));
    (0..width * height).map(move |i| [(i % width) as f32, (i / width) as f32])
}

/// The first of the largest.
fn best(scores: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (class, &score) in scores.iter().enumerate() {
        if score > best.1 {
            best = (class, score);
        }
    }
    best
}

/// A class number.
fn whole(label: f32) -> Result<usize, String> {
    if label >= 0.0 && label.fract() == 0.0 && label < 1e6 {
        return Ok(label as usize);
    }
    Err(format!(
        "the detector gave {label} for a class, which is no number of one"
    ))
}

/// Corners of a centre and size.
fn corners([x, y, width, height]: [f32; 4]) -> [f32; 4] {
    [
        x - width / 2.0,
        y - height / 2.0,
        x + width / 2.0,
        y + height / 2.0,
    ]
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The mean of 0, 1, 2 … weighted by the softmax of `logits`.
fn expected(logits: &[f32]) -> f32 {
    let most = logits
        .iter()
        .fold(f32::NEG_INFINITY, |most, &logit| most.max(logit));
    let (mut sum, mut weighted) = (0.0, 0.0);
    for (i, logit) in logits.iter().enumerate() {
        let weight = (logit - most).exp();
        sum += weight;
        weighted += weight * i as f32;
    }
    weighted / sum
}
