"""The files that media mutants are made of: a second of a clip in every container and codec that FFmpeg writes here.

They are cut from `../shared/assets/clips`, or from FFmpeg's test pictures where that folder is not there, and are the
same from one call to the next. What this FFmpeg cannot write is left out, and said.
"""

import subprocess
import sys
from pathlib import Path

SOURCES = [
    "live/chaplin.mp4",
    "2d/dialogue_limited.mp4",
    "3d/bbb_5s_720p.mp4",
    "live/flower_cc0.mp4",
    "interlaced/popeye_telecine_tff.ts",
]

X264 = "-c:v libx264 -preset ultrafast -g 8"
X264_B = "-c:v libx264 -preset veryfast -bf 2 -g 12"
X265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none:pools=1:frame-threads=1"
VP8 = "-c:v libvpx -deadline realtime -cpu-used 8 -g 8"
VP9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 8"
AV1 = "-c:v libaom-av1 -usage realtime -cpu-used 8 -g 8"
AAC, MP3, MP2, PCM = "-c:a aac", "-c:a libmp3lame", "-c:a mp2", "-c:a pcm_s16le"
DV = "-c:v dvvideo -s 720x576 -r 25 -pix_fmt yuv420p -t 0.3"

# name: what comes between input and output
CLIPS = {
    # ISO media
    "h264.mp4": f"{X264} {AAC}",
    "h264b.mp4": f"{X264_B} {AAC}",
    "h264front.mp4": f"{X264_B} {AAC} -movflags +faststart",
    "h264frag.mp4": f"{X264} {AAC} -movflags frag_keyframe+empty_moov",
    "h264dash.mp4": f"{X264} {AAC} -movflags dash",
    "hevc.mp4": f"{X265} {AAC}",
    "av1.mp4": f"{AV1} {AAC}",
    "vp9.mp4": f"{VP9} {AAC}",
    "mpeg4.mp4": f"-c:v mpeg4 -g 8 {AAC}",
    "mpeg4b.mp4": f"-c:v mpeg4 -bf 2 {AAC}",
    "xvid.mp4": f"-c:v libxvid {AAC}",
    "mpeg2.mp4": f"-c:v mpeg2video -bf 2 {AAC}",
    "mjpeg.mp4": f"-c:v mjpeg -pix_fmt yuvj420p {AAC}",
    "png.mp4": f"-c:v png -pix_fmt rgb24 {AAC}",
    "h264.ismv": f"{X264} {AAC}",
    "h264.f4v": f"{X264} {AAC}",
    "h264.m4v": f"{X264} {AAC} -f ipod",
    "h264.psp": f"{X264} {AAC} -r 30000/1001 -f psp",
    "h263.3gp": "-c:v h263 -s 176x144 -c:a aac -ar 8000",
    "mpeg4.3g2": f"-c:v mpeg4 {AAC}",
    "h264.mov": f"{X264_B} {AAC}",
    "h264pcm.mov": f"{X264} {PCM}",
    "prores.mov": f"-c:v prores_ks {PCM}",
    "proresaw.mov": f"-c:v prores_aw {PCM}",
    "dnxhr.mov": f"-c:v dnxhd -profile:v dnxhr_lb -s 256x144 -pix_fmt yuv422p {PCM}",
    "qtrle.mov": f"-c:v qtrle {PCM}",
    "rpza.mov": f"-c:v rpza {PCM}",
    "smc.mov": f"-c:v smc -pix_fmt pal8 {PCM}",
    "svq1.mov": f"-c:v svq1 {PCM}",
    "mjpeg.mov": f"-c:v mjpeg -pix_fmt yuvj422p {PCM}",
    "j2k.mov": f"-c:v jpeg2000 {PCM}",
    "png.mov": f"-c:v png {PCM}",
    "cinepak.mov": f"-c:v cinepak -s 96x64 {PCM}",
    "raw.mov": f"-c:v rawvideo -pix_fmt uyvy422 -s 64x48 {PCM}",
    "v210.mov": f"-c:v v210 -s 96x64 {PCM}",
    "cfhd.mov": f"-c:v cfhd -s 160x96 -pix_fmt yuv422p10le {PCM}",
    "hap.mov": f"-c:v hap -s 160x96 {PCM}",
    "dv.mov": f"{DV} -ar 48000 {PCM}",
    "r10k.mov": f"-c:v r10k -s 64x48 {PCM}",
    "tiff.mov": f"-c:v tiff -s 96x64 {PCM}",
    "targa.mov": f"-c:v targa -s 96x64 {PCM}",
    "h261.mov": f"-c:v h261 -s 176x144 {PCM}",
    # Matroska
    "h264.mkv": f"{X264} {AAC}",
    "h264b.mkv": f"{X264_B} {AAC}",
    "h264subs.mkv": f"{X264} {AAC}",
    "hevc.mkv": f"{X265} -c:a flac",
    "av1.mkv": f"{AV1} -c:a libopus",
    "vp8.mkv": f"{VP8} -c:a libvorbis",
    "vp9.mkv": f"{VP9} -c:a libopus",
    "mpeg2.mkv": f"-c:v mpeg2video -bf 2 -c:a ac3",
    "mpeg1.mkv": f"-c:v mpeg1video -bf 2 {MP2}",
    "mpeg4.mkv": f"-c:v mpeg4 -bf 2 {MP3}",
    "theora.mkv": "-c:v libtheora -c:a libvorbis",
    "ffv1.mkv": "-c:v ffv1 -c:a flac",
    "ffv1v1.mkv": "-c:v ffv1 -level 1 -c:a flac",
    "mjpeg.mkv": f"-c:v mjpeg -pix_fmt yuvj420p {PCM}",
    "huffyuv.mkv": f"-c:v huffyuv -s 96x64 {PCM}",
    "prores.mkv": f"-c:v prores_ks -s 96x64 {PCM}",
    "snow.mkv": f"-c:v snow -strict experimental {PCM}",
    "dirac.mkv": f"-c:v vc2 -s 128x96 -pix_fmt yuv420p -strict -1 {PCM}",
    "wmv2.mkv": f"-c:v wmv2 {MP3}",
    "rv20.mkv": f"-c:v rv20 -s 176x144 {PCM}",
    "flv1.mkv": f"-c:v flv {MP3}",
    "raw.mkv": f"-c:v rawvideo -s 64x48 {PCM}",
    "utvideo.mkv": f"-c:v utvideo -s 96x64 {PCM}",
    "png.mkv": f"-c:v png {PCM}",
    "magicyuv.mkv": f"-c:v magicyuv -s 96x64 {PCM}",
    "vp8.webm": f"{VP8} -c:a libvorbis",
    "vp9.webm": f"{VP9} -c:a libopus",
    "av1.webm": f"{AV1} -c:a libopus",
    # AVI
    "mpeg4.avi": f"-c:v mpeg4 -g 8 {MP3}",
    "mpeg4b.avi": f"-c:v mpeg4 -bf 2 {MP3}",
    "xvid.avi": f"-c:v libxvid {MP3}",
    "h264.avi": f"{X264} {MP3}",
    "msmpeg4.avi": f"-c:v msmpeg4 {MP3}",
    "msmpeg4v2.avi": f"-c:v msmpeg4v2 {MP3}",
    "mjpeg.avi": f"-c:v mjpeg -pix_fmt yuvj420p {PCM}",
    "ljpeg.avi": f"-c:v ljpeg -pix_fmt yuvj420p -s 96x64 -strict experimental {PCM}",
    "huffyuv.avi": f"-c:v huffyuv -s 96x64 {PCM}",
    "ffvhuff.avi": f"-c:v ffvhuff -s 96x64 {PCM}",
    "ffv1.avi": f"-c:v ffv1 {PCM}",
    "utvideo.avi": f"-c:v utvideo -s 96x64 {PCM}",
    "magicyuv.avi": f"-c:v magicyuv -s 96x64 {PCM}",
    "cinepak.avi": f"-c:v cinepak -s 96x64 {PCM}",
    "msvideo1.avi": f"-c:v msvideo1 -s 96x64 {PCM}",
    "zmbv.avi": f"-c:v zmbv -s 96x64 {PCM}",
    "zlib.avi": f"-c:v zlib -s 96x64 {PCM}",
    "raw.avi": f"-c:v rawvideo -pix_fmt yuv420p -s 64x48 {PCM}",
    "rgb.avi": f"-c:v rawvideo -pix_fmt bgr24 -s 64x48 {PCM}",
    "mpeg2.avi": f"-c:v mpeg2video -bf 2 {MP2}",
    "asv1.avi": f"-c:v asv1 {PCM}",
    "asv2.avi": f"-c:v asv2 {PCM}",
    "h263.avi": f"-c:v h263p -s 176x144 {MP3}",
    "flv1.avi": f"-c:v flv {MP3}",
    "vp8.avi": f"{VP8} {PCM}",
    "cljr.avi": f"-c:v cljr -s 96x64 -strict experimental {PCM}",
    "jpegls.avi": f"-c:v jpegls -s 96x64 {PCM}",
    "dv.avi": f"{DV} -ar 48000 {PCM}",
    "wmv1.avi": f"-c:v wmv1 {MP3}",
    "avui.avi": f"-c:v y41p -s 96x64 {PCM}",
    "snow.avi": f"-c:v snow -strict experimental {PCM}",
    "amv.amv": "-c:v amv -s 128x96 -r 16 -strict -1 -pix_fmt yuvj420p -c:a adpcm_ima_amv -ar 22050 -ac 1 -block_size 1378 -r 16",
    # MPEG
    "h264.ts": f"{X264_B} {AAC}",
    "mpeg2.ts": f"-c:v mpeg2video -bf 2 {MP2}",
    "hevc.ts": f"{X265} {AAC}",
    "mpeg4.ts": f"-c:v mpeg4 {MP2}",
    "h264.m2ts": f"{X264_B} -c:a ac3",
    "mpeg1.mpg": f"-c:v mpeg1video -bf 2 {MP2}",
    "mpeg2.vob": f"-c:v mpeg2video -bf 2 -c:a ac3",
    "mpeg2.mpg": f"-c:v mpeg2video -bf 2 {MP2} -f dvd",
    "mpeg1.dat": f"-c:v mpeg1video -s 352x288 -r 25 {MP2} -ar 44100 -f vcd",
    "mpeg2.svcd.mpg": f"-c:v mpeg2video {MP2} -f svcd",
    # raw streams
    "raw.h264": f"{X264_B} -an -f h264",
    "raw.hevc": f"{X265} -an -f hevc",
    "raw.m4v": "-c:v mpeg4 -an -f m4v",
    "raw.m1v": "-c:v mpeg1video -bf 2 -an -f mpeg1video",
    "raw.m2v": "-c:v mpeg2video -bf 2 -an -f mpeg2video",
    "raw.obu": f"{AV1} -an -f obu",
    "av1.ivf": f"{AV1} -an",
    "vp8.ivf": f"{VP8} -an",
    "vp9.ivf": f"{VP9} -an",
    "raw.dv": f"{DV} -ar 48000 -ac 2 {PCM}",
    "raw.y4m": "-s 64x48 -pix_fmt yuv420p -an",
    # the rest
    "h264.flv": f"{X264_B} {AAC}",
    "flv1.flv": f"-c:v flv {MP3} -ar 44100",
    "flashsv.flv": f"-c:v flashsv {MP3} -ar 44100",
    "flashsv2.flv": f"-c:v flashsv2 {MP3} -ar 44100",
    "theora.ogv": "-c:v libtheora -c:a libvorbis",
    "vp8.ogg": f"{VP8} -c:a libvorbis",
    "wmv1.asf": "-c:v wmv1 -c:a wmav2",
    "wmv2.wmv": "-c:v wmv2 -c:a wmav2",
    "msmpeg4.wmv": "-c:v msmpeg4 -c:a wmav2",
    "mpeg4.asf": f"-c:v mpeg4 {MP3}",
    "h264.asf": f"{X264} {MP3}",
    "mpeg2.wtv": f"-c:v mpeg2video {MP2}",
    "h264.wtv": f"{X264} {MP2}",
    "h264.nut": f"{X264_B} {AAC}",
    "ffv1.nut": f"-c:v ffv1 {PCM}",
    "mpeg4.nut": f"-c:v mpeg4 -bf 2 {MP3}",
    "raw.nut": f"-c:v rawvideo -s 64x48 {PCM}",
    "snow.nut": f"-c:v snow -strict experimental {PCM}",
    "mpeg2.mxf": f"-c:v mpeg2video -r 25 -ar 48000 {PCM}",
    "h264.mxf": f"{X264} -r 25 -ar 48000 {PCM}",
    "dnxhr.mxf": f"-c:v dnxhd -profile:v dnxhr_lb -s 256x144 -pix_fmt yuv422p -r 25 -ar 48000 {PCM}",
    "j2k.mxf": f"-c:v jpeg2000 -pix_fmt yuv422p10 -r 25 -ar 48000 {PCM}",
    "prores.mxf": f"-c:v prores_ks -r 25 -ar 48000 {PCM}",
    "opatom.mxf": "-c:v dnxhd -profile:v dnxhr_lb -s 256x144 -pix_fmt yuv422p -r 25 -an -f mxf_opatom",
    "mpeg2.gxf": f"-c:v mpeg2video -s 720x576 -r 25 -g 8 -ar 48000 -ac 1 {PCM}",
    "rv10.rm": "-c:v rv10 -s 176x144 -c:a ac3",
    "rv20.rm": "-c:v rv20 -s 176x144 -c:a ac3",
    "flv1.swf": f"-c:v flv {MP3} -ar 44100",
    "mjpeg.swf": f"-c:v mjpeg -pix_fmt yuvj420p {MP3} -ar 44100",
    "roq.roq": "-c:v roqvideo -s 128x128 -r 30 -c:a roq_dpcm -ar 22050",
    "gif.gif": "-an",
    "apng.apng": "-an -plays 0",
    "apng.png": "-an -f apng",
}

