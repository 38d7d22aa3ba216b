"""Which files of a repository are one checkpoint: models and the drafters beside them."""

import pytest

from seatrial.catalog.remote_file import RemoteFile
from seatrial.catalog.selection import choose_files
from seatrial.errors import UsageError

NAMES = (
    "dspark-V4-Flash-Q8_0.gguf",
    "dspark-V4-Flash-BF16.gguf",
    "BF16/V4-Flash-BF16.gguf",
    "UD-Q2_K_XL/V4-Flash-UD-Q2_K_XL-00001-of-00002.gguf",
    "UD-Q2_K_XL/V4-Flash-UD-Q2_K_XL-00002-of-00002.gguf",
)


def chosen(quantization, names=NAMES):
    """Return the names chosen from a repository."""
    files = [RemoteFile(name, 1, None, url=name) for name in names]
    return [file.name for file in choose_files(files, "owner/name", quantization)]


@pytest.mark.parametrize(
    ("quantization", "expected"),
    [
        ("dspark-Q8_0", NAMES[:1]),
        ("DSpark-BF16", NAMES[1:2]),
        ("BF16", NAMES[2:3]),
        ("UD-Q2_K_XL", NAMES[3:]),
    ],
)
def test_a_drafter_is_another_quantization_than_the_model_s(quantization, expected):
    """Both end in BF16, and each is found by its own name."""
    assert list(expected) == chosen(quantization)


def test_a_drafter_is_not_taken_for_a_model():
    """Nobody gets one without asking, unless there is nothing else."""
    assert ["V4-Flash-BF16.gguf"] == chosen(None, ("dspark-V4-Flash-Q8_0.gguf", "V4-Flash-BF16.gguf"))
    assert ["dspark-V4-Flash-Q8_0.gguf"] == chosen(None, ("dspark-V4-Flash-Q8_0.gguf",))
    with pytest.raises(UsageError, match="has no quantization 'Q8_0'") as caught:
        chosen("Q8_0")
    assert "dspark-Q8_0" in caught.value.remedy
