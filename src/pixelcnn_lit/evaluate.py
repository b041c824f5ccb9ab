"""``python -m pixelcnn_lit.evaluate``: the exact likelihood of a split under a checkpoint."""

from __future__ import annotations

from omegaconf import DictConfig

from pixelcnn_lit import command


def main() -> None:
    """Run the command."""
    command.run("evaluate", evaluate)


def evaluate(composed: DictConfig) -> float:
    """Evaluate a split, show a table, write the nats of each image on request. Returns bits/dim."""
    from pixelcnn_lit.config import EvaluateConfig, check

    config = check(composed, EvaluateConfig)

    import math

    import numpy as np
    import torch
    from rich import get_console
    from rich.progress import track
    from rich.table import Table

    from pixelcnn_lit.checkpoint import load_with_config
    from pixelcnn_lit.data.datamodule import ImageDataModule
    from pixelcnn_lit.device import enough_memory, pick_device
    from pixelcnn_lit.errors import UserError
    from pixelcnn_lit.files import write_whole
    from pixelcnn_lit.metrics import BitsPerDim

    if config.out is not None and not config.out.endswith(".npy"):
        raise UserError(f"out={config.out}: must end in .npy")
    density, trained = load_with_config(config.ckpt)
    device = pick_device(config.device)
    density.to(device)
    data = ImageDataModule(config.data.instead_of(trained.data, batch_size=config.batch_size), trained.seed)
    loader = data.loader(config.split)
    metric = BitsPerDim().to(device)
    log_probs, right = [], 0
    console = get_console()
    with torch.inference_mode(), enough_memory(f"batch_size={config.batch_size}"):
        for batch in track(loader, f"{config.split} images", len(loader), console=console, transient=True):
            x, y = batch[0].to(device), batch[1].to(device)
            nats = density(x, y)
            metric.update(nats)
            log_prob = -nats.flatten(1).sum(1)
            if density.n_classes is not None:
                each = density.class_log_probs(x)
                right += int((each.argmax(1) == y).sum())
                log_prob = each.logsumexp(1) - math.log(density.n_classes)
            log_probs.append(log_prob.cpu())
    bits = float(metric.compute())
    if not math.isfinite(bits):
        raise UserError(f"ckpt={config.ckpt}: {bits} bits/dim: its weights have gone wrong")
    dimensions = math.prod(trained.data.image_shape)
    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("checkpoint", config.ckpt)
    table.add_row("data", f"{trained.data.name} ({data.source}), {trained.data.levels} levels")
    images = len(data.split(config.split))
    table.add_row("images", f"{images:,} ({config.split})")
    if density.n_classes is not None:
        table.add_row("bits/dim, given the class", f"{bits:.6f}")
        table.add_row("accuracy of Bayes' rule", f"{right / images:.4%}")
        bits = -float(torch.cat(log_probs).double().mean()) / (dimensions * math.log(2))
    table.add_row("bits/dim", f"{bits:.6f}")
    table.add_row("nats/image", f"{bits * dimensions * math.log(2):.4f}")
    if config.out is not None:
        with write_whole(config.out) as file:
            np.save(file, torch.cat(log_probs).numpy())
        table.add_row("log p(x) of each, in nats", config.out)
    console.print(table)
    return bits


if __name__ == "__main__":
    main()
