"""What operators do to a cluster, and what happens to it, under load. Each function is one story: it begins, does, and returns; the caller
waits for the empty cluster and counts. Names are those of the command line.

The acts are apart from the stories, so that `all_in_one` (make demo-kubernetes) can play them one after the other on one cluster."""
import signal
import subprocess
import threading
import time

from story import Failed, need

ALL = {}
# The wait for the endpoints (values.yaml: 2 s), two seconds after the last other hub has closed, and what a busy machine takes.
ALL_GONE_SECONDS = 12


def story(*, short=False):
    def add(function):
        ALL[function.__name__] = (function, short)
        return function
    return add


# -- acts ------------------------------------------------------------------------------------------------------------------

def run_helm_tests(run):
    """The pods of `helm test`, as far as the emulator's image can run them."""
    for manifest in run.cluster.manifests.tests():
        name = manifest["metadata"]["name"]
        code, said = run.cluster.run_test(manifest)
        need(code == 0, f"helm test {name}: {code}: {said[-800:]}")
        run.say(f"helm test {name}: passed")


def roll(run):
    """A new revision of all hubs, one after the other, from the highest ordinal down; each hook drains and says so."""
    before, order = len(run.cluster.endings), sorted(run.cluster.controller.pods, reverse=True)
    begun = time.time()
    run.cluster.apply(run.render("podAnnotations.rolled=again"))
    seconds = run.cluster.wait_settled(180)
    endings = run.endings_since(before)
    run.say(f"rolled {len(order)} hubs in {seconds:.0f} s; longest time without an acknowledgement {run.longest_silence(begun, time.time()):.1f} s")
    need([ending.pod for ending in endings] == order, f"the order was {[ending.pod for ending in endings]}")
    for ending in endings:
        need(ending.hook_code == 0, f"{ending.pod}: the hook ended with {ending.hook_code}: {ending.hook_said}")
        need(not ending.was_killed, f"{ending.pod} was killed")
        need("drained" in ending.message, f"{ending.pod}: its message does not say that it was drained: {ending.message!r}")


def scale(run, replicas):
    """`kubectl scale`. Of hubs that go, the hook leaves: nothing may be left on their disks."""
    before, now = len(run.cluster.endings), len(run.cluster.controller.pods)
    begun = time.time()
    run.cluster.controller.scale(replicas)
    seconds = run.cluster.wait_settled(180)
    endings = run.endings_since(before)
    for pod in run.cluster.controller.pods.values():
        if pod.ordinal >= now:
            run.say(f"{pod.name} ready after {pod.became_ready_after:.1f} s")
    run.say(f"scaled {now} -> {replicas} in {seconds:.0f} s; longest time without an acknowledgement {run.longest_silence(begun, time.time()):.1f} s")
    for ending in endings:
        ordinal = int(ending.pod.rpartition("-")[2])
        left = sum(run.mail_on_disk(ordinal))
        need(ending.hook_code == 0 and not ending.was_killed, str(ending))
        need("left" in ending.message, f"{ending.pod}: its message does not say that it has left: {ending.message!r}")
        need(left == 0, f"{ending.pod} has left, and {left} messages are on its disk")


def lose_node(run):
    """A node vanishes with its hub. The pod stays Terminating; mail must flow on at once. Then the node is back, with its disk."""
    node = run.cluster.pod(1).node
    begun = run.fault(lasts=3.0)
    lost = run.cluster.lose(node)
    names = ", ".join(pod.name for pod in lost)
    # Long enough for the lease, the take-over, and the control plane's own notice.
    run.cluster.wait(lambda: run.first_resubmitted(begun) is not None and all(pod.deleted_at for pod in lost), 60, f"a take-over from {names}")
    run.wait_for_mail(300)
    need(all(not pod.is_gone for pod in lost), "a lost pod was replaced, which no StatefulSet does")
    run.say(f"{node.name} lost with {names}, which stay Terminating: first delivery of mail taken over after {run.first_resubmitted(begun):.1f} s; "
            f"longest time without an acknowledgement {run.longest_silence(begun, time.time()):.1f} s")
    run.cluster.bring_back(node, lost)
    seconds = run.cluster.wait_settled(120)
    run.say(f"{node.name} back, {names} ready on the old disk after {seconds:.1f} s")


