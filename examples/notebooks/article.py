# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # PixelCNN, from its masks to its pictures
#
# A PixelCNN draws an image as one writes: row by row, pixel by pixel, and each pixel is a guess from those before it.
# This notebook goes through the idea in the order in which it is usually told: masks, the blind spot, levels,
# training, sampling, completion. Then each later member of the family has a short cell. It takes less than a minute on
# two CPU cores.

# %%
import io
import time
from itertools import product
from pathlib import Path
from tempfile import mkdtemp

import torch
from PIL import Image

import pixelcnn_lit
from pixelcnn_lit import CausalConv2d, Run, build, compose, pictures
from pixelcnn_lit.analysis import figure
from pixelcnn_lit.analysis.influence import blind_spot, influence
from pixelcnn_lit.data.datamodule import ImageDataModule

STEPS = 600  # of the training below
SHOWN = 16  # images in a picture
SIDE = 21  # pixels of a side, where a receptive field is measured


def grid(x, levels):
    """Levels (N, C, H, W) as a picture."""
    return Image.fromarray(pictures.sample_grid(x, levels, scale=3))


def fields(panels):
    """Receptive fields (H, W) by their titles, as a picture."""
    file = io.BytesIO()
    figure.draw(panels).savefig(file, format="png", dpi=60)
    return Image.open(file)


# %% [markdown]
# ## A product of guesses
#
# By the chain rule, `p(x) = p(x_1) p(x_2 | x_1) p(x_3 | x_1, x_2) ...`: one factor a pixel, in reading order. That is
# a distribution over images, whatever the factors are. An image of 2x2 pixels, black or white, can be one of 16. So
# we can list all of them, and their probabilities sum to one, even though the network is untrained:

# %%
tiny = build(["model.n_res=1", "model.hidden=8", "data.levels=2"])
everything = torch.tensor(list(product(range(2), repeat=4))).view(16, 1, 2, 2)
with torch.no_grad():
    probabilities = tiny.log_prob(everything).exp()
print(f"16 images, the sum of their probabilities: {probabilities.sum():.6f}")

# %% [markdown]
# ## Masks A and B
#
# One pass of a convolutional network gives all factors, if no output sees its own pixel or a later one. In the first
# layer (type A) a kernel sees the pixels above, and to the left in the same row. In all others (type B) it sees the
# place itself too, since the features there hold nothing of the pixel.

# %%
for mask_type in "AB":
    layer = CausalConv2d(1, 1, kernel_size=5, mask_type=mask_type)
    torch.nn.init.ones_(layer.weight)
    print(f"type {mask_type}: {layer.weight.shape[-1]} weights are stored, the others are not there")
    print(layer.kernel()[0, 0].int().numpy(), "\n")

# %% [markdown]
# ## The blind spot
#
# In a stack of such layers each step to the right, in the rows above, costs a row. What lies above and far to the
# right is never seen (red), however deep the network is. Gated PixelCNN has two stacks, one for the rows above and
# one for the row itself, and sees all. This is measured: how much the guess for the centre changes with each pixel.

# %%
small = ["model.n_res=3", "model.hidden=8", "data.levels=2"]
panels = {
    "PixelCNN": influence(build(["model=pixelcnn", *small]), (SIDE, SIDE)),
    "Gated PixelCNN": influence(build(["model=gated_pixelcnn", *small]), (SIDE, SIDE)),
}
for name, seen in panels.items():
    print(f"{name}: {int(blind_spot(seen).sum())} pixels in its reach are never seen")
fields(panels)

# %% [markdown]
# ## Levels
#
# The network guesses one of a few levels of grey, by a softmax. With 2 levels a digit is black and white, with 256 it
# is the file as it was. The fewer, the easier to learn. These digits are real ones that come with the package.

# %%
rows = []
for levels in (2, 4, 256):
    data = ImageDataModule(compose(["data=digits", f"data.levels={levels}"]).data, seed=0)
    digits = data.split("test").images[:8]
    rows.append(pictures.as_rgb(digits, levels))
Image.fromarray(pictures.bands(rows, scale=3))

# %% [markdown]
# ## Training
#
# Training is a classification: the loss is the cross-entropy of each pixel's level. Its unit here is bits a
# dimension, bits/dim: 1 is a coin for each pixel of 2 levels. The names below are those of the command line, `python
# -m pixelcnn_lit.train data=digits ...`, and of the files in `conf/`.

# %%
config = compose(
    [
        *("data=digits", "data.levels=2", "data.batch_size=32"),
        *("model.n_res=2", "model.hidden=16"),
        *(f"trainer.max_steps={STEPS}", "trainer=cpu", "optimizer.lr=3e-3", "logger=none"),
    ]
)
run = Run(config, Path(mkdtemp()) / "first")
run.fit()
metrics = run.conclude()
print(f"{metrics.test:.4f} bits/dim on {metrics.test_images} test digits")

# %% [markdown]
# ## Sampling
#
# Draw the first pixel, give it to the network, draw the second one given it, and so on.

# %%
grid(run.density.sample(SHOWN, seed=0), levels=2)

# %% [markdown]
# So short a training knows strokes, and hardly a digit. A model that was trained for longer comes with the package:

# %%
model = pixelcnn_lit.load("pretrained:digits")
print(f"{model.levels} levels, {sum(weight.numel() for weight in model.parameters()):,} weights")
grid(model.sample(SHOWN, seed=0), model.levels)

