"""Other queues of jobs on one machine, each behind the same three things: what is `missing` (a sentence, or None), `with`
sets it up in a directory of its own and takes it down, and `rate(n)` is jobs/s for n times `true`, submitting included.

The machine's own configuration is not touched: sockets, keys and state lie in that directory, ports are free ones of the
loopback interface.  Each is submitted to in the way that costs it least: task-spooler by a loop of dash, GNU parallel by a
pipe, Slurm by one array job."""
import contextlib
import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from harness import WAIT_S, end_process, end_with_parent

AT_A_TIME = 2


def install():
    """Only on request: apt-get may also start munge's service."""
    subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", "task-spooler", "parallel", "slurm-wlm", "munge"],
                   check=True, stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


class Peer:
    programs, package = (), ""

    def __init__(self, directory):
        self.dir = directory
        self.place = None

    def missing(self):
        absent = [program for program in self.programs if not shutil.which(program)]
        return f"{self.name}: left out, Debian's {self.package} is not installed (--install)" if absent else None

    def __enter__(self):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="peer.", dir=self.dir))
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.end()
        shutil.rmtree(self.place, ignore_errors=True)

    def begin(self):
        pass

    def end(self):
        pass


class TaskSpooler(Peer):
    """Keeps its queue in memory and a waiting process for each queued job."""
    name, programs, package = "task-spooler", ("tsp",), "task-spooler"

    def begin(self):
        self.env = {**os.environ, "TS_SOCKET": str(self.place / "socket"), "TMPDIR": str(self.place),
                    "TS_MAXFINISHED": "100000"}
        self.tsp("-S", str(AT_A_TIME))

    def tsp(self, *options):
        subprocess.run(["tsp", *options], env=self.env, check=True, stdout=subprocess.DEVNULL)

    def rate(self, n):
        begin = time.perf_counter()
        subprocess.run(["sh", "-c", f"i=0; while [ $i -lt {n} ]; do tsp -n true; i=$((i + 1)); done"], env=self.env,
                       check=True, stdout=subprocess.DEVNULL)
        self.tsp("-n", "-N", str(AT_A_TIME), "true")  # takes every slot, so it runs after all others
        self.tsp("-w")
        return n / (time.perf_counter() - begin)

    def end(self):
        subprocess.run(["tsp", "-K"], env=self.env, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Parallel(Peer):
    """Keeps nothing: it ends with its last job."""
    name, programs, package = "GNU parallel", ("parallel",), "parallel"

    def rate(self, n):
        begin = time.perf_counter()
        subprocess.run(["parallel", f"-j{AT_A_TIME}", "true"], input="\n".join(map(str, range(n))), text=True, check=True,
                       env={**os.environ, "HOME": str(self.place)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       preexec_fn=end_with_parent)
        return n / (time.perf_counter() - begin)


SLURM_CONF = """ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={place}/munge/socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={place}/finished
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MailProg=/bin/true
SlurmdParameters=config_overrides
MaxArraySize=50001
NodeName={host} NodeAddr=127.0.0.1 CPUs={slots} CoresPerSocket={slots} RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
{more}
"""
SLURM_TUNED = ("SchedulerParameters=batch_sched_delay=0,sched_min_interval=1,sched_interval=1,bf_interval=1,"
               "default_queue_depth=1000,bf_continue")


def free_ports(n):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(contextlib.closing(socket.socket())) for _ in range(n)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


class Slurm(Peer):
    """munged, slurmctld and slurmd on the loopback interface, no accounting, no cgroups."""
    programs, package = ("slurmctld", "slurmd", "munged", "sbatch"), "slurm-wlm"

    def __init__(self, directory, tuned, slots=AT_A_TIME):
        super().__init__(directory)
        self.tuned, self.slots, self.processes = tuned, slots, []
        self.name = f"Slurm, {'tuned' if tuned else 'as it comes'}" + (f", {slots} slots" if slots != AT_A_TIME else "")

    def start(self, *command):
        log = open(self.place / f"{command[0]}.out", "ab")
        self.processes.append(subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                               preexec_fn=end_with_parent))
        log.close()

    def wait(self, condition, what, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                logs = "".join(path.read_text()[-400:] for path in self.place.glob("*.out"))
                raise SystemExit(f"{self.name}: waited {seconds} s for {what}\n{logs}")
            time.sleep(0.02)

    def idle(self):
        told = subprocess.run(["sinfo", "-h", "-o", "%t"], env=self.env, capture_output=True, text=True, check=False)
        return told.stdout.strip() == "idle"

    def begin(self):
        host, munge = socket.gethostname().split(".")[0], self.place / "munge"
        for name in ("munge", "state", "spool"):
            (self.place / name).mkdir(mode=0o700)
        (munge / "key").write_bytes(os.urandom(128))
        (munge / "key").chmod(0o400)
        (self.place / "slurm.conf").write_text(SLURM_CONF.format(
            host=host, ports=free_ports(2), place=self.place, user=getpass.getuser(), slots=self.slots,
            more=SLURM_TUNED if self.tuned else ""))
        self.env = {**os.environ, "SLURM_CONF": str(self.place / "slurm.conf")}
        self.start("munged", "--foreground", "--force", f"--key-file={munge}/key", f"--socket={munge}/socket",
                   f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed")
        self.wait((munge / "socket").exists, "munged")
        self.start("slurmctld", "-D", "-i", "-f", self.env["SLURM_CONF"])
        self.start("slurmd", "-D", "-f", self.env["SLURM_CONF"], "-N", host)
        self.wait(self.idle, "an idle node")

    def finished(self):
        path = self.place / "finished"
        return path.read_text().count("JobState=COMPLETED") if path.exists() else 0

    def rate(self, n):
        before = self.finished()
        begin = time.perf_counter()
        subprocess.run(["sbatch", f"--array=0-{n - 1}", "--output=/dev/null", "--wrap=true"], env=self.env, check=True,
                       cwd="/", stdout=subprocess.DEVNULL)
        self.wait(lambda: self.finished() - before >= n, f"{n} jobs", WAIT_S)
        return n / (time.perf_counter() - begin)

    def end(self):
        if self.processes:
            subprocess.run(["timeout", "5", "scancel", "-u", getpass.getuser()], env=self.env, check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for process in reversed(self.processes):
            end_process(process, wait_s=10)
        self.processes = []


def all_peers(directory):
    """Each with how many jobs it is given at most; Slurm is timed by its own clocks, so few say as much as many."""
    return [(TaskSpooler(directory), 3000), (Parallel(directory), 1000), (Slurm(directory, tuned=True), 60),
            (Slurm(directory, tuned=True, slots=8), 120), (Slurm(directory, tuned=False), 40)]
