{{/* Annotations of a test. Takes its weight: lower ones run first. */}}
{{- define "rowhouse.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation
{{- end }}

{{/* All of a test's pod but its containers and volumes. */}}
{{- define "rowhouse.testPod" -}}
serviceAccountName: {{ include "rowhouse.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
restartPolicy: Never
{{- include "rowhouse.pullSecrets" . }}
securityContext:
  {{- include "rowhouse.podSecurity" . | nindent 2 }}
{{- end }}

{{/* Whether a test can sign up: gateways take connections without a PROXY header, and anybody may or it can make a token. */}}
{{- define "rowhouse.canSmoke" -}}
{{- if and .Values.tests.enabled (not .Values.gateways.proxyProtocol.http) (or .Values.admin.behindProxy (eq .Values.cluster.signupMode "open")) }}yes{{ end -}}
{{- end }}

{{/* A pod that signs up, writes, reads and deletes, as a user does. Takes (list root name weight). */}}
{{- define "rowhouse.smoke" -}}
{{- $root := index . 0 }}{{ $name := index . 1 -}}
{{- $fullname := include "rowhouse.fullname" $root -}}
apiVersion: v1
kind: Pod
metadata:
  {{- include "rowhouse.metadata" (list $root (printf "%s-test-%s" $fullname $name) "test" (include "rowhouse.testHook" (index . 2) | fromYaml)) | nindent 2 }}
spec:
  {{- include "rowhouse.testPod" $root | nindent 2 }}
  containers:
    - name: smoke
      {{- include "rowhouse.container" $root | nindent 6 }}
      command: [rowhouse-chaos]
      args:
        - smoke
        - --url=http://{{ $fullname }}-http.{{ $root.Release.Namespace }}:{{ $root.Values.gateways.httpService.port }}
        {{- if $root.Values.admin.behindProxy }}
        - --admin-url=http://{{ $fullname }}-admin.{{ $root.Release.Namespace }}:{{ $root.Values.gateways.adminService.port }}
        - --admin-password-file=/etc/rowhouse/admin/admin.password
        {{- end }}
      resources:
        {{- include "rowhouse.jobResources" $root | nindent 8 }}
      {{- if $root.Values.admin.behindProxy }}
      volumeMounts:
        - name: admin
          mountPath: /etc/rowhouse/admin
          readOnly: true
      {{- end }}
  {{- if $root.Values.admin.behindProxy }}
  volumes:
    {{- include "rowhouse.adminVolume" $root | nindent 4 }}
  {{- end }}
{{- end }}
