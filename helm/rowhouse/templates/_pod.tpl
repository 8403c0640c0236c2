{{/* What pods have in common. */}}

{{- define "rowhouse.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.podSecurityContext.runAsUser }}
runAsGroup: {{ .Values.podSecurityContext.runAsGroup }}
fsGroup: {{ .Values.podSecurityContext.fsGroup }}
# A large volume is not walked through at each start.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "rowhouse.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Image and everything else a container of ours has. Takes the root. */}}
{{- define "rowhouse.container" -}}
image: {{ include "rowhouse.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "rowhouse.containerSecurity" . | nindent 2 }}
{{- end }}

{{- define "rowhouse.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Resources of a Job's container, which works for a second. */}}
{{- define "rowhouse.jobResources" -}}
requests:
  cpu: 10m
  memory: 32Mi
limits:
  memory: 128Mi
{{- end }}

{{- define "rowhouse.logEnv" -}}
- name: ROWHOUSE_LOG_FORMAT
  value: {{ .Values.log.format }}
- name: RUST_LOG
  value: {{ .Values.log.filter | quote }}
{{- end }}

{{/* Environment of nodes and gateways. Takes (list root component-values role). */}}
{{- define "rowhouse.env" -}}
{{- $root := index . 0 }}{{ $own := index . 1 }}{{ $role := index . 2 -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{ include "rowhouse.logEnv" $root }}
{{- with $root.Values.telemetry }}
{{- if .endpoint }}
- name: POD_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
- name: MACHINE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
- name: OTEL_EXPORTER_OTLP_PROTOCOL
  value: {{ .protocol }}
- name: OTEL_TRACES_SAMPLER
  value: {{ .sampler }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .samplerArg | quote }}
- name: OTEL_SERVICE_NAME
  value: rowhouse-{{ $role }}
{{- $attributes := list (printf "service.namespace=%s" (include "rowhouse.fullname" $root)) "service.instance.id=$(POD_UID)" (printf "k8s.namespace.name=%s" $root.Release.Namespace) "k8s.pod.name=$(POD_NAME)" "k8s.node.name=$(MACHINE_NAME)" }}
{{- range $key, $value := .resourceAttributes }}{{ $attributes = append $attributes (printf "%s=%v" $key $value) }}{{ end }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ join "," $attributes | quote }}
{{- end }}
{{- end }}
{{- with concat $root.Values.extraEnv $own.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Takes (list root component-values). */}}
{{- define "rowhouse.envFrom" -}}
{{- with concat (index . 0).Values.extraEnvFrom (index . 1).extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where to run, besides affinity and spread. Takes component values. */}}
{{- define "rowhouse.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/*
The three probes, which ask three questions. A process that is not ready is not restarted for it: a node that catches
up would only begin anew. Takes the seconds a start may last.
*/}}
{{- define "rowhouse.probes" -}}
startupProbe:
  httpGet:
    path: /startupz
    port: probes
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ max 1 (div (int .) 2) }}
livenessProbe:
  httpGet:
    path: /livez
    port: probes
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /readyz
    port: probes
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}
