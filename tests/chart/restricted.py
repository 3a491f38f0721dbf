"""Pod Security Standards, level "restricted", as rules over a pod's spec: what the admission plug-in of Kubernetes looks at.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ names the fields and the values that are allowed; those of
level "baseline" are part of "restricted". Windows pods are not looked at.
"""

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SYSCTLS = {"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
           "net.ipv4.ping_group_range"}


def breaks(spec):
    """What of a pod's spec is not allowed; empty when it passes."""
    found = []
    pod = spec.get("securityContext") or {}
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            found.append(f"{name} is on")
    for volume in spec.get("volumes") or []:
        found += [f"volume {volume['name']}: {kind}" for kind in set(volume) - {"name"} - VOLUMES]
    found += [f"sysctl {entry['name']}" for entry in pod.get("sysctls") or [] if entry["name"] not in SYSCTLS]
    if pod.get("runAsUser") == 0:
        found.append("runAsUser is 0")
    containers = [*(spec.get("containers") or []), *(spec.get("initContainers") or []), *(spec.get("ephemeralContainers") or [])]
    if not containers:
        found.append("no containers")
    for container in containers:
        found += [f"container {container['name']}: {what}" for what in container_breaks(container, pod)]
    return found


def container_breaks(container, pod):
    own = container.get("securityContext") or {}

    def either(name):
        """A container's own value goes before the pod's."""
        return own[name] if own.get(name) is not None else pod.get(name)

    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if either("runAsNonRoot") is not True:
        yield "runAsNonRoot is not true"
    if own.get("runAsUser") == 0:
        yield "runAsUser is 0"
    if (either("seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "seccompProfile is neither RuntimeDefault nor Localhost"
    capabilities = own.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        yield "capabilities: ALL is not dropped"
    if set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield f"capabilities: {capabilities['add']} added"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    for options in (own.get("seLinuxOptions") or {}, pod.get("seLinuxOptions") or {}):
        if options.get("user") or options.get("role") or options.get("type", "") not in ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"):
            yield "seLinuxOptions"
    for port in container.get("ports") or []:
        if port.get("hostPort"):
            yield f"hostPort {port['hostPort']}"
    for hook in (container.get("lifecycle") or {}).values():
        for action in ("httpGet", "tcpSocket"):
            if (hook.get(action) or {}).get("host"):
                yield "a hook names a host"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        for action in ("httpGet", "tcpSocket"):
            if ((container.get(probe) or {}).get(action) or {}).get("host"):
                yield f"{probe} names a host"
