"""The names by which Hydra, which looks for plugins in this namespace alone, finds the sweepers and launchers."""

from pixelcnn_lit.sweeps import launcher, sweeper


class GridSweeper(sweeper.GridSweeper):
    """hydra/sweeper=grid"""


class LocalLauncher(launcher.LocalLauncher):
    """hydra/launcher=local and hydra/launcher=joblib"""
