{{/*
Values as TOML. Helm's own toToml writes whole numbers of a values file as 16.0, which the program refuses.
JSON's strings are TOML's too.
*/}}

{{- define "rowhouse.tomlValue" -}}
{{- if kindIs "map" . -}}
{ {{ range $i, $key := keys . | sortAlpha }}{{ if $i }}, {{ end }}{{ $key }} = {{ include "rowhouse.tomlValue" (get $ $key) }}{{ end }} }
{{- else if kindIs "slice" . -}}
[{{ range $i, $each := . }}{{ if $i }}, {{ end }}{{ include "rowhouse.tomlValue" $each }}{{ end }}]
{{- else if kindIs "float64" . -}}
{{- if eq . (floor .) }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end -}}
{{- else if kindIs "string" . -}}
{{ toJson . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end }}

{{/* Sections of keys as a TOML file. */}}
{{- define "rowhouse.toml" -}}
{{- range $section, $keys := . }}
{{- if $keys }}
[{{ $section }}]
{{- range $key, $value := $keys }}
{{ $key }} = {{ include "rowhouse.tomlValue" $value }}
{{- end }}
{{ end }}
{{- end }}
{{- end }}
