{{- define "rowhouse.testHook" -}}
helm.sh/hook: test
helm.sh/hook-delete-policy: before-hook-creation
{{- end }}

{{/* What a test needs is there before it, and gone after it. */}}
{{- define "rowhouse.killerHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: "-10"
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* All of a test's pod but its account and containers. */}}
{{- define "rowhouse.testPod" -}}
enableServiceLinks: false
restartPolicy: Never
{{- include "rowhouse.pullSecrets" . }}
securityContext:
  {{- include "rowhouse.podSecurity" . | nindent 2 }}
{{- end }}
