{{/* The hub.yaml of every hub: what the chart knows, and over it `config`. */}}

{{/* `[::]` takes IPv4, too. */}}
{{- define "umbra.anyAddress" -}}
{{- if has "IPv6" .Values.service.ipFamilies -}}[::]{{- else -}}0.0.0.0{{- end -}}
{{- end -}}

{{- define "umbra.listener" -}}
name: smtp
address: {{ printf "%s:2525" (include "umbra.anyAddress" .) | quote }}
networks: {{ toJson .Values.smtp.allowRelayFrom }}
{{- with .Values.smtp.acceptedDomains }}
accepted_domains: {{ toJson . }}
{{- end }}
{{- if .Values.smtp.proxyProtocol.enabled }}
proxy_protocol: {{ toJson .Values.smtp.proxyProtocol.trustedProxies }}
{{- end }}
{{ include "umbra.protection" . }}
limits:
  message_size: {{ .Values.smtp.messageSize }}
{{- if ne .Values.smtp.tls.mode "none" }}
tls:
  mode: {{ .Values.smtp.tls.mode }}
  certificate: /etc/umbra-secrets/smtp/tls.crt
  key: /etc/umbra-secrets/smtp/tls.key
{{- end }}
{{- end -}}

{{- define "umbra.protection" -}}
shadow: {{ .Values.shadow.policy }}
{{- if ne .Values.shadow.policy "none" }}
copies: {{ .Values.shadow.copies }}
{{- if eq .Values.shadow.policy "prefer" }}
on_failure: {{ .Values.shadow.onFailure }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "umbra.computedConfig" -}}
{{- $any := include "umbra.anyAddress" . -}}
{{- with .Values.hostName }}
hub:
  host_name: {{ . }}
{{- end }}
spool:
  directory: /var/lib/umbra
listeners:
  - {{ include "umbra.listener" . | nindent 4 | trim }}
{{- if .Values.test.enabled }}
  - name: helm-test
    address: {{ printf "%s:2527" $any | quote }}
    accepted_domains: [helm-test.invalid]
    {{- include "umbra.protection" . | nindent 4 }}
{{- end }}
routes:
{{- if .Values.test.enabled }}
  - name: helm-test
    domains: [helm-test.invalid]
    hosts: ["{{ include "umbra.fullname" . }}-test.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:25"]
    bounce_profile: helm-test
{{- end }}
  - name: default
    domains: ["*"]
    {{- with .Values.smartHosts }}
    hosts: {{ toJson . }}
    {{- end }}
{{- if .Values.test.enabled }}
bounce_profiles:
  - name: helm-test
    retry: [{wait: 2s}]
    expiry: 5min
    delay_warning: "0"
    returned: nothing
{{- end }}
cluster:
  address: {{ printf "%s:2526" $any | quote }}
  discovery:
    dns: _hubs._tcp.{{ include "umbra.fullname" . }}-peers.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
    type: srv
{{- if .Values.certManager.peers.enabled }}
  tls:
    certificate: /etc/umbra-secrets/peers/tls.crt
    key: /etc/umbra-secrets/peers/tls.key
    ca: /etc/umbra-secrets/peers/ca.crt
{{- else }}
  secret_file: /etc/umbra-secrets/cluster/secret
{{- end }}
{{- if .Values.arbiter.kubernetes.enabled }}
  ownership: kubernetes
  arbiter:
    prefix: {{ include "umbra.leasePrefix" . }}
{{- else }}
  ownership: pairwise
{{- end }}
admin:
  address: {{ printf "%s:9625" $any | quote }}
{{- end -}}

{{- define "umbra.config" -}}
{{- $computed := include "umbra.computedConfig" . | fromYaml -}}
{{- if hasKey $computed "Error" -}}{{- fail (printf "config: %s" $computed.Error) -}}{{- end -}}
{{- toYaml (mergeOverwrite $computed (deepCopy .Values.config)) -}}
{{- end -}}
