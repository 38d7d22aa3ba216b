"""A server that was to use GPUs and computes on the processor is found out by its log."""

import pytest

from seatrial.server.failures.gpus import asks_for_gpus, without_gpus

ON_GPUS = {
    "cuda": [
        "load_tensors: offloaded 31/31 layers to GPU",
        "load_tensors:        CUDA0 model buffer size =    92.10 MiB",
    ],
    "experts in host memory": [
        "0.00.165.730 I load_tensors:   CPU_Mapped model buffer size = 78643.00 MiB",
        "0.00.165.731 I load_tensors:        CUDA0 model buffer size =  9210.10 MiB",
    ],
    "rocm": ["load_tensors:        ROCm0 model buffer size =    92.10 MiB"],
    "vulkan": [
        "ggml_cuda_init: failed to initialize CUDA: (null)",
        "load_tensors:      Vulkan0 model buffer size =  92.10 MiB",
    ],
    "metal": [
        "load_tensors:   CPU_Mapped model buffer size =    92.10 MiB",
        "load_tensors: MTL0_Mapped model buffer size = 92.10 MiB",
    ],
    "sycl": ["load_tensors:        SYCL0 model buffer size =    92.10 MiB"],
    "a warning of builds that use the GPU": [
        "ggml_cuda_init: found 1 CUDA devices (Total VRAM: 8150 MiB):",
        "warning: no usable GPU found, --gpu-layers option will be ignored",
    ],
    "a listed device": [
        "0.00.001.000 I device_info:",
        "0.00.001.001 I   - CUDA0   : NVIDIA L4 (22563 MiB, 22000 MiB free)",
        "0.00.001.002 I   - CPU     : AMD EPYC (64000 MiB, 60000 MiB free)",
    ],
    "silence": ["0.00.003.110 I srv          init: loading model", "0.00.339.781 I srv          init: model loaded"],
}
ON_PROCESSOR = {
    "no driver": (["warning: no usable GPU found, --gpu-layers option will be ignored"], "no usable GPU found"),
    "rocm": (["ggml_cuda_init: failed to initialize ROCm: no ROCm-capable device is detected"], "ROCm-capable"),
    "hip": (["ggml_hip_init: failed to initialize HIP: unknown error"], "failed to initialize HIP"),
    "vulkan": (["ggml_vulkan: No devices found."], "ggml_vulkan"),
    "metal": (["ggml_metal_init: error: failed to create command queue"], "ggml_metal_init"),
    "sycl": (
        ["ggml_sycl_init: found 0 SYCL devices", "load_tensors: CPU model buffer size = 92.10 MiB"],
        "CPU model buffer",
    ),
    "no layer": (
        ["ggml_cuda_init: found 1 CUDA devices:", "load_tensors: offloaded 0/31 layers to GPU"],
        "offloaded 0/31",
    ),
    "pinned host memory": (
        [
            "load_tensors:    CUDA_Host model buffer size =    92.10 MiB",
            "load_tensors: CPU model buffer size = 1.00 MiB",
        ],
        "CPU model",
    ),
    "python": (["load_tensors: layer   0 assigned to device CPU, is_swa = 0"], "assigned to device CPU"),
    "an old build": (
        ["warning: not compiled with GPU offload support, --gpu-layers option will be ignored"],
        "not compiled",
    ),
    "python's option": (["llama_model_load: n_gpu_layers is ignored: built without GPU support"], "ignored"),
    "devices": (["0.00.001.000 I device_info:", "0.00.001.001 I   - CPU     : (64000 MiB, 60000 MiB free)"], "- CPU"),
}


@pytest.mark.parametrize("lines", ON_GPUS.values(), ids=ON_GPUS)
def test_a_gpu_at_work_is_no_trouble(lines):
    """Whatever else is said; and a log that says nothing of GPUs proves nothing."""
    assert without_gpus(lines, "llamacpp") is None


@pytest.mark.parametrize(("lines", "shown"), ON_PROCESSOR.values(), ids=ON_PROCESSOR)
def test_the_processor_is_named_with_the_line(lines, shown):
    """Each way in which llama.cpp's builds say so."""
    found = without_gpus(lines, "llamacpp")
    assert "on the processor" in found.what
    assert any(shown in line for line in found.evidence), found


@pytest.mark.parametrize(
    ("why", "cause"),
    [
        ("system not yet initialized", "gpu fabric not up"),
        ("system has unsupported display driver / cuda driver combination", "driver mismatch"),
        ("CUDA driver version is insufficient for CUDA runtime version", "driver too old"),
        ("unknown error", "gpu devices lost"),
        ("initialization error", "cuda does not start"),
        ("no CUDA-capable device is detected", "serves on the processor"),
    ],
)
def test_the_cause_is_that_of_the_gpu(why, cause):
    """What keeps CUDA from starting, not that it did not."""
    assert cause == without_gpus([f"ggml_cuda_init: failed to initialize CUDA: {why}"], "llamacpp").cause


@pytest.mark.parametrize(
    ("engine", "line"),
    [
        ("vllm", "INFO 11-02 08:14:03 [__init__.py:239] Automatically detected platform cpu."),
        (
            "vllm",
            "(EngineCore pid=7) INFO 11-02 [core.py:96] Initializing a V1 LLM engine with config: device_config=cpu, seed=0",
        ),
        ("sglang", "[2026-11-20 09:14:02] server_args=ServerArgs(model_path='/m', device='cpu', tp_size=1)"),
        ("sglang", "[2026-11-20 09:14:02] Attention backend not given, intel_amx is the attention backend"),
    ],
)
def test_other_engines_name_their_device(engine, line):
    """The platform of vLLM, the device of SGLang."""
    assert line == without_gpus([line], engine).evidence[0]
    assert without_gpus([line.replace("cpu", "cuda").replace("intel_amx", "fa3")], engine) is None


@pytest.mark.parametrize(
    ("engine", "words", "expected"),
    [
        ("llamacpp", "llama-server --gpu-layers 999", True),
        ("llamacpp", "llama-server --gpu-layers=12", True),
        ("llamacpp", "llama-server -ngl all", True),
        ("llamacpp", "python -m llama_cpp.server --n_gpu_layers 3", True),
        ("llamacpp", "llama-server --gpu-layers 0", False),
        ("llamacpp", "llama-server --gpu-layers -1", False),
        ("llamacpp", "llama-server --gpu-layers", False),
        ("llamacpp", "llama-server", False),
        ("vllm", "vllm serve m", True),
        ("vllm", "vllm serve m --device cpu", False),
        ("sglang", "python -m sglang.launch_server --device=cpu", False),
        ("mlx", "python -m mlx_vlm.server", False),
        ("simulated", "python -m seatrial.simulator", False),
        ("no engine of ours", "x --gpu-layers 9", False),
    ],
)
def test_only_a_command_that_gives_gpus_is_checked(engine, words, expected):
    """A plan for the processor never warns."""
    assert expected == asks_for_gpus(engine, words.split())


def test_engines_without_such_signs_say_nothing():
    """And engines that are none of ours."""
    assert [None, None] == [without_gpus(["no usable GPU found"], name) for name in ("mlx", "no engine of ours")]
