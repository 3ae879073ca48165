//! How well copies of real pictures are found, and whether different scenes are told apart: frames of real clips against
//! edits of themselves and against each other. `--nocapture` shows the table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use framewright_hash::{Fingerprint, Luma, Measurer, Thresholds};
use framewright_media::{Decoder, Interrupt};

/// Clips by scene or film: whatever two of one line show may be alike.
const SCENES: &[&[&str]] = &[
    &["2d/dialogue_limited_web.mp4"],
    // all three begin with the same picture
    &[
        "2d/pennychip_autumn.mp4",
        "2d/pennychip_reading.mp4",
        "2d/pennychip_retro_gaming.mp4",
    ],
    &["2d/popeye_b_dvd.mkv", "interlaced/popeye_telecine_tff.ts"],
    &["3d/bbb_30s.webm", "3d/bbb_5s_720p.mp4"],
    &["live/cars_topdown.mp4"],
    &["live/chaplin.mp4"],
    &["live/elf_toy.mp4"],
    &["live/flower_cc0.mp4"],
    &["live/friday_cc0.mp4"],
    &["live/one_by_one_person.mp4"],
    &["streams/nasa_multi.mp4"],
    &["vfr/increasing_timestamps_360p.mp4"],
];
/// Every so many frames are taken, up to so many of them.
const STEP: usize = 24;
const FRAMES: usize = 12;

/// A luma plane of limited range without padding.
#[derive(Clone)]
struct Plane {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl Plane {
    fn map(&self, level: impl Fn(usize, usize, u8) -> f32) -> Self {
        let at = |(i, &code): (usize, &u8)| {
            level(i % self.width, i / self.width, code)
                .round()
                .clamp(0.0, 255.0) as u8
        };
        Self {
            data: self.data.iter().enumerate().map(at).collect(),
            ..*self
        }
    }

