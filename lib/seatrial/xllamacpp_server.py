"""Serves with llama.cpp out of the xllamacpp package, as a program: ``python -m seatrial.xllamacpp_server``.

It takes the spellings of the native ``llama-server``, so that one command fits both, and logs to stderr. SIGTERM keeps
its default action: taking apart a server that has only just started can wait for itself for ever. Its first line is
written before llama.cpp is loaded, so it imports little: ``make bench`` measures that.
"""

from __future__ import annotations

import argparse
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # pathlib and typing take as long to load as all the rest
    from typing import Any, NoReturn

_PROGRAM = "seatrial.xllamacpp_server"
_EXIT_S = 2
# What --n-cpu-moe means in llama.cpp (common/arg.cpp): the experts of the first layers stay on the CPU.
_EXPERTS_OF_LAYER = r"blk\.{layer}\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU"


def parser() -> argparse.ArgumentParser:
    """Return a parser of the flags of ``llama-server`` that this program knows."""
    flags = argparse.ArgumentParser(prog=_PROGRAM, description=__doc__, allow_abbrev=False)
    flags.add_argument("--model", required=True, help="GGUF file")
    flags.add_argument("--alias", required=True, help="model id to list")
    flags.add_argument("--host", default="127.0.0.1")
    flags.add_argument("--port", required=True, type=int)
    flags.add_argument("--api-key-file", help="file with one key a line")
    flags.add_argument("--ctx-size", type=int, default=0, help="tokens over all slots (0: as trained)")
    flags.add_argument("--parallel", type=int, default=1, help="requests served at once")
    flags.add_argument("--threads", type=int, default=-1)
    flags.add_argument("--threads-batch", type=int, default=None)
    flags.add_argument("--gpu-layers", type=int, default=-1)
    flags.add_argument("--n-cpu-moe", type=int, default=0, help="layers whose experts stay in host memory")
    flags.add_argument("--tensor-split", default=None, help="shares of the layers, one a GPU: 12,14,18")
    flags.add_argument("--split-mode", choices=("layer", "tensor"), default="layer", help="what is divided among GPUs")
    flags.add_argument("--fit", choices=("on", "off"), default="on", help="shrink what was not given to free memory")
    flags.add_argument("--spec-draft-model", help="GGUF file that drafts tokens for the model")
    flags.add_argument("--spec-type", choices=("draft-dspark",), default="draft-dspark", help="kind of that file")
    flags.add_argument("--spec-draft-n-max", type=int, default=3, help="tokens drafted a step")
    flags.add_argument("--spec-draft-ngl", type=int, default=-1, help="layers of that file on GPUs")
    flags.add_argument("--batch-size", type=int, default=None)
    flags.add_argument("--ubatch-size", type=int, default=None)
    flags.add_argument("--flash-attn", choices=("on", "off", "auto"), default=None)
    flags.add_argument("--cache-ram", type=int, default=None, help="MiB of host memory for prompts answered before")
    flags.add_argument("--cache-type-k", default=None, help="f16, q8_0, ...")
    flags.add_argument("--cache-type-v", default=None)
    flags.add_argument("--temp", type=float, default=None, help="sampling, unless a request sets its own")
    flags.add_argument("--top-p", type=float, default=None)
    flags.add_argument("--min-p", type=float, default=None)
    flags.add_argument("--jinja", action="store_true", default=True)
    flags.add_argument("--metrics", action="store_true")
    flags.add_argument("--no-warmup", action="store_true")
    return flags


