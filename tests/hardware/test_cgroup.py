"""Limits of containers and batch jobs, on made-up hierarchies of both versions."""

import pytest

from seatrial.hardware.cgroup import cpu_quota, groups, memory_left, memory_limit
from seatrial.units import GIB, MIB

V2_MOUNT = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"
V1_MOUNTS = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
)
NO_V1_LIMIT = "9223372036854771712\n"


def v2(path, **files):
    """Write out one v2 group: ``memory_max="max"`` is ``memory.max``."""
    return {f"sys/fs/cgroup{path}/{name.replace('_', '.')}": f"{text}\n" for name, text in files.items()}


def test_v2_limit_anywhere_above_counts(tree):
    """The group has no limit, its parent has 8 GiB, the root of the tree 64."""
    root = tree(
        {"proc/self/cgroup": "0::/job/task\n", "proc/self/mountinfo": V2_MOUNT}
        | v2("/job/task", memory_max="max", memory_current=str(GIB))
        | v2("/job", memory_max=str(8 * GIB), memory_current=str(3 * GIB))
        | v2("", memory_max=str(64 * GIB), memory_current=str(10 * GIB))
    )
    assert (8 * GIB, 5 * GIB) == (memory_limit(root), memory_left(root))


SERVED = {"anon": 4, "file": 95.5, "inactive_file": 10, "active_file": 85.5, "slab_reclaimable": 0.5}


@pytest.mark.parametrize(
    ("stat", "left"),
    [
        (SERVED | {"inactive_file": 95, "active_file": 0.5}, 123.5),  # the weights were read once
        (SERVED, 123.5),  # mapped and read more than once
        (SERVED | {"inactive_file": 48, "active_file": 47.5}, 123.5),
        (SERVED | {"shmem": 80, "inactive_anon": 80, "active_file": 5.5}, 43.5),  # /dev/shm is never given back
        (SERVED | {"unevictable": 60, "active_file": 25.5}, 63.5),  # a model locked in memory (mlock)
        (SERVED | {"file_dirty": 20, "file_writeback": 2}, 101.5),  # a download that is still written
        (SERVED | {"file_dirty": 200}, 28),
        ({"anon": 100, "inactive_file": 0}, 28),
        ({"inactive_file": 300}, 128),  # the files are read one after the other
        ({}, 28),
    ],
)
def test_v2_page_cache_counts_as_free(tree, stat, left):
    """Files in memory are given back, however often they were read; written, shared and locked memory is not."""
    text = "".join(f"{name} {round(size * GIB)}\n" for name, size in stat.items())
    root = tree(
        {"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": V2_MOUNT}
        | v2("", memory_max=str(128 * GIB), memory_current=str(100 * GIB), memory_stat=text)
    )
    assert left * GIB == memory_left(root)


@pytest.mark.parametrize(
    ("stat", "left"),
    [
        ({"total_rss": 4, "total_cache": 96, "total_inactive_file": 10, "total_active_file": 86}, 124),
        ({"total_inactive_file": 10, "total_active_file": 86, "total_dirty": 6, "total_writeback": 1}, 117),
        # What the group holds without those below it, and what is locked or shared.
        ({"inactive_file": 90, "total_inactive_file": 10, "total_unevictable": 60, "total_shmem": 20}, 38),
    ],
)
def test_v1_page_cache_counts_as_free(tree, stat, left):
    """The older hierarchy gives back the same, and counts the groups below in."""
    group = "sys/fs/cgroup/memory/docker/abc"
    root = tree(
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n",
            "proc/self/mountinfo": V1_MOUNTS,
            f"{group}/memory.limit_in_bytes": f"{128 * GIB}\n",
            f"{group}/memory.usage_in_bytes": f"{100 * GIB}\n",
            f"{group}/memory.stat": "".join(f"{name} {size * GIB}\n" for name, size in stat.items()),
        }
    )
    assert left * GIB == memory_left(root)


