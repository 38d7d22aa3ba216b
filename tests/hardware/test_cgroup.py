"""Limits of containers and batch jobs, on made-up hierarchies of both versions."""

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


def test_v2_page_cache_counts_as_free(tree):
    """A model file that was read once does not use up the limit."""
    root = tree(
        {"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": V2_MOUNT}
        | v2("", memory_max=str(8 * GIB), memory_current=str(7 * GIB), memory_stat=f"anon 1\ninactive_file {6 * GIB}")
    )
    assert 7 * GIB == memory_left(root)


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
