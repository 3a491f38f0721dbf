{{/* Names, labels and what depends on the version of Kubernetes. */}}

{{- define "umbra.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters: pods add an ordinal, leases and services a word. */}}
{{- define "umbra.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains (include "umbra.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "umbra.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects: never a version, never anything that a value may change later. */}}
{{- define "umbra.selector" -}}
app.kubernetes.io/name: {{ include "umbra.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: hub
{{- end -}}

{{- define "umbra.testSelector" -}}
app.kubernetes.io/name: {{ include "umbra.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end -}}

{{- define "umbra.labels" -}}
{{ include "umbra.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* "yes" from that version of Kubernetes on: (list . "1.27") */}}
{{- define "umbra.from" -}}
{{- if semverCompare (printf ">=%s.0-0" (index . 1)) (index . 0).Capabilities.KubeVersion.Version -}}yes{{- end -}}
{{- end -}}

{{- define "umbra.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "umbra.serviceAccount" -}}
{{- default (ternary (include "umbra.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* "yes" where hubs ask the API server something. */}}
{{- define "umbra.asksKubernetes" -}}
{{- if or .Values.arbiter.kubernetes.enabled .Values.scaleDown.detect -}}yes{{- end -}}
{{- end -}}

{{/* The names of all hubs that there may ever be, as a JSON list. */}}
{{- define "umbra.hubNames" -}}
{{- $names := list -}}
{{- range $i := until (int .Values.cluster.hubsMax) -}}
{{- $names = append $names (printf "%s-%d" (include "umbra.fullname" $) (add $i (int $.Values.ordinals.start))) -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{/* A lease is called this and the hub's name. The dots keep releases apart of which one's name begins with another's. */}}
{{- define "umbra.leasePrefix" -}}
{{- printf "umbra.%s." (include "umbra.fullname" .) -}}
{{- end -}}

{{- define "umbra.secretName" -}}
{{- default (printf "%s-cluster" (include "umbra.fullname" .)) .Values.cluster.secret.existingSecret -}}
{{- end -}}

{{- define "umbra.smtpSecretName" -}}
{{- if .Values.smtp.tls.existingSecret -}}
{{- .Values.smtp.tls.existingSecret -}}
{{- else if .Values.certManager.smtp.enabled -}}
{{- printf "%s-smtp-tls" (include "umbra.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "umbra.graceSum" -}}
{{- with .Values.drain -}}
{{- add .unreadyWait .inflight .handover .checkpoint .margin -}}
{{- end -}}
{{- end -}}

{{- define "umbra.grace" -}}
{{- default (include "umbra.graceSum" .) .Values.terminationGracePeriodSeconds | int -}}
{{- end -}}

{{/* An object as it was made, with what `merge` says of it: (list . "key" "YAML") */}}
{{- define "umbra.emit" -}}
{{- $object := index . 2 | fromYaml -}}
{{- if hasKey $object "Error" -}}
{{- fail (printf "%s: %s" (index . 1) $object.Error) -}}
{{- end -}}
{{- with index (index . 0).Values.merge (index . 1) -}}
{{- $object = mergeOverwrite $object (deepCopy .) -}}
{{- end -}}
{{ toYaml $object }}
{{- end -}}

{{/* Of containers: what Pod Security "restricted" asks for, and more. */}}
{{- define "umbra.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Of pods. */}}
{{- define "umbra.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10025
runAsGroup: 10025
fsGroup: 10025
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}