def parameters(options: argparse.Namespace) -> Any:
    """Return the flags as parameters of xllamacpp."""
    import xllamacpp

    chosen = xllamacpp.CommonParams()
    chosen.model.path = options.model
    chosen.model_alias = {options.alias}
    chosen.hostnames = [options.host]
    chosen.port = options.port
    if options.api_key_file:
        with open(options.api_key_file, encoding="utf-8") as file:  # noqa: PTH123 -- without pathlib, see above
            chosen.api_keys = file.read().split()
    chosen.n_ctx = options.ctx_size
    chosen.n_parallel = options.parallel
    chosen.cpuparams.n_threads = options.threads
    chosen.cpuparams_batch.n_threads = options.threads if options.threads_batch is None else options.threads_batch
    chosen.n_gpu_layers = options.gpu_layers
    if options.n_cpu_moe:
        layers = (_EXPERTS_OF_LAYER.format(layer=layer) for layer in range(options.n_cpu_moe))
        chosen.tensor_buft_overrides = ",".join(layers)
    if options.tensor_split:
        shares = [float(share) for share in options.tensor_split.split(",")]
        chosen.tensor_split = shares + [0.0] * (len(chosen.tensor_split) - len(shares))
    modes = xllamacpp.llama_split_mode
    chosen.split_mode = modes[f"LLAMA_SPLIT_MODE_{options.split_mode.upper()}"]
    chosen.fit_params = options.fit == "on"
    if options.spec_draft_model:
        _set_drafter(xllamacpp, chosen, options)
    _set_sizes_and_kinds(xllamacpp, chosen, options)
    for name in ("temp", "top_p", "min_p"):
        if getattr(options, name) is not None:
            setattr(chosen.sampling, name, getattr(options, name))
    chosen.use_jinja = options.jinja
    chosen.endpoint_metrics = options.metrics
    chosen.warmup = not options.no_warmup
    chosen.ui = False
    return chosen


def _set_drafter(xllamacpp: Any, chosen: Any, options: argparse.Namespace) -> None:
    """Set the drafter; its threads are the model's, since the two never compute at once."""
    kind = options.spec_type.upper().replace("-", "_")
    chosen.speculative.types = [xllamacpp.common_speculative_type[f"COMMON_SPECULATIVE_TYPE_{kind}"]]
    draft = chosen.speculative.draft
    draft.mparams.path = options.spec_draft_model
    draft.n_max = options.spec_draft_n_max
    draft.n_gpu_layers = options.spec_draft_ngl
    draft.cpuparams.n_threads = chosen.cpuparams.n_threads
    draft.cpuparams_batch.n_threads = chosen.cpuparams_batch.n_threads


def _set_sizes_and_kinds(xllamacpp: Any, chosen: Any, options: argparse.Namespace) -> None:
    """Set what decides how fast it is; llama.cpp chooses what was not given."""
    for name in ("batch", "ubatch"):
        if getattr(options, f"{name}_size"):
            setattr(chosen, f"n_{name}", getattr(options, f"{name}_size"))
    for name in ("cache_type_k", "cache_type_v"):
        if getattr(options, name):
            setattr(chosen, name, _tensor_type(xllamacpp, getattr(options, name)))
    if options.cache_ram is not None:
        chosen.cache_ram_mib = options.cache_ram
    if options.flash_attn:
        kinds = {"on": "ENABLED", "off": "DISABLED", "auto": "AUTO"}
        chosen.flash_attn_type = xllamacpp.llama_flash_attn_type[f"LLAMA_FLASH_ATTN_TYPE_{kinds[options.flash_attn]}"]


def _tensor_type(xllamacpp: Any, name: str) -> Any:
    kinds = {kind.name.removeprefix("GGML_TYPE_").lower(): kind for kind in xllamacpp.ggml_type}
    if name not in kinds:
        _log(f"error: unsupported cache type: {name}")
        raise SystemExit(2)
    return kinds[name]


def _log(text: str) -> None:
    sys.stderr.write(f"{_PROGRAM}: {text}\n")
    sys.stderr.flush()


def _warn_without_gpus(xllamacpp: Any, options: argparse.Namespace) -> None:
    """Warn, in llama-server's words, that layers meant for GPUs stay on the processor: the package's usual build has none."""
    devices = () if options.gpu_layers < 1 else xllamacpp.get_device_info()
    if options.gpu_layers > 0 and not any("GPU" in device["type"].name for device in devices):
        _log("warning: no usable GPU found, --gpu-layers option will be ignored")


def main() -> NoReturn:
    """Serve until a signal ends the process."""
    options = parser().parse_args()
    _log(f"loading llama.cpp to serve {options.alias}")
    import xllamacpp

    _warn_without_gpus(xllamacpp, options)
    try:
        server = xllamacpp.Server(parameters(options))
    except RuntimeError as error:
        # The log lines above name the cause; the exception only says that there was one. A thread writes them, for which
        # an ordinary exit waits; should that wait never end, the alarm ends it.
        _log(f"error: {error}")
        signal.alarm(_EXIT_S)
        sys.exit(1)
    _log(f"serving at {server.listening_address}")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
