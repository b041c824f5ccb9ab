# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A network and data of your own
#
# Everything here is outside the package: a data set, a network, and the yaml files of their keys. They get what the
# package's own parts have: checks, training, sampling, files that can be loaded again. It takes a minute.
#
# The same as modules and commands: [examples](../README.md). All the rules: [extending](../../docs/extending.md).

# %%
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import numpy as np
import torch
from PIL import Image
from pydantic import Field

import pixelcnn_lit
from pixelcnn_lit import CausalConv2d, CausalNetwork, Run, compose, pictures, register_data, register_network
from pixelcnn_lit.config import DataConfig, NetworkConfig
from pixelcnn_lit.data.splits import Split, in_three

STEPS = 400  # of the training below
SHOWN = 16  # images in the picture
FOLDER = Path(mkdtemp())

# %% [markdown]
# ## Data
#
# A data set is a function from its keys to images, uint8 intensities (N, C, H, W), and labels (N,). Here: a bright
# square or a bright frame, somewhere on a dark ground. Levels, batches, splits and the sizes' checks are done for it.


# %%
class ShapesData(DataConfig):
    """The keys of data=shapes beside those that all data have, with their types and ranges."""

    n_images: Annotated[int, Field(ge=10, le=100_000)]


def shapes(config):
    """Draw the images: label 0 a square, 1 a frame."""
    rng = np.random.default_rng(config.split_seed)
    images = np.zeros((config.n_images, *config.image_shape), dtype=np.uint8)
    labels = rng.integers(2, size=config.n_images)
    for image, label in zip(images, labels, strict=True):
        top, left = rng.integers(0, 6, size=2)
        image[:, top : top + 6, left : left + 6] = 255
        if label:
            image[:, top + 2 : top + 4, left + 2 : left + 4] = 0
    whole = Split(images, labels.astype(np.int64))
    return in_three(whole, config.split_seed, source="shapes", n_classes=2, where="data=shapes")


register_data("shapes", shapes, ShapesData)

# %% [markdown]
# ## A network
#
# A network takes images in [0, 1] and gives the parameters of each pixel's distribution. Its first layer is of type
# A, all others of type B, and what is between them looks at one pixel alone. `at` is the sampler's cursor: handed on
# to every causal layer, it makes sampling fast.


# %%
class TwoLayers(CausalNetwork):
    """Two causal convolutions: (N, C, H, W) -> (N, n_params, H, W)."""

    cached_sampling = True

    def __init__(self, *, image_channels, n_params, groups, n_classes, hidden):
        super().__init__()
        self.first = CausalConv2d(image_channels, hidden, 7, "A", groups, n_classes=n_classes)
        self.second = CausalConv2d(hidden, hidden, 5, "B", groups, n_classes=n_classes)
        self.out = CausalConv2d(hidden, n_params, 1, "B", groups)

    def forward(self, x, at=None, y=None):
        h = torch.relu(self.first(x, at, y))
        h = h + torch.relu(self.second(h, at, y))
        return self.out(h, at)


class TwoLayersConfig(NetworkConfig):
    """The keys of model=two_layers beside those that all networks have."""

    hidden: Annotated[int, Field(ge=1, le=1024)]


register_network("two_layers", TwoLayers, TwoLayersConfig)

# %% [markdown]
# ## Values
#
# A key has its type and range above and its value in a yaml file, where the command line finds it too.

# %%
FILES = {
    "data/shapes.yaml": "name: shapes\nn_images: 1000\nlevels: 2\nbinarize: null\nimage_shape: [1, 12, 12]\n"
    "batch_size: 32\nn_classes: 2\nsplit_seed: 0\n",
    "model/two_layers.yaml": "name: two_layers\nhidden: 24\nn_classes: null\norders: 1\n",
}
for name, text in FILES.items():
    path = FOLDER / "conf" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

WHERE = f"hydra.searchpath=[{FOLDER / 'conf'}]"
config = compose(
    [
        *(WHERE, "data=shapes", "model=two_layers", "model.n_classes=${data.n_classes}"),
        *(f"trainer.max_steps={STEPS}", "trainer.max_epochs=100", "trainer=cpu", "optimizer.lr=3e-3", "logger=none"),
    ]
)

# %% [markdown]
# A wrong value is told in one line, before anything is built:

# %%
try:
    compose([WHERE, "model=two_layers", "model.hidden=0"])
except pixelcnn_lit.UserError as error:
    print(error)

# %% [markdown]
# ## Training
#
# Before the first step the network is looked at on a small image: whether any output sees its own pixel or a later
# one, and whether both samplers draw the same. Then it is trained as any other.

# %%
run = Run(config, FOLDER / "run")
run.fit()
metrics = run.conclude()
print(f"{metrics.test:.4f} bits/dim on {metrics.test_images} test images")

# %% [markdown]
# Given its class an image here is one of 36, by the place of its shape. So no model can have less than ln 36 = 3.6
# nats an image in the mean.
#
# A row of squares, and a row of frames, by the class that is asked for:

# %%
y = torch.arange(2).repeat_interleave(SHOWN // 2)
x = run.density.sample(len(y), seed=0, y=y)
Image.fromarray(pictures.sample_grid(x, run.density.levels, 4, rows=2, names=("square", "frame")))

# %% [markdown]
# By Bayes' rule it says which of the two an image is:

# %%
test = run.data.split("test")
with torch.no_grad():
    found = run.density.class_log_probs(test.images).argmax(1)
print(f"{(found == test.labels).double().mean():.0%} of {len(found)} test images are told right")

# %% [markdown]
# Another day: import what registers the network, then load.

# %%
density = pixelcnn_lit.load(FOLDER / "run")
print("the same images:", torch.equal(density.sample(len(y), seed=0, y=y), x))
