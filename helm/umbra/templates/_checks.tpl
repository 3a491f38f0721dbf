{{/* What no schema can say. Each message begins with the field that is wrong. */}}

{{/* An IPv4 network as "first address, length", or nothing. */}}
{{- define "umbra.ipv4" -}}
{{- if regexMatch "^[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+(/[0-9]+)?$" . -}}
{{- $parts := splitList "/" . -}}
{{- $number := 0 -}}
{{- range splitList "." (first $parts) -}}{{- $number = add (mul $number 256) (atoi .) -}}{{- end -}}
{{- dict "number" $number "length" (ternary (atoi (last $parts)) 32 (eq (len $parts) 2)) | toJson -}}
{{- end -}}
{{- end -}}

{{/* An IPv6 network as "128 binary digits, length", or nothing: also for one that is written with an IPv4 address at its end. */}}
{{- define "umbra.ipv6" -}}
{{- $parts := splitList "/" (lower .) -}}
{{- $address := first $parts -}}
{{- if and (contains ":" $address) (not (contains "." $address)) -}}
{{- $sides := splitList "::" $address -}}
{{- $before := without (splitList ":" (first $sides)) "" -}}
{{- $after := list -}}
{{- if eq (len $sides) 2 -}}{{- $after = without (splitList ":" (last $sides)) "" -}}{{- end -}}
{{- range until (max 0 (sub 8 (len $before) | add (mul -1 (len $after))) | int) -}}{{- $before = append $before "0" -}}{{- end -}}
{{- $digits := dict "0" "0000" "1" "0001" "2" "0010" "3" "0011" "4" "0100" "5" "0101" "6" "0110" "7" "0111" "8" "1000" "9" "1001" "a" "1010" "b" "1011" "c" "1100" "d" "1101" "e" "1110" "f" "1111" -}}
{{- $bits := "" -}}
{{- range concat $before $after -}}
{{- range splitList "" (trunc -4 (printf "0000%s" .)) -}}{{- $bits = printf "%s%s" $bits (get $digits .) -}}{{- end -}}
{{- end -}}
{{- dict "bits" $bits "length" (ternary (atoi (last $parts)) 128 (eq (len $parts) 2)) | toJson -}}
{{- end -}}
{{- end -}}

