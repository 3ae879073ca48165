//! The built-in network against the filter that video players use, on pictures and films that it was not trained on.
//! Everything around it, and the judging, is done by ffmpeg.

use std::process::Command;

use crate::env::{TestEnv, asset, ffmpeg};

/// Frames that are judged.
const FRAMES: &str = "-frames:v 12";

/// PSNR of luma against the truth.
struct Gain {
    network_db: f64,
    lanczos_db: f64,
}

/// The truth is shrunk to half, encoded by `codec`, and enlarged again in both ways.
///
/// None without the assets.
fn gain(source: &str, picture: &str, codec: &str) -> Option<Gain> {
    let source = asset(source)?;
    let env = TestEnv::new();
    let (root, source) = (env.root(), source.display());
    // A multiple of 4, so that the half has whole chroma samples.
    let whole = format!("{picture},crop=trunc(iw/4)*4:trunc(ih/4)*4");
    let accurate = "accurate_rnd+full_chroma_int+full_chroma_inp";
    let truth =
        format!("scale=flags={accurate}:out_color_matrix=bt709:out_range=tv,format=yuv444p");
    let tags = "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv";
    let lossless = format!("-an {tags} -c:v ffv1");
    ffmpeg(
        root,
        &format!("-i {source} {FRAMES} -vf {whole},{truth} {lossless} truth.mkv"),
    );
    let half = format!("scale=iw/2:ih/2:flags=bicubic+{accurate}");
    ffmpeg(
        root,
        &format!("-i truth.mkv -vf {half},format=yuv420p -an {tags} {codec} low.mkv"),
    );
    let twice = format!("scale=iw*2:ih*2:flags=lanczos+{accurate},format=yuv444p");
    ffmpeg(
        root,
        &format!("-i low.mkv -vf {twice} {lossless} lanczos.mkv"),
    );
    let fixed = "upscale low.mkv -o network.mkv --encoder ffv1 --pix-fmt yuv444p --progress none";
    env.run(&fixed.split(' ').collect::<Vec<_>>())
        .expect_code(0);
    let gain = Gain {
        network_db: luma_psnr(&env, "network.mkv"),
        lanczos_db: luma_psnr(&env, "lanczos.mkv"),
    };
    println!(
        "| {source} | {codec} | lanczos {:.2} dB | lite-x2 {:.2} dB | {:+.2} dB |",
        gain.lanczos_db,
        gain.network_db,
        gain.db()
    );
    Some(gain)
}

impl Gain {
    fn db(&self) -> f64 {
        self.network_db - self.lanczos_db
    }
}

/// Of all frames together, as ffmpeg's filter says it.
fn luma_psnr(env: &TestEnv, file: &str) -> f64 {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-i", file, "-i", "truth.mkv"])
        .args(["-lavfi", "psnr", "-f", "null", "-"])
        .current_dir(env.root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let number = said
        .split("PSNR y:")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .unwrap_or_else(|| panic!("ffmpeg does not say it: {said}"));
    number.parse().unwrap()
}

#[test]
fn clean_art_gains_two_db_over_lanczos() {
    for picture in ["normal", "giggle"] {
        let picture = format!("images/anime/sylvie_green_{picture}.png");
        // Its transparent part stands on a pale background.
        let opaque =
            "format=rgba[p];color=c=0xe4e8f0:s=456x700:d=1[b];[b][p]overlay=format=rgb:shortest=1";
        if let Some(gain) = gain(&picture, opaque, "-c:v ffv1") {
            assert!(gain.db() >= 2.0, "{picture}");
        }
    }
}

#[test]
fn compressed_cartoons_gain_over_lanczos() {
    for crf in [23, 28] {
        let codec = format!("-c:v libx264 -preset medium -crf {crf}");
        if let Some(gain) = gain("clips/2d/pennychip_retro_gaming.mp4", "null", &codec) {
            assert!(gain.db() >= 0.7, "crf {crf}");
        }
    }
}

#[test]
fn no_film_gets_visibly_worse_than_with_lanczos() {
    for film in [
        "clips/2d/popeye_b.mkv",
        "clips/3d/bbb_5s_720p.mp4",
        "clips/vfr/increasing_timestamps_360p.mp4",
    ] {
        if let Some(gain) = gain(film, "null", "-c:v libx264 -preset medium -crf 23") {
            assert!(gain.db() >= -0.5, "{film}");
        }
    }
}
