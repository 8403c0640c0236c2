{{/* The settings files. What the chart sets comes first, then `config`, then the component's own `config`. */}}

{{/* The name of all nodes comes last: a first node without its volume finds those that joined later. */}}
{{- define "rowhouse.nodeConfig" -}}
{{- $pkarr := dict -}}
{{- with .Values.nodes.dhtBootstrap }}{{ $_ := set $pkarr "dht_bootstrap" . }}{{ end -}}
{{- with .Values.nodes.pkarrRelays }}{{ $_ := set $pkarr "relays" . }}{{ end -}}
{{- $chart := dict
  "node" (dict
    "data_dir" "/var/lib/rowhouse/node"
    "listen" (printf "%s:6301" .Values.bindAddress)
    "seeds" (append (splitList "," (include "rowhouse.firstAddresses" .)) (printf "%s:6301" (include "rowhouse.nodeDomain" .))))
  "secret" (dict "homeserver_secret_file" "/etc/rowhouse/secret/homeserver.secret")
  "tls" (dict "ca" "/etc/rowhouse/tls/ca.pem")
  "pkarr" $pkarr
  "metrics" (dict "listen" (printf "%s:6289" .Values.bindAddress))
  "probes" (dict "listen" (printf "%s:6290" .Values.bindAddress)) -}}
{{- include "rowhouse.toml" (mustMergeOverwrite $chart (deepCopy .Values.config) (deepCopy .Values.nodes.config)) | trim -}}
{{- end }}

{{/* The name of all nodes comes last: gateways begin although the first nodes are away. */}}
{{- define "rowhouse.gatewayConfig" -}}
{{- $gateway := dict
  "http_listen" (printf "%s:6286" .Values.bindAddress)
  "tls_listen" (printf "%s:6287" .Values.bindAddress)
  "nodes" (append (splitList "," (include "rowhouse.firstAddresses" .)) (printf "%s:6301" (include "rowhouse.nodeDomain" .))) -}}
{{- with .Values.gateways.announce }}
{{- if and (eq .from "address") (not .address) }}{{ $_ := set $gateway "announce" false }}{{ end -}}
{{- with .address }}{{ $_ := set $gateway "public_ip" . }}{{ end -}}
{{- end -}}
{{- $_ := set $gateway "public_tls_port" (include "rowhouse.publicPort" (list . .Values.gateways.announce.tlsPort .Values.gateways.tlsService 6287) | int) -}}
{{- $_ := set $gateway "public_http_port" (include "rowhouse.publicPort" (list . .Values.gateways.announce.httpPort .Values.gateways.httpService 6286) | int) -}}
{{- with .Values.gateways.icannDomain }}{{ $_ := set $gateway "icann_domain" . }}{{ end -}}
{{- with .Values.gateways.proxyProtocol.http }}{{ $_ := set $gateway "http_proxies" . }}{{ end -}}
{{- with .Values.gateways.proxyProtocol.tls }}{{ $_ := set $gateway "tls_proxies" . }}{{ end -}}
{{- $admin := dict -}}
{{- if .Values.admin.enabled -}}
{{- $_ := set $admin "listen" (ternary (printf "%s:6288" .Values.bindAddress) "127.0.0.1:6288" .Values.admin.behindProxy) -}}
{{- $_ := set $admin "password_file" "/etc/rowhouse/admin/admin.password" -}}
{{- if .Values.admin.behindProxy }}{{ $_ := set $admin "behind_proxy" true }}{{ end -}}
{{- end -}}
{{- $csi := eq .Values.mtls.mode "csiDriver" -}}
{{- $chart := dict
  "gateway" $gateway
  "admin" $admin
  "secret" (dict "homeserver_secret_file" "/etc/rowhouse/secret/homeserver.secret")
  "tls" (dict
    "cert" (ternary "/etc/rowhouse/tls/tls.pem" "/etc/rowhouse/tls/gateway.pem" $csi)
    "key" (ternary "/etc/rowhouse/tls/tls.key" "/etc/rowhouse/tls/gateway.key" $csi)
    "ca" "/etc/rowhouse/tls/ca.pem")
  "metrics" (dict "listen" (printf "%s:6289" .Values.bindAddress))
  "probes" (dict "listen" (printf "%s:6290" .Values.bindAddress)) -}}
{{- include "rowhouse.toml" (mustMergeOverwrite $chart (deepCopy .Values.config) (deepCopy .Values.gateways.config)) | trim -}}
{{- end }}

{{/* Port at which clients reach a listener. Takes (list root said service own). */}}
{{- define "rowhouse.publicPort" -}}
{{- $root := index . 0 }}{{ $said := int (index . 1) }}{{ $service := index . 2 }}{{ $own := index . 3 -}}
{{- $from := $root.Values.gateways.announce.from -}}
{{- if $said }}{{ $said }}
{{- else if eq $from "podIP" }}{{ $own }}
{{- else if and (eq $from "hostIP") $service.nodePort }}{{ $service.nodePort }}
{{- else }}{{ $service.port }}
{{- end -}}
{{- end }}
