{{- define "rowhouse.initPod" -}}
serviceAccountName: {{ include "rowhouse.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
restartPolicy: OnFailure
{{- include "rowhouse.pullSecrets" . }}
securityContext:
  {{- include "rowhouse.podSecurity" . | nindent 2 }}
containers:
  - name: init
    {{- include "rowhouse.container" . | nindent 4 }}
    command: [rowhouse]
    args:
      - cluster
      - init
      {{- range splitList "," (include "rowhouse.firstAddresses" .) }}
      - --node={{ . }}
      {{- end }}
      - --unless={{ include "rowhouse.nodeDomain" . }}:6301
      - --shards={{ .Values.cluster.shards }}
      - --signup-mode={{ .Values.cluster.signupMode }}
      - --timeout-s={{ .Values.cluster.init.timeoutSeconds }}
    env:
      {{- include "rowhouse.ctlEnv" . | nindent 6 }}
      {{- include "rowhouse.logEnv" . | nindent 6 }}
    resources:
      {{- include "rowhouse.jobResources" . | nindent 6 }}
    volumeMounts:
      - name: tls
        mountPath: /etc/rowhouse/tls
        readOnly: true
volumes:
  {{- include "rowhouse.tlsVolume" (list . "ctl") | nindent 2 }}
{{- end }}
