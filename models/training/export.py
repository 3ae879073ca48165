"""Writes the weights of a checkpoint of train.py (their running mean) as .safetensors in fp16, and SHA256SUMS beside it.

    export.py CHECKPOINT.pt OUT.safetensors

Checks that rounding to fp16 changes no result by a tenth of an 8-bit level on average.
"""

import hashlib
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from network import Compact, of_file


def main():
    checkpoint, out = Path(sys.argv[1]), Path(sys.argv[2])
    weights = {
        key.removeprefix("module."): value.detach().contiguous()
        for key, value in torch.load(checkpoint, map_location="cpu")["mean"].items()
        if key.startswith("module.")
    }
    save_file({key: value.half() for key, value in weights.items()}, out, metadata={"scale": "2"})
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    (out.parent / "SHA256SUMS").write_text(f"{digest}  {out.name}\n")

    rounded = of_file(out)
    exact = Compact(weights["body.0.weight"].shape[0], sum(key.endswith("bias") for key in weights) - 2)
    exact.load_state_dict(weights)
    picture = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        change = (rounded(picture) - exact(picture)).abs().mean().item() * 255
    print(f"{out.name}: {out.stat().st_size} bytes, sha256 {digest}, rounding changes results by {change:.4f} levels")
    if change > 0.1:
        sys.exit("rounding to fp16 changes results by more than a tenth of a level")


if __name__ == "__main__":
    main()
