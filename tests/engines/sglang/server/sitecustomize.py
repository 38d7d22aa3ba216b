"""Puts the stand-ins in place in SGLang's server and in the processes it starts; found through PYTHONPATH."""

import os
import sys
from pathlib import Path

STARTED = " ".join(sys.orig_argv)

if "sglang.launch_server" in STARTED or "multiprocessing.spawn" in STARTED:
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    # No compiler and no network: neither has a part in serving a model that lies here.
    os.environ |= {"TORCHDYNAMO_DISABLE": "1", "HF_HUB_OFFLINE": "1"}

    import stand_ins

    stand_ins.install()
