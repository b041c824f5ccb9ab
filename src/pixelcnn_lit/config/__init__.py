"""The config schema: the type and range of every key, checked before a run starts.

A key is declared in two places: a file of conf/ gives its value and a comment, a section here gives its type and range.
"""

from pixelcnn_lit.config.checking import check
from pixelcnn_lit.config.commands import (
    CompressConfig,
    DecompressConfig,
    DemoConfig,
    EvaluateConfig,
    ExplainConfig,
    ExportConfig,
    OtherData,
    PretrainedConfig,
    ReceptiveFieldConfig,
    SampleConfig,
    ScoreConfig,
)
from pixelcnn_lit.config.composition import compose, compose_vqvae, conf_dir, one_line, plugins_of, with_home
from pixelcnn_lit.config.data import Cifar10Data, DataConfig, ImagesData, MnistData, NpzData
from pixelcnn_lit.config.likelihood import CategoricalConfig, LikelihoodConfig, LogisticMixtureConfig
from pixelcnn_lit.config.model import GatedPixelCNNConfig, NetworkConfig, PixelCNNConfig, PixelCNNppConfig
from pixelcnn_lit.config.optimizer import OptimizerConfig
from pixelcnn_lit.config.plugins import load_plugins
from pixelcnn_lit.config.train import CheckpointConfig, RunConfig, TrainConfig
from pixelcnn_lit.config.trainer import TrainerConfig
from pixelcnn_lit.config.types import Count, Section, Seed, inside
from pixelcnn_lit.config.vqvae import AutoencoderConfig, AutoencoderRunConfig, VqvaeConfig

__all__ = [
    "AutoencoderConfig",
    "AutoencoderRunConfig",
    "CategoricalConfig",
    "CheckpointConfig",
    "Cifar10Data",
    "CompressConfig",
    "Count",
    "DataConfig",
    "DecompressConfig",
    "DemoConfig",
    "EvaluateConfig",
    "ExplainConfig",
    "ExportConfig",
    "GatedPixelCNNConfig",
    "ImagesData",
    "LikelihoodConfig",
    "LogisticMixtureConfig",
    "MnistData",
    "NetworkConfig",
    "NpzData",
    "OptimizerConfig",
    "OtherData",
    "PixelCNNConfig",
    "PixelCNNppConfig",
    "PretrainedConfig",
    "ReceptiveFieldConfig",
    "RunConfig",
    "SampleConfig",
    "ScoreConfig",
    "Section",
    "Seed",
    "TrainConfig",
    "TrainerConfig",
    "VqvaeConfig",
    "check",
    "compose",
    "compose_vqvae",
    "conf_dir",
    "inside",
    "load_plugins",
    "one_line",
    "plugins_of",
    "with_home",
]