# -- stories ---------------------------------------------------------------------------------------------------------------

@story()
def install(run):
    """The chart is installed, its own tests pass, mail flows."""
    run.begin()
    run_helm_tests(run)
    run.wait_for_mail(500)


@story()
def rolling_upgrade(run):
    """All three hubs are replaced by a new revision under load."""
    run.begin()
    roll(run)


@story()
def scale_up_and_down(run):
    """3 -> 5 -> 2 hubs under load: three leave."""
    run.begin()
    scale(run, 5)
    run.wait_for_mail(500)
    scale(run, 2)


@story()
def node_lost(run):
    """A node vanishes with its pod and comes back."""
    run.begin()
    lose_node(run)


@story()
def disk_reused(run):
    """A hub leaves, another time the same ordinal is there again on the same disk, twice."""
    run.begin()
    for _ in range(2):
        scale(run, 2)
        run.wait_for_mail(300)
        scale(run, 3)
        run.wait_for_mail(300)


def is_cut_off(run, pod):
    """The pod is gone, and what its hub and its disk say is that it was in the middle of handing its mail over."""
    run.cluster.wait(lambda: pod.is_gone, 60, f"the end of {pod.name}")
    log, given, (messages, copies) = pod.log.read_text(errors="replace"), run.given_away(pod), run.mail_on_disk(pod.ordinal)
    run.say(f"{pod.name} had handed over {given} messages; {messages} and {copies} copies are on its disk")
    need('"leave begins"' in log and '"drain: left"' not in log, f"{pod.name} was not leaving, or was done with it")
    need("left" not in pod.ending.message, f"{pod.name}: its message says that it has left: {pod.ending.message!r}")
    need(given > 0, f"{pod.name} had not begun to hand over")
    need(messages > 0, f"{pod.name} had handed over everything")


