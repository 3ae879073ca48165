"""The Compact network (SRVGGNet): 3x3 convolutions with PReLU at the size of the input, a pixel shuffle, and the input
itself, every pixel repeated, added. Keys are those of Real-ESRGAN's checkpoints, `body.N.weight` and `body.N.bias`."""

import torch
from torch import nn
from torch.nn import functional

SCALE = 2


class Compact(nn.Module):
    """`features` channels in `layers` convolutions between the first and the last. [n, 3, h, w] to [n, 3, 2h, 2w]."""

    def __init__(self, features: int, layers: int):
        super().__init__()
        body = [nn.Conv2d(3, features, 3, padding=1), nn.PReLU(features)]
        for _ in range(layers):
            body += [nn.Conv2d(features, features, 3, padding=1), nn.PReLU(features)]
        body.append(nn.Conv2d(features, 3 * SCALE**2, 3, padding=1))
        self.body = nn.Sequential(*body)
        for module in self.body:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.25)
                nn.init.zeros_(module.bias)
        # At the start the result is close to the repeated input.
        nn.init.normal_(self.body[-1].weight, std=0.01)

    def forward(self, picture):
        return functional.pixel_shuffle(self.body(picture), SCALE) + functional.interpolate(picture, scale_factor=SCALE)


def of_file(path) -> Compact:
    """The network of a .safetensors file, in fp32."""
    from safetensors.torch import load_file

    weights = load_file(path)
    features = weights["body.0.weight"].shape[0]
    layers = (max(int(key.split(".")[1]) for key in weights) - 2) // 2
    network = Compact(features, layers)
    network.load_state_dict({key: value.float() for key, value in weights.items()})
    return network.eval()


def parameters(network: Compact) -> int:
    return sum(p.numel() for p in network.parameters())


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
