{{/* Names of objects, and the nodes' addresses. */}}

{{- define "rowhouse.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* At most 40 characters: a pod's name and the label of its revision add to it. */}}
{{- define "rowhouse.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "rowhouse.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "rowhouse.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "rowhouse.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "rowhouse.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rowhouse.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "rowhouse.clusterName" -}}
{{- default (printf "%s-%s" .Release.Namespace (include "rowhouse.fullname" .) | trunc 63 | trimSuffix "-") .Values.mtls.clusterName -}}
{{- end }}

{{- define "rowhouse.homeserverSecret" -}}
{{- default (printf "%s-homeserver" (include "rowhouse.fullname" .)) .Values.homeserver.existingSecret -}}
{{- end }}

{{- define "rowhouse.adminSecret" -}}
{{- default (printf "%s-admin" (include "rowhouse.fullname" .)) .Values.admin.existingSecret -}}
{{- end }}

{{/* A node's name without the full name in front of it. Takes (list root name). */}}
{{- define "rowhouse.shortName" -}}
{{- index . 1 | trimPrefix (printf "%s-" (include "rowhouse.fullname" (index . 0))) -}}
{{- end }}

{{/* Secret of the certificates of a role, where one Secret has them all. Takes (list root role). */}}
{{- define "rowhouse.certificateSecret" -}}
{{- $root := index . 0 }}{{ $role := index . 1 -}}
{{- if eq $root.Values.mtls.mode "existing" -}}
{{- index $root.Values.mtls.existing (printf "%sSecret" $role) -}}
{{- else -}}
{{- printf "%s-tls-%s" (include "rowhouse.fullname" $root) $role -}}
{{- end -}}
{{- end }}

{{/* The StatefulSets: a JSON object of name, zone ("" for none) and replicas for each. */}}
{{- define "rowhouse.nodeSets" -}}
{{- $base := printf "%s-node" (include "rowhouse.fullname" .) -}}
{{- $replicas := int .Values.nodes.replicas -}}
{{- $sets := list -}}
{{- if .Values.nodes.zones -}}
{{- $zones := len .Values.nodes.zones -}}
{{- range $i, $zone := .Values.nodes.zones -}}
{{- $share := add (div $replicas $zones) (ternary 1 0 (lt $i (mod $replicas $zones | int))) -}}
{{- $sets = append $sets (dict "name" (printf "%s-%s" $base $zone) "zone" $zone "replicas" $share) -}}
{{- end -}}
{{- else -}}
{{- $sets = append $sets (dict "name" $base "zone" "" "replicas" $replicas) -}}
{{- end -}}
{{- dict "sets" $sets | toJson -}}
{{- end }}

{{/* Names of the first `count` nodes, in the order in which they are added: zone by zone in turn. Takes (list root count). */}}
{{- define "rowhouse.nodeNames" -}}
{{- $root := index . 0 }}{{ $count := int (index . 1) -}}
{{- $sets := get (include "rowhouse.nodeSets" $root | fromJson) "sets" -}}
{{- $width := len $sets -}}
{{- $names := list -}}
{{- range $i := until $count -}}
{{- $set := index $sets (mod $i $width | int) -}}
{{- $names = append $names (printf "%s-%d" $set.name (div $i $width)) -}}
{{- end -}}
{{- join "," $names -}}
{{- end }}

{{- define "rowhouse.nodeDomain" -}}
{{- printf "%s-nodes.%s.svc.%s" (include "rowhouse.fullname" .) .Release.Namespace .Values.clusterDomain -}}
{{- end }}

{{/* Addresses of the nodes that founded the cluster: never more of them, so that growing restarts nobody. */}}
{{- define "rowhouse.firstAddresses" -}}
{{- $addresses := list -}}
{{- range splitList "," (include "rowhouse.nodeNames" (list . .Values.cluster.firstNodes)) -}}
{{- $addresses = append $addresses (printf "%s.%s:6301" . (include "rowhouse.nodeDomain" $)) -}}
{{- end -}}
{{- join "," $addresses -}}
{{- end }}