# %% [markdown]
# The textbook runs the network once a pixel and throws away all but one pixel of what it computed. Here each layer
# keeps what it will need again. Both draw the same images, pixel for pixel:

# %%
drawn = {}
for method in ("naive", "cached"):
    start = time.perf_counter()
    drawn[method] = model.sample(2, seed=1, method=method, size=(14, 14))
    print(f"{method}: {time.perf_counter() - start:.2f} s")
print("the same images:", torch.equal(drawn["naive"], drawn["cached"]))

# %% [markdown]
# ## Completion
#
# Known pixels are not drawn, but given. With the upper half known, the lower half is drawn from exactly what the
# model thinks of it, `p(lower | upper)`. Rows: the digit, what was given, a completion.

# %%
data = ImageDataModule(compose(["data=digits", f"data.levels={model.levels}"]).data, seed=0)
digits = data.split("test").images[:8]
known = torch.zeros(28, 28, dtype=torch.bool)
known[:14] = True
completed = model.complete(digits, known, seed=0)
Image.fromarray(pictures.completion_grid(digits, known, completed, model.levels, scale=3))

# %% [markdown]
# ## What the likelihood is good for
#
# The same numbers say how probable an image is. A digit is cheap, a digit upside down is dearer, noise is very dear;
# each in bits/dim:

# %%
noise = torch.randint(model.levels, digits.shape, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    for name, x in (("digits", digits), ("upside down", digits.flip(2)), ("noise", noise)):
        print(f"{name}: {model.bits_per_dim(x).mean():.3f} bits/dim")

# %% [markdown]
# Eight digits compress to about that size ([compress](../../docs/uses.md)), and a strange image is told by it.
#
# # The family
#
# What came after, a cell each. The pages of [nine topics](../../docs/topics.md) have pictures, figures and papers.
#
# ## Colour
#
# A pixel has three values, and they are ordered too: R, G given R, B given both. So blue tells nothing about red of
# the same pixel, and red does tell about blue ([colour](../../docs/topics/colour.md)):

# %%
colour = build(["data=cifar10", "model.n_res=1", "model.hidden=12", "data.levels=4"])
x = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
for channel, name in ((0, "red"), (2, "blue")):
    changed = x.clone()
    changed[0, channel, 1, 1] = 3
    with torch.no_grad():
        told = (colour.logits(changed) - colour.logits(x)).abs().amax(1)[0, :, 1, 1] > 0
    print(f"{name} changes the guess for red, green, blue of its own pixel: {told.tolist()}")

# %% [markdown]
# ## Classes
#
# With a class as a further input, the network gives `p(image | class)`. By Bayes' rule it is a classifier, which was
# never trained to be one ([classes](../../docs/topics/classes.md)):

# %%
classes = build(["data=digits", "data.levels=2", "model.n_res=1", "model.hidden=8", "model.n_classes=10"])
with torch.no_grad():
    each = classes.class_log_probs(classes.sample(4, seed=0, y=3, size=(8, 8)))
print("log p(image | class):", tuple(each.shape), "and p(class | image), untrained:", each.softmax(1)[0, :3].tolist())

# %% [markdown]
# ## Cropped convolutions
#
# The kernels above had zeros where a mask would be: they are not stored and not multiplied ([cropped
# convolutions](../../docs/topics/cropped.md)). The same weights serve the sampler that was faster above ([fast
# sampling](../../docs/topics/sampling.md)).

# %%
for size in (3, 5, 7):
    print(f"{size}x{size}: {CausalConv2d(1, 1, size, 'B').weight.shape[-1]} weights of {size * size}")

# %% [markdown]
# ## PixelCNN++
#
# A softmax does not know that 127 and 128 are neighbours. A mixture of logistic distributions does, needs far fewer
# outputs, and is still a distribution over levels ([PixelCNN++](../../docs/topics/pixelcnn_pp.md)):

# %%
plus = build(["model=pixelcnn_pp", "likelihood=logistic_mixture", "model.n_res=1", "model.hidden=8", "data=digits"])
x = plus.sample(1, seed=0, size=(4, 4))
with torch.no_grad():
    chances = plus.logits(x).softmax(1)[0, :, 0, 0, 0]
outputs = plus.likelihood.n_params(1)
print(f"{outputs} outputs a pixel for {len(chances)} levels, whose probabilities sum to {chances.sum():.6f}")

# %% [markdown]
# ## PixelSNAIL
#
# Attention asks all earlier pixels at once, however far they are ([PixelSNAIL](../../docs/topics/pixelsnail.md)):

# %%
snail = build(["model=pixelsnail", "model.n_blocks=1", "model.n_res=1", "model.hidden=8", "data.levels=2"])
seen = influence(snail, (SIDE, SIDE))
earlier = SIDE * (SIDE // 2) + SIDE // 2
print(f"one block sees {int((seen > 0).sum())} of the {earlier} pixels before the centre")

# %% [markdown]
# ## VQ-VAE-2
#
# Larger images are first turned into small maps of codes, and a density like all those above draws new codes. It
# trains for minutes, so here is its command ([VQ-VAE-2](../../docs/topics/vqvae2.md)):
#
# ```
# python -m pixelcnn_lit.vqvae experiment=vqvae2_quick name=vq
# python -m pixelcnn_lit.sample ckpt=outputs/vq n=64
# ```
#
# Next: [a network and data of your own](own_network_and_data.py).
