{{/* The Job that writes Secrets: what it writes, and its pod. */}}

{{- define "rowhouse.keys.secrets" -}}
{{- if or (not .Values.homeserver.existingSecret) (and .Values.admin.enabled (not .Values.admin.existingSecret)) }}yes{{ end -}}
{{- end }}

{{- define "rowhouse.keys.certificates" -}}
{{- if eq .Values.mtls.mode "builtin" }}yes{{ end -}}
{{- end }}

{{/* Names of all Secrets that the Jobs may read and change, separated by commas. */}}
{{- define "rowhouse.keys.names" -}}
{{- $names := list -}}
{{- if not .Values.homeserver.existingSecret }}{{ $names = append $names (include "rowhouse.homeserverSecret" .) }}{{ end -}}
{{- if and .Values.admin.enabled (not .Values.admin.existingSecret) }}{{ $names = append $names (include "rowhouse.adminSecret" .) }}{{ end -}}
{{- if include "rowhouse.keys.certificates" . -}}
{{- range list "ca" "node" "gateway" "ctl" }}{{ $names = append $names (include "rowhouse.certificateSecret" (list $ .)) }}{{ end -}}
{{- end -}}
{{- join "," $names -}}
{{- end }}

{{- define "rowhouse.keys.secretsContainer" -}}
- name: secrets
  {{- include "rowhouse.container" . | nindent 2 }}
  command: [rowhouse]
  args:
    - kubernetes
    - secrets
    - --namespace={{ .Release.Namespace }}
    {{- if not .Values.homeserver.existingSecret }}
    - --homeserver-secret={{ include "rowhouse.homeserverSecret" . }}
    {{- end }}
    {{- if and .Values.admin.enabled (not .Values.admin.existingSecret) }}
    - --admin-secret={{ include "rowhouse.adminSecret" . }}
    {{- end }}
  env:
    {{- include "rowhouse.logEnv" . | nindent 4 }}
  resources:
    {{- include "rowhouse.jobResources" . | nindent 4 }}
{{- end }}

{{- define "rowhouse.keys.certificatesContainer" -}}
- name: certificates
  {{- include "rowhouse.container" . | nindent 2 }}
  command: [rowhouse]
  args:
    - kubernetes
    - certificates
    - --namespace={{ .Release.Namespace }}
    - --cluster={{ include "rowhouse.clusterName" . }}
    - --ca-secret={{ include "rowhouse.certificateSecret" (list . "ca") }}
    - --node-secret={{ include "rowhouse.certificateSecret" (list . "node") }}
    - --gateway-secret={{ include "rowhouse.certificateSecret" (list . "gateway") }}
    - --ctl-secret={{ include "rowhouse.certificateSecret" (list . "ctl") }}
    - --node={{ include "rowhouse.nodeNames" (list . .Values.nodes.replicas) }}
    - --gateway=gateway
    - --ctl=ctl
    - --days={{ .Values.mtls.builtin.days }}
    - --renew-before-days={{ .Values.mtls.builtin.renewBeforeDays }}
  env:
    {{- include "rowhouse.logEnv" . | nindent 4 }}
  resources:
    {{- include "rowhouse.jobResources" . | nindent 4 }}
{{- end }}

{{/* Takes (list root containers). */}}
{{- define "rowhouse.keys.pod" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "rowhouse.fullname" $root }}-keys
# The only pods that speak with the Kubernetes API.
automountServiceAccountToken: true
enableServiceLinks: false
restartPolicy: OnFailure
{{- include "rowhouse.pullSecrets" $root }}
securityContext:
  {{- include "rowhouse.podSecurity" $root | nindent 2 }}
containers:
  {{- index . 1 | nindent 2 }}
{{- end }}