@story(short=True)
def grace_too_short(run):
    """Somebody edited the grace down to three seconds: the hook of a hub that is scaled away is cut off in the middle of the hand-over; later
    its ordinal is back, with what lay on its disk."""
    def shorten(stateful_set):
        stateful_set["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 3
    run.begin(change=shorten, rate=300, size=20000)
    # The next hop is away: what there is to hand over grows.
    run.sink.stop()
    run.wait_for_mail(3000)
    before, pod = len(run.cluster.endings), run.cluster.pod(2)
    run.fault(lasts=60)
    run.cluster.controller.scale(2)
    is_cut_off(run, pod)
    (ending,) = run.endings_since(before)
    need(ending.hook_code == "unfinished", f"the hook was not cut off: {ending}")
    run.sink.start()
    run.wait_for_mail(300)
    run.cluster.controller.scale(3)
    run.cluster.wait_settled(90)


@story(short=True)
def killed_in_hand_over(run):
    """The kernel kills a hub that is scaled away (memory is short) in the middle of its hand-over, and the hook with it; later its ordinal
    is back, with what lay on its disk."""
    run.begin(rate=300, size=20000)
    run.sink.stop()
    run.wait_for_mail(3000)
    before, pod = len(run.cluster.endings), run.cluster.pod(2)
    run.fault(lasts=60)
    run.cluster.controller.scale(2)
    run.cluster.wait(lambda: run.given_away(pod) >= 50, 30, "the begin of the hand-over")
    pod.kill()
    is_cut_off(run, pod)
    (ending,) = run.endings_since(before)
    need(ending.code in (-signal.SIGKILL, 128 + signal.SIGKILL), f"it was not killed: {ending}")
    run.sink.start()
    run.wait_for_mail(300)
    run.cluster.controller.scale(3)
    run.cluster.wait_settled(90)


@story()
def all_gone(run):
    """All hubs go at once with mail in their queues (`helm uninstall`, a namespace deleted): no hook waits for hubs that go, too. Then all are
    there again, on their disks."""
    run.begin()
    run.sink.stop()
    run.wait_for_mail(500)
    before, pods = len(run.cluster.endings), list(run.cluster.controller.pods.values())
    run.fault(lasts=60)
    run.cluster.controller.scale(0)
    run.cluster.wait(lambda: not run.cluster.controller.pods, 90, "no pods")
    for ending in run.endings_since(before):
        need(ending.hook_code == 0 and not ending.was_killed, str(ending))
        need(ending.hook_seconds < ALL_GONE_SECONDS, f"{ending.pod}: its hook waited {ending.hook_seconds:.1f} s, with nobody to hand over to")
    left = [run.mail_on_disk(pod.ordinal) for pod in pods]
    run.say(f"on the disks of {len(pods)} hubs: {', '.join(f'{messages} messages and {copies} copies' for messages, copies in left)}")
    need(all(messages > 0 for messages, _ in left), "a disk is empty")
    run.sink.start()
    run.cluster.controller.scale(len(pods))
    run.cluster.wait_settled(120)
    run.wait_for_mail(300)


@story()
def hook_removed(run):
    """The emulator's own test: without the preStop hook, a hub that is scaled away leaves mail on its disk, and `scale` must say so."""
    def remove(stateful_set):
        del stateful_set["spec"]["template"]["spec"]["containers"][0]["lifecycle"]
    run.begin(change=remove)
    # The next hop is away: there is mail in the queue.
    run.sink.stop()
    run.wait_for_mail(500)
    run.fault(lasts=60)
    try:
        scale(run, 2)
    except Failed as failed:
        run.say(f"found, as it must be: {failed}")
    else:
        raise Failed("a hub without a hook went away, and nobody noticed")
    left = run.mail_on_disk(2)
    run.say(f"{left[0]} messages and {left[1]} copies are on its disk")
    need(left[0] > 0, "nothing is left on the disk of a hub that had no hook")
    run.sink.start()
    # Its mail is with the others too: with the ordinal back, the ledger must be whole.
    run.cluster.controller.scale(3)
    run.cluster.wait_settled(90)


@story(short=True)
def pre_stop_twice(run):
    """The hook runs twice, at the same time and once more behind (a kubelet that restarts does so): each ends well, in time."""
    run.begin()
    pod = run.cluster.pod(2)
    container = pod.spec["containers"][0]
    hook, results = container["lifecycle"]["preStop"]["exec"]["command"], []
    deadline = next(int(one["value"].removesuffix("s")) for one in container["env"] if one["name"] == "UMBRA_PRESTOP_DEADLINE")

    def call():
        begun = time.monotonic()
        try:
            code, said = pod.exec(hook, 120)
        except subprocess.TimeoutExpired:
            code, said = None, "not within 120 s"
        results.append((code, time.monotonic() - begun, " ".join(said.split())[-200:]))

    both = [threading.Thread(target=call) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    call()
    for code, seconds, said in results:
        run.say(f"preStop in {pod.name}: exit {code} after {seconds:.1f} s")
        need(code == 0, f"the hook ended with {code}: {said}")
        need(seconds < deadline, f"the hook took {seconds:.1f} s, and its deadline is {deadline} s")
    need(results[-1][1] < min(seconds for _, seconds, _ in results[:2]), "a hub that has drained did not say so at once")
    before = len(run.cluster.endings)
    pod.delete()  # the kubelet's own call is the fourth
    run.cluster.wait(lambda: len(run.cluster.endings) > before, 120, "the end of the pod")
    (ending,) = run.endings_since(before)
    need(ending.hook_code == 0 and not ending.was_killed, str(ending))
    run.cluster.wait_settled(60)


@story(short=True)
def all_in_one(run):
    """Install, roll, scale 3 -> 5 -> 2 -> 3 on the old disk, lose a node: one cluster, one load, one ledger."""
    run.begin()
    run_helm_tests(run)
    roll(run)
    scale(run, 5)
    run.wait_for_mail(200)
    scale(run, 2)
    run.wait_for_mail(200)
    scale(run, 3)
    lose_node(run)
