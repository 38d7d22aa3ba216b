"""A real Slurm of two nodes, all on this machine: munged, slurmctld and two slurmd, on loopback, in one folder."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

CONF = """
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={munge}/socket
CredType=cred/munge
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/run/ctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/ctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
SchedulerType=sched/backfill
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName=n0 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=100 Gres=gpu:h200:8 State=UNKNOWN
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=100 Gres=gpu:h200:8 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=10:00 State=UP
"""
GRES = "NodeName=n[0-1] Name=gpu Type=h200 Count=8 File={folder}/gpu/nvidia[0-7]\n"
SBIN = f"{os.environ['PATH']}:/usr/sbin"
PORTS = range(15000, 30000)
UP_S = 120


@contextlib.contextmanager
def one_box_slurm(folder):
    """Run it in this folder; gives the environment its programs need. All of it is gone at the end."""
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": SBIN}
    munge = Path(tempfile.mkdtemp(prefix="munge-"))  # not below folder: munged is another user, who may not read there
    prepare(folder, munge)
    keys = [f"--socket={munge}/socket", f"--key-file={munge}/key", f"--pid-file={munge}/pid"]
    munged = [
        "runuser",
        "-u",
        "munge",
        "--",
        "munged",
        "-F",
        *keys,
        f"--log-file={munge}/log",
        f"--seed-file={munge}/seed",
    ]
    slurmd = [["slurmd", "-D", "-N", name] for name in ("n0", "n1")]
    started = []
    try:
        for command in (munged, ["slurmctld", "-D"], *slurmd):
            with (folder / "log" / "said").open("ab") as said:
                started.append(subprocess.Popen(command, env=environment, stdout=said, stderr=said))
            if command is munged:
                until((munge / "socket").exists)
        until(lambda: idle(environment) == 2)
        yield environment
    finally:
        for process in reversed(started):
            end(process)
        shutil.rmtree(munge)


def prepare(folder, munge):
    """Write folders, settings, a key, and sixteen GPUs that are plain files."""
    for name in ("state", "run", "log", "gpu"):
        (folder / name).mkdir(parents=True)
    for number in range(8):
        (folder / "gpu" / f"nvidia{number}").touch()
    munge.chmod(0o755)
    (munge / "key").write_bytes(os.urandom(1024))
    (munge / "key").chmod(0o400)
    for path in (munge, munge / "key"):
        shutil.chown(path, "munge", "munge")
    values = {"host": socket.gethostname().split(".")[0], "folder": folder, "munge": munge, "ports": free_ports(3)}
    (folder / "slurm.conf").write_text(CONF.format(**values))
    (folder / "gres.conf").write_text(GRES.format(**values))


def free_ports(count):
    """Return ports that are free and stay free until the daemons listen there: below those the system assigns."""
    found = []
    for port in random.sample(PORTS, len(PORTS)):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
        if len(found) == count:
            break
    return found


def idle(environment):
    """Return the number of idle nodes."""
    told = subprocess.run(
        ["sinfo", "-h", "-N", "-o", "%T"], env=environment, capture_output=True, text=True, check=False
    )
    return told.stdout.split().count("idle")


def until(true):
    """Wait for something to become true."""
    deadline = time.monotonic() + UP_S
    while not true():
        assert time.monotonic() < deadline, "Slurm did not come up"
        time.sleep(0.05)


def end(process):
    """End a daemon that this module started, with everything below it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.terminate()
        for one in psutil.wait_procs(family, 5)[1]:
            one.kill()
    process.wait()
