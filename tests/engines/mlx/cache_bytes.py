"""Runs inside MLX's environment: prints the bytes of a model's caches after a prompt, by the names of the kit's footprint.

python cache_bytes.py FOLDER TOKENS
"""

import json
import sys
from collections import Counter

import mlx.core as mx
from mlx_vlm.utils import load


def main(folder, tokens):
    """Return the bytes of each cache once it has read the prompt in one step."""
    model, _ = load(folder)
    caches = model.make_cache()
    mx.eval(model.language_model(mx.array([[token % 256 for token in range(tokens)]]), cache=caches).logits)
    found = Counter()
    for cache in caches:
        window, *pools = getattr(cache, "caches", [cache])
        found["SWA"] += window.nbytes
        # The first pool is the attention's, a second one the indexer's.
        for name, pool in zip(("CSA" if len(pools) > 1 else "HCA", "indexer"), pools, strict=False):
            found[name] += pool.pooled.nbytes
            found["state"] += pool.nbytes - pool.pooled.nbytes
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
