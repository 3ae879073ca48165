//! Passes on which FFmpeg the binding found: `cfg(ffmpeg_6_1)`, side data moved from the stream to its codec
//! parameters; `cfg(ffmpeg_7_1)`, an encoder's pixel formats are asked for by a function.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for version in ["ffmpeg_6_1", "ffmpeg_7_1"] {
        println!("cargo::rustc-check-cfg=cfg({version})");
        if std::env::var_os(format!("DEP_FFMPEG_{}", version.to_uppercase())).is_some() {
            println!("cargo::rustc-cfg={version}");
        }
    }
}
