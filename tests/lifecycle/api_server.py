"""The API server as hubs and their hooks see it: Leases (the emulator of the end-to-end tests) and the StatefulSet they belong to, for the
service accounts of the rendered manifests, with the rights that the rendered Roles give them and no others."""
import base64
import json
import subprocess
import urllib.parse

from lab.kubernetes_lease_emulator import KubernetesLeaseEmulator


class ApiServer(KubernetesLeaseEmulator):
    """At 10.96.0.1:443, as most clusters have it."""

    def __init__(self, cluster):
        super().__init__(cluster.folder, namespace=cluster.namespace)
        self.cluster = cluster
        self.host, self.port = "10.96.0.1", 443
        self.refused = []
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=kube-apiserver",
                        "-addext", f"subjectAltName=IP:{self.host},DNS:kubernetes.default.svc", "-keyout", self.key, "-out", self.ca], check=True, capture_output=True)

    def token(self, account):
        """As opaque to a pod as a real one."""
        return base64.urlsafe_b64encode(f"system:serviceaccount:{self.namespace}:{account}".encode()).decode()

    def _account(self, headers):
        kind, _, token = headers.get("Authorization", "").partition(" ")
        try:
            user = base64.urlsafe_b64decode(token).decode() if kind == "Bearer" else ""
        except ValueError:
            return None
        prefix = f"system:serviceaccount:{self.namespace}:"
        return user[len(prefix):] if user.startswith(prefix) else None

    def is_allowed(self, account, verb, group, resource, name):
        for binding in self.cluster.objects_of("RoleBinding"):
            if not any(one["kind"] == "ServiceAccount" and one["name"] == account for one in binding["subjects"]):
                continue
            for rule in (self.cluster.object("Role", binding["roleRef"]["name"]) or {}).get("rules") or ():
                if (verb in rule["verbs"] and group in rule["apiGroups"] and resource in rule["resources"]
                        and (not rule.get("resourceNames") or name in rule["resourceNames"])):
                    return True
        return False

    def carry_out(self, method, target, headers, body):
        account = self._account(headers)
        if account is None:
            return 401, {}, {"kind": "Status", "code": 401, "reason": "Unauthorized"}
        words = urllib.parse.urlsplit(target).path.strip("/").split("/")
        if len(words) < 6 or words[0] != "apis" or words[3] != "namespaces" or words[4] != self.namespace:
            return 404, {}, {"kind": "Status", "code": 404, "reason": "NotFound"}
        group, resource, name = words[1], words[5], words[6] if len(words) > 6 else ""
        verb = {"GET": "get" if name else "list", "POST": "create", "PUT": "update"}[method]
        if not self.is_allowed(account, verb, group, resource, name):
            self.refused.append((account, verb, resource, name))
            return 403, {}, {"kind": "Status", "code": 403, "reason": "Forbidden", "message": f"{account} cannot {verb} {resource} {name}"}
        if resource == "leases":
            own = {"Authorization": "Bearer " + self.token_file.read_text().strip()}
            return super().carry_out(method, target, own, body)
        if resource == "statefulsets" and verb == "get":
            controller = self.cluster.controller
            if controller.manifest is None or controller.manifest["metadata"]["name"] != name:
                return 404, {}, {"kind": "Status", "code": 404, "reason": "NotFound"}
            found = json.loads(json.dumps(controller.manifest))
            found["spec"]["replicas"] = controller.replicas
            found["status"] = {"replicas": len(controller.pods)}
            return 200, {}, found
        return 404, {}, {"kind": "Status", "code": 404, "reason": "NotFound"}
