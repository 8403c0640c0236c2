{{/* Deployment and Service of a relay. Takes (list root component values port args folder): the folder is for what may be lost, or empty. */}}
{{- define "rowhouse.relay" -}}
{{- $root := index . 0 }}{{ $component := index . 1 }}{{ $relay := index . 2 }}{{ $port := index . 3 }}{{ $args := index . 4 -}}
{{- $folder := index . 5 -}}
{{- $name := printf "%s-%s" (include "rowhouse.fullname" $root) $component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "rowhouse.metadata" (list $root $name $component) | nindent 2 }}
spec:
  replicas: {{ default 1 $relay.replicas }}
  revisionHistoryLimit: 3
  {{- if not (hasKey $relay "replicas") }}
  # Never two beside each other: who waits in one is not found in the other.
  strategy:
    type: Recreate
  {{- end }}
  selector:
    matchLabels:
      {{- include "rowhouse.selector" (list $root $component) | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "rowhouse.podLabels" (list $root $component dict) | nindent 8 }}
    spec:
      serviceAccountName: {{ include "rowhouse.serviceAccount" $root }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- include "rowhouse.pullSecrets" $root | nindent 6 }}
      securityContext:
        {{- include "rowhouse.podSecurity" $root | nindent 8 }}
      containers:
        - name: {{ $component }}
          {{- include "rowhouse.container" $root | nindent 10 }}
          command: [rowhouse]
          args:
            {{- toYaml $args | nindent 12 }}
          env:
            {{- include "rowhouse.logEnv" $root | nindent 12 }}
          ports:
            - name: http
              containerPort: {{ $port }}
          # It has no listener for probes: that it accepts connections is what can be asked.
          livenessProbe:
            tcpSocket:
              port: http
            periodSeconds: 10
            failureThreshold: 6
          readinessProbe:
            tcpSocket:
              port: http
            periodSeconds: 5
          resources:
            {{- toYaml $relay.resources | nindent 12 }}
          {{- if $folder }}
          volumeMounts:
            - name: cache
              mountPath: {{ $folder }}
          {{- end }}
      {{- if $folder }}
      volumes:
        # What it has heard of the DHT. It can be heard again.
        - name: cache
          emptyDir:
            sizeLimit: 1Gi
      {{- end }}
---
apiVersion: v1
kind: Service
metadata:
  {{- include "rowhouse.metadata" (list $root $name $component) | nindent 2 }}
spec:
  type: {{ $relay.serviceType }}
  {{- if ne $relay.serviceType "ClusterIP" }}
  # Relays limit requests by address.
  externalTrafficPolicy: Local
  {{- end }}
  selector:
    {{- include "rowhouse.selector" (list $root $component) | nindent 4 }}
  ports:
    - name: http
      port: {{ $relay.port }}
      targetPort: http
{{- end }}
