"""What an engine's parser would reject, field by field of its JSON."""

import pytest

from seatrial.engines.snapshot import rejected
from seatrial.flags import Flags


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("--attention-config", '{"indexer_kv_dtype":"mxfp4"}', None),
        ("--attention-config.indexer_kv_dtype", "mxfp4", None),
        ("--attention-config", '{"use_fp4_indexer_cache":true}', "knows no use_fp4_indexer_cache in vllm 0.33.0."),
        ("--attention-config.use_fp4_indexer_cache", "True", "knows no use_fp4_indexer_cache in vllm 0.33.0."),
        (
            "--speculative-config",
            '{"method":"dspark","num_speculative_tokens":5,"enable_adaptive_verification":true}',
            None,
        ),
        ("--speculative-config", '{"method":"dspark","tokens":5}', "knows no tokens in vllm 0.33.0."),
        ("--compilation-config", '{"mode":0,"cudagraph_mode":"FULL_DECODE_ONLY","custom_ops":["all"]}', None),
        ("--attention-backend", "B12X", None),
        ("--attention-backend", "B12X_MLA_SPARSE", "takes one of AMX_MLA, B12X, "),
        ("--default-chat-template-kwargs.thinking", "true", None),
        ("--attention-config", "no json", None),
        ("--attention-config", "[1]", None),
    ],
)
def test_the_fields_of_json_are_held_against_vllm_s_own(name, value, problem):
    """VLLM refuses fields that its configuration does not have."""
    found = rejected("vllm", Flags.of({name: value}))
    assert (problem is None) == (found == ())
    assert problem is None or problem in found[0]