    fn print(&self, measurer: &mut Measurer) -> (Fingerprint, Fingerprint) {
        let luma = Luma {
            width: self.width,
            height: self.height,
            stride: self.width,
            data: &self.data,
            full_range: false,
        };
        let mut seen = measurer.see(&luma);
        (seen.fingerprint(), seen.mirrored())
    }
}

fn brighter(plane: &Plane) -> Plane {
    plane.map(|_, _, code| (16.0 + (f32::from(code) - 16.0) * 1.2).min(235.0))
}

/// A station's sign in a corner: a bright frame around a dark field with strokes.
fn logo(plane: &Plane) -> Plane {
    let (width, height) = (plane.width as f32, plane.height as f32);
    plane.map(|x, y, code| {
        let (u, v) = (
            (x as f32 / width - 0.85) / 0.12,
            (y as f32 / height - 0.04) / 0.12,
        );
        if !(0.0..1.0).contains(&u) || !(0.0..1.0).contains(&v) {
            return f32::from(code);
        }
        let is_stroke =
            !(0.08..0.92).contains(&u) || !(0.15..0.85).contains(&v) || (u * 6.0) as u32 % 2 == 1;
        if is_stroke { 225.0 } else { 40.0 }
    })
}

/// Two lines of bright letters with dark edges.
fn subtitle(plane: &Plane) -> Plane {
    let (width, height) = (plane.width as f32, plane.height as f32);
    plane.map(|x, y, code| {
        let (u, v) = (x as f32 / width, y as f32 / height);
        let line = [0.82, 0.90]
            .iter()
            .position(|top| (*top..top + 0.055).contains(&v));
        let Some(line) = line.filter(|line| (0.18 + 0.05 * *line as f32..0.82).contains(&u)) else {
            return f32::from(code);
        };
        let letter = u * 55.0;
        let (number, place) = (letter as u32 + 7 * line as u32, letter.fract());
        match place {
            _ if number % 6 == 5 => f32::from(code),
            0.0..0.15 | 0.75..0.9 => 20.0,
            0.15..0.75 if !(number + (v * 60.0) as u32).is_multiple_of(3) => 230.0,
            _ => f32::from(code),
        }
    })
}

fn letterbox(plane: &Plane) -> Plane {
    let bar = plane.height * 12 / 100;
    plane.map(|_, y, code| {
        if y < bar || y >= plane.height - bar {
            16.0
        } else {
            f32::from(code)
        }
    })
}

fn crop(plane: &Plane) -> Plane {
    let (left, top) = (plane.width * 4 / 100, plane.height * 4 / 100);
    let (width, height) = (plane.width - 2 * left, plane.height - 2 * top);
    let row = |y: usize| &plane.data[(top + y) * plane.width + left..][..width];
    Plane {
        width,
        height,
        data: (0..height).flat_map(row).copied().collect(),
    }
}

fn mirror(plane: &Plane) -> Plane {
    plane.map(|x, y, _| f32::from(plane.data[y * plane.width + plane.width - 1 - x]))
}

/// To 256×144 by the mean of the pixels that fall into each, then compressed.
fn small(plane: &Plane) -> Plane {
    let (width, height) = (256, 144);
    let mut sums = vec![(0_u32, 0_u32); width * height];
    for (i, &code) in plane.data.iter().enumerate() {
        let (x, y) = (
            i % plane.width * width / plane.width,
            i / plane.width * height / plane.height,
        );
        let sum = &mut sums[y * width + x];
        *sum = (sum.0 + u32::from(code), sum.1 + 1);
    }
    let small = Plane {
        width,
        height,
        data: sums
            .iter()
            .map(|(sum, n)| (sum / (*n).max(1)) as u8)
            .collect(),
    };
    jpeg(&small, 35)
}

/// What JPEG of this quality leaves of a plane: the table of ITU-T T.81, annex K.1, scaled as the IJG's library does.
fn jpeg(plane: &Plane, quality: u32) -> Plane {
    #[rustfmt::skip]
    const TABLE: [u32; 64] = [
        16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
        14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
        49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
    ];
    let scale = if quality < 50 {
        5000 / quality
    } else {
        200 - 2 * quality
    };
    let table = TABLE.map(|step| ((step * scale + 50) / 100).clamp(1, 255) as f32);
    let mut cosines = [[0.0_f32; 8]; 8];
    for (k, row) in cosines.iter_mut().enumerate() {
        for (n, cosine) in row.iter_mut().enumerate() {
            let norm: f32 = if k == 0 { 0.125 } else { 0.25 };
            *cosine = norm.sqrt() * (std::f32::consts::PI * (k * (2 * n + 1)) as f32 / 16.0).cos();
        }
    }
    let mut out = plane.clone();
    for top in (0..plane.height / 8).map(|n| 8 * n) {
        for left in (0..plane.width / 8).map(|n| 8 * n) {
            let mut block = [[0.0_f32; 8]; 8];
            for (y, row) in block.iter_mut().enumerate() {
                for (x, level) in row.iter_mut().enumerate() {
                    *level = f32::from(plane.data[(top + y) * plane.width + left + x]) - 128.0;
                }
            }
            let mut frequencies = product(
                &cosines,
                &transposed(&product(&cosines, &transposed(&block))),
            );
            for (value, step) in frequencies.as_flattened_mut().iter_mut().zip(table) {
                *value = (*value / step).round() * step;
            }
            let back = transposed(&cosines);
            let block = product(
                &back,
                &transposed(&product(&back, &transposed(&frequencies))),
            );
            for (y, row) in block.iter().enumerate() {
                for (x, level) in row.iter().enumerate() {
                    out.data[(top + y) * plane.width + left + x] =
                        (level + 128.0).round().clamp(0.0, 255.0) as u8;
                }
            }
        }
    }
    out
}

fn product(a: &[[f32; 8]; 8], b: &[[f32; 8]; 8]) -> [[f32; 8]; 8] {
    let mut out = [[0.0; 8]; 8];
    for (out, a) in out.iter_mut().zip(a) {
        for (a, b) in a.iter().zip(b) {
            for (out, b) in out.iter_mut().zip(b) {
                *out += a * b;
            }
        }
    }
    out
}

fn transposed(block: &[[f32; 8]; 8]) -> [[f32; 8]; 8] {
    std::array::from_fn(|y| std::array::from_fn(|x| block[x][y]))
}

/// Frames of a clip with 8 bits and limited range.
fn frames(path: &Path) -> Vec<Plane> {
    let mut decoder = Decoder::open(path, 1, &Interrupt::default()).unwrap();
    decoder.end_after((STEP * FRAMES) as u64);
    let (mut planes, mut n) = (Vec::new(), 0);
    while let Some(unit) = decoder.next_unit().unwrap() {
        let Some(frame) = unit.frame else { continue };
        if n % STEP == 0 {
            let rows = frame.planes()[0].chunks(frame.stride(0));
            let rows = rows.map(|row| &row[..frame.width()]);
            planes.push(Plane {
                width: frame.width(),
                height: frame.height(),
                data: rows.flatten().copied().collect(),
            });
        }
        n += 1;
    }
    planes
}

fn assets() -> Option<PathBuf> {
    let clips = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/assets/clips");
    if clips.is_dir() {
        return Some(clips);
    }
    println!("skipped: ../shared/assets is not here");
    None
}

#[test]
fn copies_are_found_and_scenes_are_told_apart() {
    type Edit = (&'static str, fn(&Plane) -> Plane, f64);
    // name, edit, least share to be found; the last ones are only shown: hashes are not made for them
    let edits: [Edit; 8] = [
        ("jpeg q20", |plane| jpeg(plane, 20), 0.98),
        ("144p, jpeg q35", small, 0.98),
        ("brightness +20 %", brighter, 0.98),
        ("logo", logo, 0.98),
        ("subtitle", subtitle, 0.98),
        ("letterbox 12 %", letterbox, 0.0),
        ("crop 8 %", crop, 0.0),
        ("mirrored, --flip", mirror, 1.0),
    ];
    let Some(clips) = assets() else { return };
    let rules = [
        ("strict", Thresholds::STRICT),
        ("normal", Thresholds::NORMAL),
        ("loose", Thresholds::LOOSE),
    ];
    let mut measurer = Measurer::new();
    let mut originals = Vec::new();
    let mut found = [[0_u32; 8]; 3];
    let mut copies = Vec::new();
    for (scene, names) in SCENES.iter().enumerate() {
        for plane in names.iter().flat_map(|name| frames(&clips.join(name))) {
            let (print, _) = plane.print(&mut measurer);
            if !Thresholds::NORMAL.has_features(&print) {
                continue;
            }
            originals.push((scene, print));
            for (e, (_, edit, _)) in edits.iter().enumerate() {
                let (upright, mirrored) = edit(&plane).print(&mut measurer);
                let copy = if e == 7 { mirrored } else { upright };
                copies.push((scene, copy));
                for (found, (_, rule)) in found.iter_mut().zip(&rules) {
                    found[e] += u32::from(is_same(rule, &print, &copy));
                }
            }
        }
    }
    println!("{} frames of {} scenes", originals.len(), SCENES.len());
    for (e, (name, _, _)) in edits.iter().enumerate() {
        let shares = [0, 1, 2].map(|rule| f64::from(found[rule][e]) / originals.len() as f64);
        let [strict, normal, loose] = shares;
        println!("{name:>18}: strict {strict:.3}, normal {normal:.3}, loose {loose:.3}");
    }
    let others = || {
        let all = originals.iter().chain(&copies);
        all.flat_map(|a| originals.iter().map(move |b| (a, b)))
            .filter(|(a, b)| a.0 != b.0)
    };
    let (dct, dhash) = others().fold((256, 256), |(dct, dhash), ((_, a), (_, b))| {
        (
            dct.min(a.dct.distance(&b.dct)),
            dhash.min(a.dhash.distance(&b.dhash)),
        )
    });
    println!(
        "{} pairs of different scenes, the nearest at {dct} (dct) and {dhash} (dhash)",
        others().count()
    );
    for (name, rule) in &rules {
        let merged = || others().filter(|((_, a), (_, b))| is_same(rule, a, b));
        let scenes: BTreeSet<_> = merged()
            .map(|((a, _), (b, _))| (SCENES[*a], SCENES[*b]))
            .collect();
        println!("{name}: {} merged {scenes:?}", merged().count());
        assert!(
            scenes.is_empty(),
            "different scenes are taken for the same by the preset {name}"
        );
    }
    for (e, (name, _, least)) in edits.iter().enumerate() {
        let share = f64::from(found[1][e]) / originals.len() as f64;
        assert!(share >= *least, "{name}: {share}");
    }
}

fn is_same(rule: &Thresholds, a: &Fingerprint, b: &Fingerprint) -> bool {
    let both = rule.has_features(a) && rule.has_features(b);
    both && rule
        .compare([&a.dct, &a.dhash], [&b.dct, &b.dhash])
        .is_some()
}
