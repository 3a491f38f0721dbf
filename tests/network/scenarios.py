"""What happens to a cluster under load. Each function is one scenario: it begins a Trial, does its harm, heals it; the caller waits for
the empty cluster and counts. Names are those of the command line."""
import json
import os
import shutil
import signal
import subprocess
import time

from lab import places
from lab.process import wait_until
from trial import HEARTBEAT, LEASE, need

ALL = {}


def scenario(*modes, short=False):
    def add(function):
        ALL[function.__name__] = (function, modes, short)
        return function
    return add


# -- processes ---------------------------------------------------------------------------------------------------------

@scenario("majority", "pairwise", "etcd", short=True)
def kill_nine(trial):
    """A hub is killed (kill -9), stays away until it was taken over from, and comes back with its spool."""
    trial.begin()
    victim = trial.hubs[0]
    trial.fault()
    victim.kill()
    trial.wait_for_takeover(trial.hubs[1:])
    time.sleep(1)
    victim.start()


@scenario("majority", "etcd")
def hung(trial):
    """A hub stands still (SIGSTOP) for longer than the lease and goes on (SIGCONT)."""
    trial.begin()
    victim = trial.hubs[0]
    trial.fault()
    victim.process.signal(signal.SIGSTOP)
    trial.wait_for_takeover(trial.hubs[1:])
    time.sleep(2)
    victim.process.signal(signal.SIGCONT)


@scenario("majority")
def rolling_restart(trial):
    """Every hub in turn is stopped in order (SIGTERM) and started again."""
    trial.begin(before=0.1)
    for hub in trial.hubs:
        code = hub.stop(60)
        need(code == 0, f"{hub.name} ended with {code}: {hub.process.said()[-500:]}")
        hub.start()
        trial.cluster.wait_joined(60)


@scenario("majority")
def rolling_kill(trial):
    """Every hub in turn is killed and started again at once, within the lease."""
    trial.begin(before=0.1)
    for hub in trial.hubs:
        trial.fault()
        hub.kill()
        hub.start(wait=False)
        hub.wait_ready(60)
        trial.cluster.wait_joined(60)


# -- partitions --------------------------------------------------------------------------------------------------------

def _cut_for(trial, cut, seconds):
    trial.begin()
    trial.fault(trial.cut())
    cut(trial.hubs[0].name, trial.others(trial.hubs[0]))
    time.sleep(seconds)
    trial.network.heal()


@scenario("majority", "pairwise", "etcd")
def partition_whole(trial):
    """One hub and the others (and the arbiter) cannot reach one another for four leases; clients and next hops reach all of them."""
    _cut_for(trial, lambda one, others: trial.network.part(one, *others), 4 * LEASE)


@scenario("majority", "pairwise", "etcd", short=True)
def partition_one_way_deaf(trial):
    """One hub hears nothing of the others (and of the arbiter) for four leases; they hear it."""
    _cut_for(trial, lambda one, others: trial.network.deafen(one, *others), 4 * LEASE)


@scenario("majority", "pairwise", "etcd")
def partition_one_way_unheard(trial):
    """The others (and the arbiter) hear nothing of one hub for four leases; it hears them."""
    _cut_for(trial, lambda one, others: [trial.network.deafen(other, one) for other in others], 4 * LEASE)


@scenario("majority", "pairwise", "etcd")
def partition_flapping(trial):
    """Six times cut off for a little more or less than a lease and back for as long: whole, deaf and unheard in turn."""
    trial.begin(seconds=40, before=0.15)
    one = trial.hubs[0].name
    others = trial.others(trial.hubs[0])
    for turn in range(6):
        trial.fault(trial.cut())
        if turn % 3 == 0:
            trial.network.part(one, *others)
        elif turn % 3 == 1:
            trial.network.deafen(one, *others)
        else:
            for other in others:
                trial.network.deafen(other, one)
        time.sleep(LEASE * (0.7, 1.3)[turn % 2])
        trial.network.heal()
        time.sleep(LEASE * (1.3, 0.7)[turn % 2])


@scenario("majority")
def partition_of_two(trial):
    """Two hubs cannot reach one another for four leases; the third one reaches both."""
    trial.begin()
    trial.fault(trial.cut())
    trial.network.part("hub-1", "hub-2")
    time.sleep(4 * LEASE)
    trial.network.heal()


