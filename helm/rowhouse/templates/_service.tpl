{{/* The part of a Service's spec that its type decides. Takes service values. */}}
{{- define "rowhouse.serviceType" -}}
type: {{ .type }}
{{- if ne .type "ClusterIP" }}
externalTrafficPolicy: {{ .externalTrafficPolicy }}
{{- end }}
{{- if eq .type "LoadBalancer" }}
{{- with .loadBalancerClass }}
loadBalancerClass: {{ . }}
{{- end }}
{{- with .loadBalancerSourceRanges }}
loadBalancerSourceRanges:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rowhouse.nodePort" -}}
{{- if and .nodePort (ne .type "ClusterIP") }}
nodePort: {{ .nodePort }}
{{- end }}
{{- end }}
