{{/* An experiment that Chaos Mesh begins again and again. Takes (list root name component values kind spec). */}}
{{- define "rowhouse.experiment" -}}
{{- $root := index . 0 }}{{ $name := index . 1 }}{{ $component := index . 2 }}{{ $values := index . 3 }}{{ $kind := index . 4 -}}
apiVersion: chaos-mesh.org/v1alpha1
kind: Schedule
metadata:
  {{- include "rowhouse.metadata" (list $root (printf "%s-%s" (include "rowhouse.fullname" $root) $name) "chaos") | nindent 2 }}
spec:
  schedule: {{ $values.schedule | quote }}
  # One at a time of each kind: more would be another experiment.
  concurrencyPolicy: Forbid
  historyLimit: 5
  type: {{ $kind }}
  {{ get (dict "PodChaos" "podChaos" "NetworkChaos" "networkChaos" "IOChaos" "ioChaos" "TimeChaos" "timeChaos") $kind }}:
    mode: one
    selector:
      {{- include "rowhouse.chaosSelector" (list $root $component) | nindent 6 }}
    {{- index . 5 | nindent 4 }}
{{- end }}

{{/* Pods of this release alone, in this namespace alone. */}}
{{- define "rowhouse.chaosSelector" -}}
namespaces: [{{ (index . 0).Release.Namespace }}]
labelSelectors:
  {{- include "rowhouse.selector" . | nindent 2 }}
{{- end }}
