from __future__ import annotations

import json

import hydra
import pytest
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf

from pixelcnn_lit.config import conf_dir
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.sweeps import launcher


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Sweep in ``tmp_path`` with jobs that do nothing but finish; gives the names of those that ran."""
    monkeypatch.chdir(tmp_path)
    OmegaConf.register_new_resolver("folder", run_folder.folder_name, replace=True)

    def run(*overrides, fails=(), interrupts=(), **scores):
        from hydra.core.plugins import Plugins

        ran = []

        def carry_out(self, jobs):
            for job in jobs:
                if job.name.startswith(tuple(interrupts)):
                    raise KeyboardInterrupt
                ran.append(job.name)
                if job.name.startswith(tuple(fails)):
                    run_folder.stop(job.folder, "failed", "out of memory")
                else:
                    (job.folder / "metrics.json").write_text(json.dumps(result(job) | scores))

        monkeypatch.setattr(launcher.LocalLauncher, "run", carry_out)
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            loaded = GlobalHydra.instance().hydra
            config = loaded.compose_config("train", list(overrides), RunMode.MULTIRUN, with_log_configuration=False)
            context = HydraContext(config_loader=loaded.config_loader, callbacks=Callbacks(config))
            sweeper = Plugins.instance().instantiate_sweeper(
                config=config, hydra_context=context, task_function=lambda config: None
            )
            try:
                sweeper.sweep(list(config.hydra.overrides.task))
            finally:
                run.ran = ran
        return ran

    return run


def result(job):
    values = dict(override.split("=") for override in job.overrides)
    score = float(values.get("optimizer.lr", 1)) + float(values.get("model.n_res", 0))
    return {"test/bits_per_dim": score, "val/bits_per_dim": score}
