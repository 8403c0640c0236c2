{{/* Rules that several policies share. */}}

{{/* Peer: pods of this release with a component. Takes (list root component). */}}
{{- define "rowhouse.peer" -}}
- podSelector:
    matchLabels:
      {{- include "rowhouse.selector" . | nindent 6 }}
{{- end }}

{{/* Egress to a port of a component. Takes (list root component port). */}}
{{- define "rowhouse.egressTo" -}}
- to:
    {{- include "rowhouse.peer" (list (index . 0) (index . 1)) | nindent 4 }}
  ports:
    - protocol: TCP
      port: {{ index . 2 }}
{{- end }}

{{/* Egress to the collector of traces. */}}
{{- define "rowhouse.egressToCollector" -}}
{{- if .Values.telemetry.endpoint }}
- ports:
    {{- range .Values.networkPolicy.telemetryPorts }}
    - protocol: TCP
      port: {{ . }}
    {{- end }}
{{- end }}
{{- end }}

{{/* Ingress for scrapers. */}}
{{- define "rowhouse.ingressFromScrapers" -}}
{{- with .Values.networkPolicy.metricsFrom }}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    - protocol: TCP
      port: metrics
{{- end }}
{{- end }}

{{/* Ingress for clients, from everybody unless clientsFrom says otherwise. Takes (list root ports). */}}
{{- define "rowhouse.ingressFromClients" -}}
- ports:
    {{- range index . 1 }}
    - protocol: TCP
      port: {{ . }}
    {{- end }}
  {{- with (index . 0).Values.networkPolicy.clientsFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Egress to the Kubernetes API, which no selector knows. */}}
{{- define "rowhouse.egressToApi" -}}
- to:
    {{- range .Values.networkPolicy.apiServerCidrs }}
    - ipBlock:
        cidr: {{ . }}
    {{- end }}
  ports:
    {{- range .Values.networkPolicy.apiServerPorts }}
    - protocol: TCP
      port: {{ . }}
    {{- end }}
{{- end }}