{{/* "yes" where two networks have addresses in common. */}}
{{- define "umbra.overlaps" -}}
{{- $a := include "umbra.ipv4" (index . 0) -}}
{{- $b := include "umbra.ipv4" (index . 1) -}}
{{- if and $a $b -}}
{{- $a = fromJson $a -}}
{{- $b = fromJson $b -}}
{{- $size := 1 -}}
{{- range until (sub 32 (min $a.length $b.length) | int) -}}{{- $size = mul $size 2 -}}{{- end -}}
{{- if eq (div $a.number $size) (div $b.number $size) -}}yes{{- end -}}
{{- else -}}
{{- $a = include "umbra.ipv6" (index . 0) -}}
{{- $b = include "umbra.ipv6" (index . 1) -}}
{{- if and $a $b -}}
{{- $a = fromJson $a -}}
{{- $b = fromJson $b -}}
{{- $length := min $a.length $b.length | int -}}
{{- if eq (trunc $length $a.bits) (trunc $length $b.bits) -}}yes{{- end -}}
{{- else if eq (lower (index . 0)) (lower (index . 1)) -}}
yes
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "umbra.checkRelay" -}}
{{- $isExternal := ne .Values.service.type "ClusterIP" -}}
{{- $isMasked := and $isExternal (eq .Values.service.externalTrafficPolicy "Cluster") (not .Values.smtp.proxyProtocol.enabled) -}}
{{- range $i, $network := .Values.smtp.allowRelayFrom -}}
{{- if and $isExternal (hasSuffix "/0" $network) -}}
{{- fail (printf "smtp.allowRelayFrom[%d]: %s with service.type: %s is an open relay" $i $network $.Values.service.type) -}}
{{- end -}}
{{- if $isMasked -}}
{{- range $own := concat $.Values.network.podCIDRs $.Values.network.nodeCIDRs -}}
{{- if include "umbra.overlaps" (list $network $own) -}}
{{- fail (printf "smtp.allowRelayFrom[%d]: %s holds addresses of this cluster (%s), and with service.externalTrafficPolicy: Cluster every client in the world comes from one of these: an open relay. Say externalTrafficPolicy: Local, or use smtp.proxyProtocol" $i $network $own) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $isMasked .Values.smtp.allowRelayFrom (or (empty .Values.network.nodeCIDRs) (empty .Values.network.podCIDRs)) -}}
{{- fail "service.externalTrafficPolicy: with Cluster clients come from the addresses of nodes, so what is in smtp.allowRelayFrom may be everybody. Say Local, use smtp.proxyProtocol, or name the cluster's networks in network.nodeCIDRs and network.podCIDRs, to have them compared" -}}
{{- end -}}
{{- with .Values.smtp.proxyProtocol -}}
{{- if and .enabled (empty .trustedProxies) -}}
{{- fail "smtp.proxyProtocol.trustedProxies: needed with smtp.proxyProtocol.enabled: whoever is in it may say to be anybody" -}}
{{- end -}}
{{- range $i, $network := .trustedProxies -}}
{{- if hasSuffix "/0" $network -}}
{{- fail (printf "smtp.proxyProtocol.trustedProxies[%d]: %s lets everybody say to be anybody" $i $network) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "umbra.checkHubs" -}}
{{- $replicas := int .Values.replicas -}}
{{- if and (eq $replicas 1) (eq .Values.shadow.policy "require") -}}
{{- fail "replicas: 1 hub has nobody to hold a copy, so with shadow.policy: require it takes no mail. Say three or more, or shadow.policy: none" -}}
{{- end -}}
{{- if and (gt $replicas 1) (eq .Values.shadow.policy "require") (ge (int .Values.shadow.copies) $replicas) -}}
{{- fail (printf "shadow.copies: %d copies besides the first need more than %d replicas" (int .Values.shadow.copies) $replicas) -}}
{{- end -}}
{{- if gt $replicas (int .Values.cluster.hubsMax) -}}
{{- fail (printf "replicas: %d, but certificates and the role for leases name %d hubs; raise cluster.hubsMax" $replicas (int .Values.cluster.hubsMax)) -}}
{{- end -}}
{{- if and .Values.ordinals.start (not (include "umbra.from" (list . "1.27"))) -}}
{{- fail (printf "ordinals.start: needs Kubernetes 1.27, this is %s" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if dig "hub" "name" "" .Values.config -}}
{{- fail "config.hub.name: each hub has its pod's name; leave it out" -}}
{{- end -}}
{{- if dig "cluster" "members" "" .Values.config -}}
{{- fail "config.cluster.members: hubs find one another by the peers service; a list would have to be changed with every scaling" -}}
{{- end -}}
{{- range tuple "spool" "admin" -}}
{{- $key := ternary "directory" "socket" (eq . "spool") -}}
{{- if dig . $key "" $.Values.config -}}
{{- fail (printf "config.%s.%s: the chart mounts a volume there; leave it out" . $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "umbra.checkLife" -}}
{{- $sum := int (include "umbra.graceSum" .) -}}
{{- if and (ne nil .Values.terminationGracePeriodSeconds) (lt (int .Values.terminationGracePeriodSeconds) $sum) -}}
{{- fail (printf "terminationGracePeriodSeconds: %d is less than the %d s that a drain may take (drain: unreadyWait %d + inflight %d + handover %d + checkpoint %d + margin %d); the rest would be SIGKILL" (int .Values.terminationGracePeriodSeconds) $sum (int .Values.drain.unreadyWait) (int .Values.drain.inflight) (int .Values.drain.handover) (int .Values.drain.checkpoint) (int .Values.drain.margin)) -}}
{{- end -}}
{{- if and (not .Values.persistence.enabled) (not .Values.persistence.iUnderstandMailIsLost) -}}
{{- fail "persistence.enabled: without a volume mail is gone with its pod; say persistence.iUnderstandMailIsLost: true if that is what you want" -}}
{{- end -}}
{{- end -}}

{{- define "umbra.checkTls" -}}
{{- if and (ne .Values.smtp.tls.mode "none") (not (include "umbra.smtpSecretName" .)) -}}
{{- fail (printf "smtp.tls.existingSecret: needed with smtp.tls.mode: %s (or certManager.smtp.enabled)" .Values.smtp.tls.mode) -}}
{{- end -}}
{{- with .Values.certManager -}}
{{- if and .smtp.enabled $.Values.smtp.tls.existingSecret -}}
{{- fail "smtp.tls.existingSecret: certManager.smtp.enabled makes one of its own; give one of the two" -}}
{{- end -}}
{{- if and .smtp.enabled (eq $.Values.smtp.tls.mode "none") -}}
{{- fail "smtp.tls.mode: none, but certManager.smtp.enabled has a certificate made; say starttls or required" -}}
{{- end -}}
{{- if and .smtp.enabled (empty .smtp.dnsNames) -}}
{{- fail "certManager.smtp.dnsNames: needed with certManager.smtp.enabled: the names that clients connect to" -}}
{{- end -}}
{{- if and (or .smtp.enabled .peers.enabled) (empty .issuerRef.name) -}}
{{- fail "certManager.issuerRef.name: needed with certManager.smtp.enabled and certManager.peers.enabled" -}}
{{- end -}}
{{- if and .peers.enabled $.Values.cluster.secret.existingSecret -}}
{{- fail "cluster.secret.existingSecret: not used with certManager.peers.enabled; give one of the two" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "umbra.checkService" -}}
{{- $s := .Values.service -}}
{{- range tuple "loadBalancerSourceRanges" "loadBalancerClass" "loadBalancerIP" "healthCheckNodePort" -}}
{{- if and (index $s .) (ne $s.type "LoadBalancer") -}}
{{- fail (printf "service.%s: only for service.type: LoadBalancer, this is %s" . $s.type) -}}
{{- end -}}
{{- end -}}
{{- if and $s.nodePort (eq $s.type "ClusterIP") -}}
{{- fail "service.nodePort: only for service.type: NodePort or LoadBalancer" -}}
{{- end -}}
{{- if and $s.healthCheckNodePort (ne $s.externalTrafficPolicy "Local") -}}
{{- fail "service.healthCheckNodePort: only for service.externalTrafficPolicy: Local" -}}
{{- end -}}
{{- if and $s.loadBalancerClass (not (include "umbra.from" (list . "1.24"))) -}}
{{- fail (printf "service.loadBalancerClass: needs Kubernetes 1.24, this is %s" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if and (or $s.ipFamilies $s.ipFamilyPolicy) (not (include "umbra.from" (list . "1.21"))) -}}
{{- fail (printf "service.ipFamilies: needs Kubernetes 1.21, this is %s" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if and (eq (len $s.ipFamilies) 2) (not (has $s.ipFamilyPolicy (list "PreferDualStack" "RequireDualStack"))) -}}
{{- fail "service.ipFamilyPolicy: two ipFamilies need PreferDualStack or RequireDualStack" -}}
{{- end -}}
{{- end -}}

{{- define "umbra.checkMonitoring" -}}
{{- with .Values.monitoring -}}
{{- if and .podMonitor.enabled .serviceMonitor.enabled -}}
{{- fail "monitoring.serviceMonitor.enabled: with monitoring.podMonitor.enabled, too, every series would be there twice; choose one" -}}
{{- end -}}
{{- if and (or .podMonitor.enabled .serviceMonitor.enabled) $.Values.networkPolicy.enabled (empty $.Values.networkPolicy.adminFrom) -}}
{{- fail "networkPolicy.adminFrom: needed with a monitor: without your Prometheus in it nothing can be scraped" -}}
{{- end -}}
{{- range $what, $file := dict "prometheusRule" "files/alerts.yaml" "dashboard" "files/dashboard.json" -}}
{{- if and (index $.Values.monitoring $what).enabled (not ($.Files.Get $file)) -}}
{{- fail (printf "monitoring.%s.enabled: this chart has no %s" $what $file) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "umbra.checkMerge" -}}
{{- $known := list "statefulSet" "service" "peersService" "configMap" "podDisruptionBudget" "networkPolicy" "serviceAccount" "role" "roleBinding" "certificateSmtp" "certificatePeers" "podMonitor" "serviceMonitor" "metricsService" "prometheusRule" "dashboard" -}}
{{- $grace := dig "statefulSet" "spec" "template" "spec" "terminationGracePeriodSeconds" nil .Values.merge -}}
{{- if $grace -}}
{{- fail "merge.statefulSet: terminationGracePeriodSeconds has a value of its own, which is checked" -}}
{{- end -}}
{{- range $key, $ignored := .Values.merge -}}
{{- if not (has $key $known) -}}
{{- fail (printf "merge.%s: no such object; there are %s" $key (join ", " $known)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
