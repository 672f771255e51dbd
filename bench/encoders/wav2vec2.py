"""wav2vec 2.0, HuBERT and WavLM as transformers has them: loading, and frozen features.

Each has a convolutional front end that makes 50 frames a second of a waveform, a projection, and a
transformer. Front ends with a group norm take statistics over all frames, so padding changes their
output, with or without an attention mask; those with layer norms need the mask. Here every clip
goes through alone and unpadded, which is right for both.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from bench.contracts.feature import Feature
from bench.contracts.weights import Weights
from bench.encoders.frozen import frozen_network
from bench.errors import WeightsError
from bench.features.signal import at_least, cut, normalised_waveform

if TYPE_CHECKING:
    from bench.contracts.feature import Array, Waveform

Kind = Literal["wav2vec2", "hubert", "wavlm"]


@dataclass(frozen=True)
class Architecture:
    """The sizes of a network with random weights; the defaults are those of the base models."""

    founding: ClassVar[tuple[str, ...]] = (
        "kind",
        "layers",
        "width",
        "heads",
        "norm",
        "conv_bias",
        "channels",
        "normalise",
    )

    kind: Kind
    layers: int = 12
    width: int = 768
    heads: int = 12
    # of the front end; with "layer" the transformer normalises first, too
    norm: Literal["group", "layer"] = "group"
    conv_bias: bool = False
    channels: int = 512  # of the front end
    normalise: bool = True  # whether it reads waveforms of mean 0 and deviation 1

    def config(self) -> Any:
        from transformers import AutoConfig

        return AutoConfig.for_model(
            self.kind,
            num_hidden_layers=self.layers,
            hidden_size=self.width,
            num_attention_heads=self.heads,
            intermediate_size=4 * self.width,
            feat_extract_norm=self.norm,
            do_stable_layer_norm=self.norm == "layer",
            conv_bias=self.conv_bias,
            conv_dim=(self.channels,) * 7,
        )

    def tiny(self) -> "Architecture":
        """The same architecture at sizes that train in seconds."""
        return replace(
            self,
            layers=2,
            width=48,
            heads=4,
            channels=32,
        )


LARGE = Architecture(
    "wav2vec2", layers=24, width=1024, heads=16, norm="layer", conv_bias=True
)

# What `--weights NAME=random` builds, by the hub id of the checkpoint with these sizes.
ARCHITECTURES: Mapping[str, Architecture] = {
    "facebook/wav2vec2-base": Architecture("wav2vec2"),
    "nguyenvulebinh/wav2vec2-base-vi": Architecture("wav2vec2"),
    "jonatasgrosman/wav2vec2-large-xlsr-53-chinese-zh-cn": LARGE,
    "facebook/wav2vec2-xls-r-300m": LARGE,
    "facebook/hubert-base-ls960": Architecture("hubert"),
    "TencentGameMate/chinese-hubert-base": Architecture("hubert"),
    "microsoft/wavlm-base-plus": Architecture("wavlm", normalise=False),
    "microsoft/wavlm-large": replace(LARGE, kind="wavlm", conv_bias=False),
}


def read_config(weights: Weights, architecture: Architecture | None) -> Any:
    """transformers' configuration: that of `architecture`, else the checkpoint's own.

    Raises:
        WeightsError: for a checkpoint of another family.
    """
    from bench.encoders.hub import load_config

    if architecture is not None:
        return architecture.config()
    config = load_config(weights)
    kinds = get_args(Kind)
    if config.model_type not in kinds:
        raise WeightsError(
            f"{weights.source} holds a {config.model_type} network, none of {', '.join(kinds)}: "
            f"name another."
        )
    return config


def load(weights: Weights, architecture: Architecture | None) -> Any:
    """The whole network as transformers' module, in float32 and in evaluation mode.

    `architecture` is None unless the weights are random, which are drawn from torch's seed.

    Raises:
        WeightsError: if the weights cannot be loaded.
    """
    from transformers import AutoModel

    from bench.encoders.hub import load_pretrained

    config = read_config(weights, architecture)
    if architecture is not None:
        network = AutoModel.from_config(config, trust_remote_code=False)
    else:
        network = load_pretrained(AutoModel, weights, config)
    return network.eval()


def project(encoder: Any, frames: Tensor) -> Tensor:
    """The front end's frames, (batch, frames, channels), as the transformer reads them, (batch,
    frames, width).
    """
    projected = encoder.feature_projection(frames)
    if isinstance(projected, Tensor):  # HuBERT's returns no second value
        return projected
    return projected[0]  # type: ignore[no-any-return]


@frozen_network
def frozen(weights: Weights, architecture: Architecture | None) -> Any:
    """The network of the features below."""
    return load(weights, architecture)


@frozen_network
def front_end(weights: Weights, architecture: Architecture | None) -> Any:
    """The frozen network's front end alone, so that the rest leaves the memory."""
    return load(weights, architecture).feature_extractor


