"""Trains a Compact network on what dataset.py made.

    train.py --data DIR --out FILE.pt [--features 24] [--layers 8] [--steps 28000] [--cooldown 14000] [--seed 1]

Against the true pictures, by the Charbonnier distance of RGB plus that of luma, with Adam; the weights that count are a
running mean of those that are trained. The rate is constant after a short start and falls to nothing over the last
`cooldown` steps, in which real pictures and films get more weight and small errors count in full. A checkpoint is written every 1000 steps; with --resume training goes on from it, also with another
number of steps. Products in bf16 until the last twentieth, which is in fp32. Runs on a GPU where there is one. The same
seed on the same machine and PyTorch gives the same weights.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from network import Compact, device, parameters

WARM_UP = 300
# Errors below this count less (of 0 to 1; an 8-bit level is 0.004): before the cooldown, and in it.
SOFTNESS = (0.004, 0.001)
# Share of the squares that is taken from pictures and films only, in the cooldown.
REAL = 0.35
LUMA = (0.299, 0.587, 0.114)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--features", type=int, default=24)
    arguments.add_argument("--layers", type=int, default=8)
    arguments.add_argument("--steps", type=int, default=28000)
    arguments.add_argument("--cooldown", type=int, default=14000)
    arguments.add_argument("--batch", type=int, default=16)
    arguments.add_argument("--rate", type=float, default=2e-3)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--resume", action="store_true")
    options = arguments.parse_args()

    torch.manual_seed(options.seed)
    where = device()
    network = Compact(options.features, options.layers).to(where, memory_format=torch.channels_last)
    mean = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.999))
    adam = torch.optim.Adam(network.parameters(), lr=options.rate, betas=(0.9, 0.99))
    squares = Squares(options)
    done = 0
    if options.resume and options.out.exists():
        state = torch.load(options.out)
        done = state["step"]
        network.load_state_dict(state["network"])
        mean.load_state_dict(state["mean"])
        adam.load_state_dict(state["adam"])
    print(f"{options.features}x{options.layers}, {parameters(network)} parameters, on {where}, from step {done}", flush=True)

    luma = torch.tensor(LUMA, device=where).view(1, 3, 1, 1)
    start, losses = time.monotonic(), []
    for step in range(done, options.steps):
        for group in adam.param_groups:
            group["lr"] = options.rate * schedule(step, options.steps, options.cooldown)
        cooling = step >= options.steps - options.cooldown
        low, high = squares.batch(step, REAL if cooling else 0.0)
        low = low.to(where, memory_format=torch.channels_last)
        high = high.to(where, memory_format=torch.channels_last)
        with torch.autocast(where.type, torch.bfloat16, enabled=step < options.steps - options.steps // 20):
            result = network(low)
        difference = result.float() - high
        softness = SOFTNESS[cooling]
        loss = charbonnier(difference, softness) + charbonnier((difference * luma).sum(1), softness)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        adam.step()
        if step >= WARM_UP:
            mean.update_parameters(network)
        losses.append(loss.item())
        if (step + 1) % 250 == 0:
            rate = (step + 1 - done) / (time.monotonic() - start)
            print(f"step {step + 1} loss {np.mean(losses[-250:]):.5f} {rate:.1f} steps/s", flush=True)
        if (step + 1) % 1000 == 0 or step + 1 == options.steps:
            save(options.out, network, mean, adam, step + 1)


def schedule(step: int, steps: int, cooldown: int) -> float:
    """Share of the full rate at a step."""
    return min(1.0, (step + 1) / WARM_UP, (steps - step) / max(1, cooldown))


def charbonnier(difference, softness: float):
    """Close to the absolute difference, and smooth below `softness`."""
    return (difference.square() + softness**2).sqrt().mean()


def save(path: Path, network, mean, adam, step: int):
    state = {"step": step, "network": network.state_dict(), "mean": mean.state_dict(), "adam": adam.state_dict()}
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


class Squares:
    """Batches of squares; which ones, and how they are turned, depends on the seed and the step only."""

    def __init__(self, options):
        self.low, self.high, self.subsampled, real = (
            np.load(options.data / f"{name}.npy", mmap_mode="r") for name in ("low", "high", "subsampled", "real")
        )
        self.real = np.flatnonzero(real)
        self.seed, self.size = options.seed, options.batch

    def batch(self, step: int, real: float):
        """Input and truth, 0 to 1, [n, 3, h, w]; the share `real` is taken from pictures and films only."""
        rng = np.random.default_rng([self.seed, 8, step])
        low, high = [], []
        chosen = rng.integers(0, len(self.low), self.size)
        chosen = np.where(rng.random(self.size) < real, rng.choice(self.real, self.size), chosen)
        for i in chosen:
            one, other = self.low[i], self.high[i]
            turn = rng.integers(0, 8)
            # Chroma of 4:2:0 is sited left, in no other direction.
            if turn & 1:
                one, other = one[::-1], other[::-1]
            if turn & 2 and not self.subsampled[i]:
                one, other = one[:, ::-1], other[:, ::-1]
            if turn & 4 and not self.subsampled[i]:
                one, other = one.transpose(1, 0, 2), other.transpose(1, 0, 2)
            low.append(one)
            high.append(other)
        return tuple(torch.from_numpy(np.stack(part).transpose(0, 3, 1, 2)).float() / 255 for part in (low, high))


if __name__ == "__main__":
    main()
