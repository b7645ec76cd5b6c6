"""OpenVINO GenAI behind a pipe, for peer.py: the model is loaded once, requests and results are JSON lines.

    request  {"prompt": tokens, "generate": tokens, "batch": sequences}
    result   {"prefill": tokens/s, "decode": tokens/s}

Continuous batching with N requests that have the same tokens. The prompt (new random tokens every time) is run
for the prefill number first; prefix caching then shares its blocks among the N. Greedy, end tokens ignored. Decode
is timed from the end of the step in which the last request got its first token to the end of the first request.
"""
import itertools
import json
import random
import sys
import time

import numpy
import openvino
import openvino_genai as genai


request_ids = itertools.count()


def config(tokens):
    c = genai.GenerationConfig()
    c.max_new_tokens, c.ignore_eos, c.do_sample = tokens, True, False
    return c


def add(pipe, ids, tokens):
    """A request. Its handle must be kept: the request is cancelled when the handle goes out of scope."""
    return pipe.add_request(next(request_ids), openvino.Tensor(ids), config(tokens))


def main():
    model, threads, gigabytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = gigabytes
    scheduler.max_num_batched_tokens = 4096  # a prompt is one step, and so are the first tokens of all requests
    scheduler.enable_prefix_caching = True
    began = time.monotonic()
    pipe = genai.ContinuousBatchingPipeline(model, scheduler, "CPU", {"INFERENCE_NUM_THREADS": threads})
    print(json.dumps({"version": genai.__version__, "load": time.monotonic() - began}), flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        for _ in range(2):  # the second one counts: kernels are compiled during the first
            ids = numpy.array([[random.randrange(1000, 20000) for _ in range(ask["prompt"])]], dtype=numpy.int64)
            handle = add(pipe, ids, 1)
            began = time.monotonic()
            while pipe.has_non_finished_requests():
                pipe.step()
            result = {"prefill": ask["prompt"] / (time.monotonic() - began)}
            handle.read_all()
        if ask["generate"] > 1:
            handles = [add(pipe, ids, ask["generate"]) for _ in range(ask["batch"])]
            steps, running, seconds, finished = 0, False, 0.0, genai.GenerationStatus.FINISHED
            while pipe.has_non_finished_requests():
                pipe.step()
                if running and seconds == 0:
                    steps += 1
                    if any(h.get_status() == finished for h in handles):
                        seconds = time.monotonic() - began
                elif not running and all(h.can_read() for h in handles):
                    running, began = True, time.monotonic()
            result["decode"] = ask["batch"] * steps / seconds
        print(json.dumps(result), flush=True)


main()
