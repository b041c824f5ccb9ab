"""Train from a script: what ``python -m pixelcnn_lit.train`` does, step by step, on real digits in a few seconds.

    python train_in_a_script.py

All that the command leaves behind is left behind, in a dated folder below outputs/.
"""

from __future__ import annotations

import pixelcnn_lit
from pixelcnn_lit import Run, compose

# The overrides are those of the command line, and so are the checks.
config = compose(
    [
        "data=digits",
        "data.levels=2",
        "data.batch_size=32",
        "model.n_res=1",
        "model.hidden=8",
        "trainer=cpu",
        "trainer.max_steps=20",
        "logger=none",
    ]
)


def main() -> None:
    run = Run(config)  # a second argument names the folder; callbacks=[...] adds Lightning's
    run.fit()
    metrics = run.conclude()  # tests the best checkpoint, and writes metrics.json and two pictures
    assert metrics is not None  # it is None in the second and further processes of a training on several
    print(f"{metrics.test:.4f} bits/dim on {metrics.data} ({metrics.source})")

    x = run.density.sample(4, seed=0)  # (4, 1, 28, 28) uint8 levels
    print(run.density.log_prob(x).tolist())  # (4,) nats

    density = pixelcnn_lit.load(run.folder / "checkpoints" / "best.ckpt")  # the same, another day
    print(f"loaded: the same images, {bool((density.sample(4, seed=0) == x).all())}")


if __name__ == "__main__":  # Lightning may start further processes, which import this file
    main()