# -- disks -------------------------------------------------------------------------------------------------------------

@scenario("majority", "pairwise", "etcd")
def lost_disk(trial):
    """A hub is killed, its disk is gone, and it starts with an empty one after the others have taken over."""
    trial.begin()
    victim = trial.hubs[1]
    trial.fault()
    victim.kill()
    victim.throw_disk_away()
    trial.wait_for_takeover([hub for hub in trial.hubs if hub is not victim])
    victim.start(wait=False)


@scenario("majority")
def full_disk(trial):
    """A hub's disk is filled to the last octet for 8 s, by something else, and has room again."""
    disk = trial.small_disk("hub-2", 96)
    trial.begin(spools=lambda name: disk / "spool" if name == "hub-2" else trial.folder / name / "spool")
    filler = disk / "filler"
    free = os.statvfs(disk)
    subprocess.run(["fallocate", "-l", str(free.f_bavail * free.f_frsize), str(filler)], check=False)
    trial.fault()
    wait_until(lambda: not trial.hubs[1].ready(), 30, "a hub that is not ready")
    time.sleep(8)
    need(trial.hubs[1].process.alive(), f"a full disk ended the hub: {trial.hubs[1].process.said()[-500:]}")
    filler.unlink()
    trial.hubs[1].wait_ready(60)


@scenario("majority")
def restored_backup(trial):
    """A spool is put back as it was earlier (a copy, taken while its hub was stopped): the hub is refused and stops; its spool is set
    aside by the operator's command, and it joins with an empty one."""
    trial.begin(seconds=30, before=0.1)
    victim = trial.hubs[2]
    need(victim.stop(60) == 0, "a stop in order")
    backup = trial.folder / "backup"
    shutil.copytree(victim.spool, backup)
    victim.start()
    trial.wait_for_load(0.45)
    trial.fault()
    victim.kill()
    victim.throw_disk_away()
    shutil.copytree(backup, victim.spool)
    victim.start(wait=False)
    wait_until(lambda: not victim.process.alive(), 60, "the end of the hub with the restored spool")
    code, said = victim.process.popen.returncode, victim.process.said() + victim.log.read_text()
    need(code == 1 and "was rolled back" in said, f"ended with {code}: {said[-500:]}")
    heard = [hub.name for hub in trial.hubs if hub is not victim and "rolled back" in hub.log.read_text()]
    need(heard, "no hub says that it refused the spool")
    done = subprocess.run([str(places.UMBRA), "spool", "set-aside", str(victim.spool)], capture_output=True, text=True, check=False)
    need(done.returncode == 0, f"set-aside: {done.stderr}")
    trial.notes.append("refused with 555, exit code 1; set aside")
    victim.start(wait=False)


@scenario("majority")
def reused_disk(trial):
    """A hub's disk is lost, and by mistake it is started with the disk of another hub (which is down): it refuses that spool and says
    whose it is. The disk goes back to its hub, and the other one starts with an empty one."""
    trial.begin(odds=0.75, seconds=16, before=0.6)
    owner, other = trial.hubs[0], trial.hubs[1]
    trial.fault()
    other.kill()
    other.throw_disk_away()
    need(owner.stop(60) == 0, "a stop in order")
    own, foreign = owner.spool, other.spool
    other.spool = own
    other.start(wait=False)
    wait_until(lambda: not other.process.alive(), 30, "the end of the hub with another hub's disk")
    code, said = other.process.popen.returncode, other.process.said()
    need(code == 1 and f"the spool of hub {owner.name}" in said, f"ended with {code}: {said[-500:]}")
    trial.notes.append("refused, exit code 1")
    other.spool = foreign
    owner.start(wait=False)
    other.start(wait=False)


# -- clocks ------------------------------------------------------------------------------------------------------------

def _jump(trial, hours):
    """The wall clock of one hub is set while it runs, and set right 8 s later; then one more hub's for good."""
    trial.begin(clocks=True)
    trial.fault()
    trial.hubs[0].clock.write_text(f"{hours:+d}h\n")
    time.sleep(8)
    trial.hubs[0].clock.write_text("+0\n")
    trial.hubs[1].clock.write_text(f"{hours:+d}h\n")
    time.sleep(4)
    need(all(hub.metric("umbra_takeovers_total") == 0 for hub in trial.hubs), "a wall clock made a take-over")
    need(all(hub.process.alive() for hub in trial.hubs), "a hub ended")