@dataclass(frozen=True)
class _Frozen(Feature):
    """A feature of a frozen network; a checkpoint (no `architecture`) describes itself."""

    founding: ClassVar[tuple[str, ...]] = ("weights", "architecture", "max_seconds")

    weights: Weights
    architecture: Architecture | None = None
    max_seconds: float = 0.0  # longer clips are cut; 0: never

    def _inputs(
        self, waveforms: "Sequence[Waveform]", device: torch.device
    ) -> Iterator[Tensor]:
        """Each clip by itself: (1, samples), normalised if the checkpoint was trained so.

        A clip too short for one frame (25 ms) is continued with silence.
        """
        normalised = self._normalised
        least = reach(self._config)
        for waveform in waveforms:
            samples = cut(waveform, self.max_seconds)
            if normalised:
                samples = normalised_waveform(samples)
            samples = at_least(samples, least)
            yield torch.from_numpy(samples[None]).to(device)

    @property
    def _normalised(self) -> bool:
        return _normalises(self.weights, self.architecture)

    @property
    def _config(self) -> Any:
        return read_config(self.weights, self.architecture)

    def _empty(self) -> Any:
        """The network without memory for its parameters."""
        from transformers import AutoModel

        config = self._config
        with torch.device("meta"):
            return AutoModel.from_config(config, trust_remote_code=False)


@dataclass(frozen=True)
class ConvFrontEnd(_Frozen):
    """The convolutional front end: (frames, 512), 50 frames a second.

    `raw` leaves the waveform as it is, though the checkpoint was trained on normalised ones.
    """

    founding: ClassVar[tuple[str, ...]] = ("raw",)

    raw: bool = False

    @property
    def _normalised(self) -> bool:
        if self.raw:
            return False
        return super()._normalised

    @torch.inference_mode()
    def extract(
        self, waveforms: "Sequence[Waveform]", device: torch.device
    ) -> "list[Array]":
        network = front_end(self.weights, self.architecture).to(device)
        arrays = []
        for samples in self._inputs(waveforms, device):
            channels = network(samples)[0]  # (channels, frames)
            frames = channels.T.contiguous()
            arrays.append(frames.cpu().numpy())
        return arrays

    @property
    def parameters(self) -> int:
        network = self._empty()
        return _count(network.feature_extractor)


@dataclass(frozen=True)
class EncoderStates(_Frozen):
    """What each transformer layer reads, and the output: (frames, layers + 1, width)."""

    @torch.inference_mode()
    def extract(
        self, waveforms: "Sequence[Waveform]", device: torch.device
    ) -> "list[Array]":
        network = frozen(self.weights, self.architecture).to(device)
        arrays = []
        for samples in self._inputs(waveforms, device):
            states = self._pool(_states(network, samples))
            arrays.append(states.cpu().numpy())
        return arrays

    @property
    def parameters(self) -> int:
        network = self._empty()
        return _count(network)

    def _pool(self, states: Tensor) -> Tensor:
        return states


@dataclass(frozen=True)
class EncoderMeans(EncoderStates):
    """The mean of `EncoderStates` over the clip's frames: (1, layers + 1, width)."""

    pooled: ClassVar[bool] = True

    def _pool(self, states: Tensor) -> Tensor:
        return states.mean(0, keepdim=True)


def _states(network: Any, samples: Tensor) -> Tensor:
    result = network(samples, output_hidden_states=True)
    # the last hidden state lacks the final layer norm in some networks and versions of
    # transformers; the output never does
    before = result.hidden_states[:-1]
    states = torch.cat(
        [*before, result.last_hidden_state]
    )  # (layers + 1, frames, width)
    return states.transpose(0, 1)


def _normalises(weights: Weights, architecture: Architecture | None) -> bool:
    """Whether the network was trained on normalised waveforms."""
    from bench.encoders.hub import load_json, local_folder

    if architecture is not None:
        return architecture.normalise
    about = load_json(weights, "preprocessor_config.json")
    if not about:  # where newer versions of transformers write it
        processor = load_json(weights, "processor_config.json")
        about = processor.get("feature_extractor", {})
    if "do_normalize" not in about:
        raise WeightsError(
            f"The weights {weights.source} at {local_folder(weights)} lack "
            f"preprocessor_config.json, which says by its do_normalize whether the network reads "
            f"normalised waveforms: fetch that file, too."
        )
    return bool(about["do_normalize"])


def reach(config: Any) -> int:
    """Samples that one frame sees: 400 for every public model."""
    samples = 1
    layers = list(zip(config.conv_kernel, config.conv_stride, strict=True))
    for kernel, stride in reversed(layers):
        samples = (samples - 1) * stride + kernel
    return int(samples)


def _count(network: Any) -> int:
    counts = (parameter.numel() for parameter in network.parameters())
    return sum(counts)
