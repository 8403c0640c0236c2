{{/* Labels and annotations. Selectors never change: nothing that an upgrade changes is among them. */}}

{{/* Takes (list root component). */}}
{{- define "rowhouse.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "rowhouse.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Takes (list root component). */}}
{{- define "rowhouse.labels" -}}
{{- $root := index . 0 -}}
{{ include "rowhouse.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: rowhouse
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of pods, without the chart's version: another chart alone restarts nobody. Takes (list root component own). */}}
{{- define "rowhouse.podLabels" -}}
{{- $root := index . 0 -}}
{{- $fixed := include "rowhouse.selector" . | fromYaml -}}
{{- $_ := set $fixed "app.kubernetes.io/part-of" "rowhouse" -}}
{{- toYaml (mergeOverwrite (deepCopy $root.Values.labels) (deepCopy (index . 2)) $fixed) -}}
{{- end }}

{{/* Metadata of an object. Takes (list root name component annotations?). */}}
{{- define "rowhouse.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "rowhouse.labels" (list $root (index . 2)) | nindent 2 }}
{{- $own := dict }}
{{- if gt (len .) 3 }}{{ $own = default dict (index . 3) }}{{ end }}
{{- with merge dict $own $root.Values.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