@pytest.mark.parametrize("stat", ["inactive_file -5\n", "inactive_file many\nactive_file\n", "\0\n", "file_dirty 9\n"])
def test_odd_statistics_free_nothing(tree, stat):
    """What is no number of bytes does not count."""
    root = tree(
        {"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": V2_MOUNT}
        | v2("", memory_max=str(8 * GIB), memory_current=str(7 * GIB), memory_stat=stat)
    )
    assert GIB == memory_left(root)


def test_v2_throttling_limit_counts_too(tree):
    """Above memory.high a process crawls."""
    root = tree(
        {"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": V2_MOUNT}
        | v2("", memory_max=str(8 * GIB), memory_high=str(6 * GIB), memory_current="0")
    )
    assert 6 * GIB == memory_limit(root)


def test_v1_limit(tree):
    """The group has none (a huge number), the one above it 2 GiB."""
    root = tree(
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n",
            "proc/self/mountinfo": V1_MOUNTS,
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": NO_V1_LIMIT,
            "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": "0\n",
            "sys/fs/cgroup/memory/docker/memory.limit_in_bytes": f"{2 * GIB}\n",
            "sys/fs/cgroup/memory/docker/memory.usage_in_bytes": f"{GIB}\n",
            "sys/fs/cgroup/memory/docker/memory.stat": f"total_inactive_file {512 * MIB}\n",
        }
    )
    assert (2 * GIB, 2 * GIB - 512 * MIB) == (memory_limit(root), memory_left(root))


def test_v1_in_a_container_that_sees_its_own_group_as_the_root(tree):
    """The path of the process is the host's; the mount shows only the part below it."""
    mount = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    root = tree(
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n",
            "proc/self/mountinfo": mount,
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{4 * GIB}\n",
        }
    )
    assert 4 * GIB == memory_limit(root)


def test_a_group_outside_of_what_is_mounted(tree):
    """The mount point is the nearest that can be read."""
    for path in ("/../../other", "/elsewhere"):
        mount = "31 23 0:28 /here /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        root = tree({"proc/self/cgroup": f"0::{path}\n", "proc/self/mountinfo": mount} | v2("", memory_max=str(GIB)))
        assert GIB == memory_limit(root)


def test_both_versions_at_once(tree):
    """The smaller limit counts."""
    root = tree(
        {
            "proc/self/cgroup": "4:memory:/\n0::/\n",
            "proc/self/mountinfo": V1_MOUNTS + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{4 * GIB}\n",
            "sys/fs/cgroup/unified/memory.max": f"{3 * GIB}\n",
        }
    )
    assert 3 * GIB == memory_limit(root)
    assert {1, 2} == {group.version for group in groups("memory", root)}


def test_no_limit_is_none(tree):
    """Neither "max" nor the huge number of v1 is a limit, and neither is a file that is missing or odd."""
    root = tree(
        {"proc/self/cgroup": "0::/a\n4:memory:/\nnonsense\n", "proc/self/mountinfo": "short\n" + V2_MOUNT}
        | v2("/a", memory_max="max")
        | v2("", memory_max="-1")
    )
    assert (None, None, None) == (memory_limit(root), memory_left(root), cpu_quota(root))


def test_no_cgroups_at_all(tmp_path):
    """As on macOS."""
    assert (None, None) == (memory_limit(tmp_path), cpu_quota(tmp_path))


def test_cpu_quota_of_both_versions(tree):
    """Two and a half CPUs by v2, one and a half by v1, the smaller counts; "max" and -1 are none."""
    both = {
        "proc/self/cgroup": "1:cpu,cpuacct:/a\n0::/a\n",
        "proc/self/mountinfo": V1_MOUNTS + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        "sys/fs/cgroup/unified/a/cpu.max": "250000 100000\n",
        "sys/fs/cgroup/unified/cpu.max": "max 100000\n",
        "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "150000\n",
        "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    assert 1.5 == cpu_quota(tree(both))