@scenario("majority")
def clock_forward(trial):
    """The wall clock of a hub jumps an hour forward while it runs, and back; that of another one stays an hour ahead."""
    _jump(trial, 1)


@scenario("majority")
def clock_back(trial):
    """The wall clock of a hub jumps an hour back while it runs, and forward again; that of another one stays an hour behind."""
    _jump(trial, -1)


# -- operators ---------------------------------------------------------------------------------------------------------

def _order(hub, *words, seconds=150):
    argv = [str(places.UMBRA), *map(str, words), "--socket", str(hub.socket)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True), seconds


def _finish(order, codes=(0,)):
    command, seconds = order
    said, _ = command.communicate(timeout=seconds)
    need(command.returncode in codes, f"{command.args[1:3]} ended with {command.returncode}: {said[-500:]}")
    return said


def _report(hub):
    return json.loads(hub.umbra("drain", "status", "--output", "json").stdout)


@scenario("pairwise", "etcd")
def scale(trial):
    """3 -> 5 -> 2 -> 3 hubs, found by DNS, under load: two start; then three leave, one after the other, and are stopped and their names
    go; then one of these comes back with the disk it had left."""
    trial.begin(5, started=3, discovery=True, seconds=60, before=0.1)
    for hub in trial.hubs[3:]:
        hub.start(wait=False)
        trial.retired = [other for other in trial.retired if other is not hub]
        trial.publish(trial.living())
        hub.wait_ready(60)
    trial.cluster.wait_joined(60)
    trial.wait_for_load(0.3)
    for hub in (trial.hubs[3], trial.hubs[4], trial.hubs[2]):
        _finish(_order(hub, "leave", "--unready-wait", "1s"))
        counts = hub.counts()
        need(all(counts[what] == 0 for what in ("messages", "ceded", "shadows", "outbox")), f"{hub.name} has left with {counts}")
        need(hub.stop(60) == 0, f"{hub.name} did not stop in order")
        trial.retired = [*trial.retired, hub]
        trial.publish(trial.living())
    trial.notes.append("two hubs at {:.0%} of the load".format(trial.load.acknowledged() / trial.messages))
    back = trial.hubs[2]
    back.start(wait=False)
    trial.retired = trial.hubs[3:]
    trial.publish(trial.living())
    back.wait_ready(60)
    wait_until(lambda: "this spool had left the cluster" in back.log.read_text(), 10, "the disk of a hub that left is known as such")


def _leave_under_load(trial):
    # What nobody takes cannot be delivered before it is handed over.
    trial.begin(odds=0.75, seconds=16, before=0.5)
    leaver = trial.hubs[1]
    order = _order(leaver, "leave", "--unready-wait", "0s", "--rate", 40)
    wait_until(lambda: _report(leaver)["handed_over"] > 20, 60, lambda: f"the middle of it: {_report(leaver)}")
    return leaver, order


def _has_left(trial, leaver):
    wait_until(lambda: _report(leaver)["state"] not in ("unready", "closing", "handing_over"), 150, lambda: f"the end of the leave: {_report(leaver)}", pause=0.3)
    report = _report(leaver)
    need((report["state"], report["exit_code"]) == ("left", 0), f"the leave ended as {report}")
    leaver.kill()
    leaver.throw_disk_away()
    trial.notes.append(f"handed over {report['handed_over']}")
    # Back with an empty disk: under majority a list stays as it is.
    leaver.start(wait=False)


@scenario("majority")
def drain_receiver_killed(trial):
    """A hub leaves; one that is taking its mail over is killed in the middle, and comes back."""
    leaver, order = _leave_under_load(trial)
    trial.fault()
    trial.hubs[2].kill()
    time.sleep(LEASE / 2)
    trial.hubs[2].start()
    _has_left(trial, leaver)
    _finish(order)


@scenario("majority", short=True)
def drain_drainer_killed(trial):
    """A hub that leaves is killed in the middle and started again: it goes on with the leave."""
    leaver, order = _leave_under_load(trial)
    trial.fault()
    leaver.kill()
    _finish(order, codes=(1, 3))
    leaver.start(wait=False)
    wait_until(lambda: leaver.http("/healthz/live")[0] == 200, 60, "it lives")
    _has_left(trial, leaver)
