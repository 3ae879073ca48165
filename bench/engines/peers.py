#!/usr/bin/env python3
"""One other engine on one frame, in a process of its own: what run.py measures framewright against.

    peers.py ENGINE WIDTH HEIGHT FRAME --model FILE [--model FILE] [--precision P] --workers N --threads N

ENGINE is onnxruntime, openvino or ncnn; ncnn takes two files, .param and .bin. Each worker runs whole frames on
THREADS threads of its own (for openvino: one request of a model with as many streams as workers). Pictures are read
and written in place wherever the engine can, and threads without work sleep. Speaks the lines of
`crates/infer/examples/time_engine`: "ready {...}", then "run SECONDS" and "dump PATH", each answered by a line of JSON.
"""

import argparse
import json
import math
import sys
import threading
import time

import numpy as np


def onnxruntime_workers(options, frame):
    import onnxruntime

    def worker():
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        settings.log_severity_level = 3
        session = onnxruntime.InferenceSession(options.model[0], settings, providers=["CPUExecutionProvider"])
        output = np.zeros((1, 3, 2 * options.height, 2 * options.width), np.float32)
        binding = session.io_binding()
        binding.bind_cpu_input("input", frame[None])
        binding.bind_output("output", "cpu", 0, np.float32, output.shape, output.ctypes.data)
        return lambda: session.run_with_iobinding(binding), lambda: output[0]

    return onnxruntime.__version__, [worker() for _ in range(options.workers)]


def openvino_workers(options, frame):
    import openvino

    core = openvino.Core()
    model = core.read_model(options.model[0])
    model.reshape([1, 3, options.height, options.width])
    settings = {"INFERENCE_NUM_THREADS": options.threads * options.workers, "NUM_STREAMS": options.workers,
                "PERFORMANCE_HINT": "LATENCY" if options.workers == 1 else "THROUGHPUT"}
    if options.precision != "int8":
        settings["INFERENCE_PRECISION_HINT"] = {"fp32": "f32", "bf16": "bf16"}[options.precision]
    compiled = core.compile_model(model, "CPU", settings)

    def worker():
        request = compiled.create_infer_request()
        output = np.zeros((1, 3, 2 * options.height, 2 * options.width), np.float32)
        request.set_input_tensor(openvino.Tensor(frame[None], shared_memory=True))
        request.set_output_tensor(openvino.Tensor(output, shared_memory=True))
        return request.infer, lambda: output[0]

    return openvino.__version__.split("-")[0], [worker() for _ in range(options.workers)]


def ncnn_workers(options, frame):
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = options.threads
    net.opt.openmp_blocktime = 0
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = net.opt.use_bf16_packed = options.precision == "bf16"
    param, binary = options.model
    if net.load_param(param) != 0 or net.load_model(binary) != 0:
        sys.exit(f"ncnn does not load {param}")
    picture = ncnn.Mat(frame).clone()

    def worker():
        result = []

        def run():
            extractor = net.create_extractor()
            extractor.input("input", picture)
            code, output = extractor.extract("output")
            if code != 0:
                raise RuntimeError(f"ncnn failed with {code}")
            result[:] = [output]

        return run, lambda: np.array(result[0])

    return ncnn.__version__, [worker() for _ in range(options.workers)]


WORKERS = {"onnxruntime": onnxruntime_workers, "openvino": openvino_workers, "ncnn": ncnn_workers}


def run(workers, frames):
    """`frames` frames on each worker, started at the same time: the seconds that each took.

    A count rather than a deadline: see `run` in time_engine.
    """
    barrier = threading.Barrier(len(workers))
    times = [None] * len(workers)

    def work(index, one):
        barrier.wait()
        start = time.perf_counter()
        for _ in range(frames):
            one()
        times[index] = time.perf_counter() - start

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if None in times:
        sys.exit("a worker failed")
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=WORKERS)
    parser.add_argument("width", type=int)
    parser.add_argument("height", type=int)
    parser.add_argument("frame")
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "int8"])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    frame = np.fromfile(options.frame, "<f4").reshape(3, options.height, options.width)
    version, workers = WORKERS[options.engine](options, frame)
    runs = [once for once, _ in workers]
    frame_secs = max(run(runs, 1))
    first = workers[0][1]().copy()
    print("ready", json.dumps({"engine": options.engine, "version": version, "workers": options.workers}), flush=True)
    for line in sys.stdin:
        word, argument = line.rstrip("\n").split(" ", 1)
        if word == "dump":
            first.astype("<f4").tofile(argument)
            answer = {}
        else:
            frames = max(1, math.ceil(float(argument) / frame_secs))
            times = run(runs, frames)
            frame_secs = min(frame_secs, min(times) / frames)
            answer = {"ms_per_frame": 1e3 / sum(frames / one for one in times), "frames": frames * len(runs),
                      "elapsed_secs": max(times), "together": min(times) / max(times)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
