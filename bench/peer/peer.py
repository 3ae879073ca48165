#!/usr/bin/env python3
"""The plain way to upscale a video, which framewright has to beat.

    ffmpeg (decode to rgb24) | reader -> infer -> writer, one thread each | ffmpeg (libx264, sound copied)

Written as a competent user would: bounded queues, one onnxruntime session on all cores, no copy that
can be left out. It does not preserve timestamps, colour tags or anything else.

    peer.py INPUT OUTPUT --model FILE.onnx [--crf N] [--preset NAME] [--threads N]
"""

import argparse
import json
import queue
import subprocess
import threading

import numpy as np
import onnxruntime

QUEUE = 4
END = None


def probe(path):
    words = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height,r_frame_rate",
             "-of", "json", path]
    stream = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)["streams"][0]
    return stream["width"], stream["height"], stream["r_frame_rate"]


def reader(pipe, width, height, frames):
    size = width * height * 3
    while len(data := pipe.read(size)) == size:
        frames.put(np.frombuffer(data, np.uint8).reshape(height, width, 3))
    frames.put(END)


def infer(session, frames, results):
    name = session.get_inputs()[0].name
    while (frame := frames.get()) is not END:
        picture = np.ascontiguousarray(frame.transpose(2, 0, 1), dtype=np.float32)[np.newaxis]
        picture *= 1 / 255
        results.put(session.run(None, {name: picture})[0][0])
    results.put(END)


def writer(pipe, results):
    while (picture := results.get()) is not END:
        picture = np.clip(picture, 0, 1) * 255
        picture += 0.5
        pipe.write(np.ascontiguousarray(picture.astype(np.uint8).transpose(1, 2, 0)))
    pipe.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--model", required=True)
    parser.add_argument("--crf", default="18")
    parser.add_argument("--preset", default="veryfast")
    parser.add_argument("--threads", type=int, default=0, help="onnxruntime's threads; 0 lets it take all cores")
    options = parser.parse_args()

    width, height, rate = probe(options.input)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    session = onnxruntime.InferenceSession(options.model, settings, providers=["CPUExecutionProvider"])

    decode = subprocess.Popen(["ffmpeg", "-v", "error", "-nostdin", "-i", options.input, "-map", "0:v:0", "-vsync", "passthrough", "-f", "rawvideo",
                               "-pix_fmt", "rgb24", "-"], stdout=subprocess.PIPE, bufsize=width * height * 3)
    tiny = np.zeros((1, 3, 16, 16), np.float32)
    scale = session.run(None, {session.get_inputs()[0].name: tiny})[0].shape[3] // 16
    encode = subprocess.Popen(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24",
                               "-s", f"{width * scale}x{height * scale}", "-r", rate, "-i", "-", "-i", options.input,
                               "-map", "0:v", "-map", "1:a?", "-c:a", "copy", "-c:v", "libx264", "-pix_fmt", "yuv420p",
                               "-crf", options.crf, "-preset", options.preset, options.output], stdin=subprocess.PIPE)
    frames, results = queue.Queue(QUEUE), queue.Queue(QUEUE)
    threads = [threading.Thread(target=reader, args=(decode.stdout, width, height, frames)),
               threading.Thread(target=infer, args=(session, frames, results)),
               threading.Thread(target=writer, args=(encode.stdin, results))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if decode.wait() or encode.wait():
        raise SystemExit("ffmpeg failed")


if __name__ == "__main__":
    main()
