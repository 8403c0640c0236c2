{{/*
Secrets are mounted as whole volumes and never by subPath, which would keep the kubelet from renewing them. Their mode
is 0440: the programs refuse keys that everybody can read, and fsGroup lets them read as a group.
*/}}

{{- define "rowhouse.homeserverVolume" -}}
- name: homeserver
  secret:
    secretName: {{ include "rowhouse.homeserverSecret" . }}
    defaultMode: 0440
    items:
      - key: {{ .Values.homeserver.secretKey }}
        path: homeserver.secret
{{- end }}

{{- define "rowhouse.adminVolume" -}}
- name: admin
  secret:
    secretName: {{ include "rowhouse.adminSecret" . }}
    defaultMode: 0440
    items:
      - key: {{ .Values.admin.secretKey }}
        path: admin.password
{{- end }}

{{/*
Certificates under one name in every mode: ca.pem, and NAME.pem and NAME.key. The csi-driver makes one for the pod
alone, as tls.pem and tls.key. Takes (list root role): the roles are node, gateway and ctl.
*/}}
{{- define "rowhouse.tlsVolume" -}}
{{- $root := index . 0 }}{{ $role := index . 1 -}}
- name: tls
{{- if eq $root.Values.mtls.mode "certManager" }}
  projected:
    defaultMode: 0440
    sources:
      {{- $names := ternary (splitList "," (include "rowhouse.nodeNames" (list $root $root.Values.nodes.replicas))) (list $role) (eq $role "node") }}
      {{- range $i, $name := $names }}
      - secret:
          name: {{ include "rowhouse.certificateSecret" (list $root (include "rowhouse.shortName" (list $root $name))) }}
          items:
            - key: tls.crt
              path: {{ $name }}.pem
            - key: tls.key
              path: {{ $name }}.key
            {{- if not $i }}
            - key: ca.crt
              path: ca.pem
            {{- end }}
      {{- end }}
{{- else if eq $root.Values.mtls.mode "csiDriver" }}
  csi:
    driver: csi.cert-manager.io
    readOnly: true
    volumeAttributes:
      {{- $manager := $root.Values.mtls.certManager }}
      csi.cert-manager.io/issuer-name: {{ default (printf "%s-ca" (include "rowhouse.fullname" $root)) $manager.issuerRef.name }}
      csi.cert-manager.io/issuer-kind: {{ $manager.issuerRef.kind }}
      csi.cert-manager.io/issuer-group: {{ $manager.issuerRef.group }}
      csi.cert-manager.io/uri-sans: rowhouse://{{ include "rowhouse.clusterName" $root }}/{{ $role }}/{{ ternary "${POD_NAME}" $role (eq $role "node") }}
      csi.cert-manager.io/key-usages: {{ ternary "digital signature,server auth,client auth" "digital signature,client auth" (eq $role "node") }}
      csi.cert-manager.io/key-algorithm: ECDSA
      csi.cert-manager.io/key-size: "256"
      csi.cert-manager.io/key-encoding: PKCS8
      csi.cert-manager.io/duration: {{ $manager.duration }}
      csi.cert-manager.io/renew-before: {{ $manager.renewBefore }}
      csi.cert-manager.io/certificate-file: tls.pem
      csi.cert-manager.io/privatekey-file: tls.key
      csi.cert-manager.io/ca-file: ca.pem
      csi.cert-manager.io/fs-group: {{ $root.Values.podSecurityContext.fsGroup | quote }}
{{- else }}
  secret:
    secretName: {{ include "rowhouse.certificateSecret" . }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{/* Environment of an operator's tool. */}}
{{- define "rowhouse.ctlEnv" -}}
{{- $name := ternary "tls" "ctl" (eq .Values.mtls.mode "csiDriver") -}}
- name: ROWHOUSE_TLS__CERT
  value: /etc/rowhouse/tls/{{ $name }}.pem
- name: ROWHOUSE_TLS__KEY
  value: /etc/rowhouse/tls/{{ $name }}.key
- name: ROWHOUSE_TLS__CA
  value: /etc/rowhouse/tls/ca.pem
{{- end }}
