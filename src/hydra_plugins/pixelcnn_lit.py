"""The names by which Hydra, which looks for plugins in this namespace alone, finds the sweepers and launchers."""

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
