//! Films with planted duplicates: each family is a real clip and copies of it as they are found on the web.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::env::{TestEnv, assets};

/// How a copy differs from its original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    Original,
    Reencoded,
    Scaled,
    Brighter,
    Logo,
    Subtitle,
    /// A second of black before it.
    BlackLeader,
    Cropped,
}

/// A film of the collection.
pub struct Film {
    pub path: PathBuf,
    /// The clip that it shows.
    pub family: &'static str,
    pub edit: Edit,
}

const CLIPS: [(&str, &str); 6] = [
    ("chaplin", "live/chaplin.mp4"),
    ("toy", "live/elf_toy.mp4"),
    ("flower", "live/flower_cc0.mp4"),
    ("bunny", "3d/bbb_5s_720p.mp4"),
    ("friday", "live/friday_cc0.mp4"),
    ("penny", "2d/pennychip_autumn.mp4"),
];

/// Makes the collection, `secs` of each clip with every edit of `edits`; none without the assets.
pub fn collection(env: &TestEnv, secs: f64, edits: &[Edit]) -> Option<Vec<Film>> {
    let clips = assets()?.join("clips");
    let folder = env.folder("films");
    let mut films = Vec::new();
    // All originals first, so that they are the leaders.
    for edit in [&[Edit::Original], edits].concat() {
        for (family, clip) in CLIPS {
            let path = folder.join(format!("{family}_{edit:?}.mp4").to_lowercase());
            make(&clips.join(clip), &path, secs, edit);
            films.push(Film { path, family, edit });
        }
    }
    Some(films)
}

fn make(clip: &Path, path: &Path, secs: f64, edit: Edit) {
    // A line of letters as large as those of subtitles, drawn without fonts.
    let letters: Vec<String> = (0..24)
        .map(|n| {
            let (x, w) = (
                0.2 + 0.025 * f64::from(n),
                if n % 5 == 4 { 0.0 } else { 0.016 },
            );
            format!("drawbox=x=iw*{x}:y=ih*0.86:w=max(iw*{w}\\,1):h=ih*0.06:color=white:t=fill")
        })
        .collect();
    let (filter, crf) = match edit {
        Edit::Original => ("null".to_owned(), "20"),
        Edit::Reencoded => ("null".to_owned(), "36"),
        Edit::Scaled => ("scale=iw/3:-2".to_owned(), "23"),
        Edit::Brighter => ("lutyuv=y=clip(val*1.2\\,16\\,235)".to_owned(), "23"),
        Edit::Logo => (
            "drawbox=x=iw*0.8:y=ih*0.06:w=iw*0.14:h=ih*0.1:color=white@0.9:t=fill".to_owned(),
            "23",
        ),
        Edit::Subtitle => (letters.join(","), "23"),
        Edit::BlackLeader => ("tpad=start_duration=1:color=black".to_owned(), "23"),
        Edit::Cropped => ("crop=iw*0.84:ih*0.84".to_owned(), "23"),
    };
    let filter = format!("scale=480:-2,{filter},scale=trunc(iw/2)*2:trunc(ih/2)*2");
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-nostdin",
            "-y",
            "-t",
            &secs.to_string(),
            "-i",
        ])
        .arg(clip)
        .args([
            "-an",
            "-sn",
            "-vf",
            &filter,
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-bf",
            "2",
            "-crf",
            crf,
        ])
        .args(["-pix_fmt", "yuv420p", "-threads", "1"])
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success(), "ffmpeg makes {}", path.display());
}

/// A small film of moving bars, another one for each number, that needs no assets.
pub fn bars(folder: &Path, number: u32, secs: f64) -> PathBuf {
    let path = folder.join(format!("bars{number}.mp4"));
    let source = format!(
        "gradients=s=160x120:r=10:d={secs}:n=4:seed={number}:speed=0.1:type={}",
        ["linear", "radial", "circular", "spiral"][number as usize % 4]
    );
    let made = Command::new("ffmpeg")
        .args([
            "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", &source,
        ])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
            "-threads",
            "1",
        ])
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    path
}
