{{/* What the schema cannot say. Each refusal names the value and what to do. */}}

{{- define "rowhouse.validate" -}}
{{- $v := .Values -}}
{{- $nodes := int $v.nodes.replicas }}{{ $first := int $v.cluster.firstNodes -}}
{{- if eq $nodes 2 }}{{ fail "nodes.replicas is 2: two nodes survive no loss. Take one, or at least three." }}{{ end -}}
{{- if eq $first 2 }}{{ fail "cluster.firstNodes is 2: two nodes survive no loss. Take one, or at least three." }}{{ end -}}
{{- if gt $first $nodes }}{{ fail (printf "cluster.firstNodes is %d and nodes.replicas %d: there must be as many nodes at least." $first $nodes) }}{{ end -}}
{{- if and $v.nodes.zones $v.nodes.zoneFromPodLabel }}{{ fail "nodes.zones and nodes.zoneFromPodLabel are two ways to the same: choose one." }}{{ end -}}
{{- range $v.nodes.updateZones -}}
{{- if not (has . $v.nodes.zones) }}{{ fail (printf "nodes.updateZones names %s, which is not among nodes.zones." .) }}{{ end -}}
{{- end -}}
{{- range $set := get (include "rowhouse.nodeSets" . | fromJson) "sets" -}}
{{- if gt (len $set.name) 52 }}{{ fail (printf "the StatefulSet's name %s is longer than 52 characters: set fullnameOverride." $set.name) }}{{ end -}}
{{- end -}}
{{- if and $v.nodes.zoneFromPodLabel (not (semverCompare ">=1.35.0-0" .Capabilities.KubeVersion.Version)) }}{{ fail "nodes.zoneFromPodLabel needs Kubernetes 1.35: take nodes.zones." }}{{ end -}}
{{- range $path, $config := dict "config" $v.config "nodes.config" $v.nodes.config "gateways.config" $v.gateways.config -}}
{{- if hasKey (default dict $config.admin) "password" }}{{ fail (printf "%s.admin.password would lie in a ConfigMap: use admin.existingSecret." $path) }}{{ end -}}
{{- end -}}
{{- $limits := mustMergeOverwrite (dict "idle_linger_s" 3 "shutdown_timeout_s" 5) (default dict $v.config.limits | deepCopy) (default dict $v.gateways.config.limits | deepCopy) -}}
{{- $drain := add $v.gateways.preStopSleepSeconds $limits.idle_linger_s $limits.shutdown_timeout_s 10 -}}
{{- if lt (int $v.gateways.terminationGracePeriodSeconds) (int $drain) }}{{ fail (printf "gateways.terminationGracePeriodSeconds is %v, but a gateway may take %v s to stop." $v.gateways.terminationGracePeriodSeconds $drain) }}{{ end -}}
{{- if lt (int $v.nodes.terminationGracePeriodSeconds) 30 }}{{ fail "nodes.terminationGracePeriodSeconds is below 30: a node hands over for 10 s, then closes its stores." }}{{ end -}}
{{- if eq $v.mtls.mode "existing" -}}
{{- range $key, $name := $v.mtls.existing -}}
{{- if not $name }}{{ fail (printf "mtls.mode is existing, so mtls.existing.%s must name a Secret." $key) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and (ne $v.gateways.announce.from "address") $v.gateways.announce.address }}{{ fail "gateways.announce.address is only for gateways.announce.from=address." }}{{ end -}}
{{- if and $v.admin.behindProxy (not $v.admin.enabled) }}{{ fail "admin.behindProxy needs admin.enabled." }}{{ end -}}
{{- if and $v.ingress.enabled (not (or $v.ingress.hosts $v.gateways.icannDomain)) }}{{ fail "ingress.enabled needs ingress.hosts or gateways.icannDomain." }}{{ end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) }}{{ fail "httpRoute.enabled needs httpRoute.parentRefs." }}{{ end -}}
{{- if and $v.tcpRoute.enabled (not $v.tcpRoute.parentRefs) }}{{ fail "tcpRoute.enabled needs tcpRoute.parentRefs." }}{{ end -}}
{{- if eq $v.image.tag "latest" }}{{ fail "image.tag is latest: name a version, or image.digest." }}{{ end -}}
{{- end }}