# A few of each family, for a short run.
SHORT = (
    "h264b.mp4 h264frag.mp4 hevc.mp4 h264.mov h264.mkv vp9.webm mpeg4.avi mjpeg.avi h264.ts mpeg2.mpg raw.h264 vp8.ivf "
    "flv1.flv theora.ogv wmv2.wmv h264.nut mpeg2.mxf rv10.rm roq.roq gif.gif"
).split()


class Clips:
    """Makes each clip the first time it is asked for."""

    def __init__(self, assets, folder, names=None):
        self.assets, self.folder, self.facts = assets, folder, {}
        folder.mkdir(parents=True, exist_ok=True)
        self.names = [name for name in names or CLIPS if self.make(name)]
        if not self.names:
            sys.exit("ffmpeg writes none of the clips")

    def make(self, name):
        path = self.folder / name
        if path.exists():
            return path.stat().st_size > 0
        made = subprocess.run(self.command(name, path), capture_output=True)
        if made.returncode != 0 or not path.exists() or frames_of(path).frames == 0:
            words = made.stderr.decode(errors="replace").strip().splitlines()
            print(f"left out {name}: {words[-1] if words else 'nothing decodes'}", file=sys.stderr)
            path.write_bytes(b"")
            return False
        return True

    def command(self, name, path):
        number = list(CLIPS).index(name)
        source = self.assets / "clips" / SOURCES[number % len(SOURCES)]
        picture = ["-t", "1", "-i", str(source)]
        if not source.exists():
            picture = ["-f", "lavfi", "-i", "testsrc2=s=160x90:r=24:d=1"]
        tone = ["-f", "lavfi", "-i", "sine=d=1:r=44100"]
        small = CLIPS[name].split()
        size = [] if "-s" in small else ["-s", "160x90"]
        rate = [] if "-r" in small else ["-r", "24"]
        start = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-threads", "1", *picture, *tone]
        return [*start, "-map", "0:v:0", "-map", "1:a", *size, *rate, "-threads", "1", "-bitexact", *small, str(path)]

    def read(self, name):
        return (self.folder / name).read_bytes()

    def frames(self, name):
        """What ffprobe finds in the clip as it was made."""
        if name not in self.facts:
            self.facts[name] = frames_of(self.folder / name)
        return self.facts[name]


class Found:
    """What ffprobe says of the first video stream of a file."""

    def __init__(self, frames, promised, packets, complaints):
        self.frames, self.promised, self.packets, self.complaints = frames, promised, packets, complaints


def frames_of(path, limit=300):
    """Decodes all of a file with ffprobe, on one thread."""
    entries = "stream=nb_frames,nb_read_frames,nb_read_packets"
    command = ["ffprobe", "-v", "error", "-threads", "1", "-select_streams", "v:0", "-count_frames", "-count_packets"]
    try:
        done = subprocess.run(
            [*command, "-show_entries", entries, "-of", "default=nw=1", str(path)], capture_output=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return Found(0, 0, 0, "ffprobe hangs")
    values = dict(line.split("=", 1) for line in done.stdout.decode(errors="replace").splitlines() if "=" in line)

    def number(key):
        text = values.get(key, "")
        return int(text) if text.isdigit() else 0

    complaints = done.stderr.decode(errors="replace").strip()
    return Found(number("nb_read_frames"), number("nb_frames"), number("nb_read_packets"), complaints)


def default_assets():
    return Path(__file__).resolve().parents[2] / ".." / "shared" / "assets"
