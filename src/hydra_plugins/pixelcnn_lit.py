"""Makes the sweepers and launchers visible to Hydra, which looks for plugins only in this namespace."""

from pixelcnn_lit.sweeps import cluster, launcher, search, sweeper


class GridSweeper(sweeper.GridSweeper):
    """hydra/sweeper=grid"""


class OptunaSweeper(search.OptunaSweeper):
    """hydra/sweeper=optuna"""


class LocalLauncher(launcher.LocalLauncher):
    """hydra/launcher=local and hydra/launcher=joblib"""


class SlurmLauncher(cluster.SlurmLauncher):
    """hydra/launcher=slurm"""


class RayLauncher(cluster.RayLauncher):
    """hydra/launcher=ray"""
