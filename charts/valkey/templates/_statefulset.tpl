{{- define "valkey.statefulset" -}}
{{- $fullname := include "plinth.fullname" . -}}
{{- $cli := .Values.command | replace "-server" "-cli" -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" $fullname) | nindent 2 }}
spec:
  replicas: 1
  serviceName: {{ $fullname }}
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      {{- include "plinth.selector" . | nindent 6 }}
  {{- include "plinth.data.claims" . | nindent 2 }}
  template:
    metadata:
      labels:
        {{- toYaml (merge (include "plinth.labels" . | fromYaml) .Values.podLabels) | nindent 8 }}
      annotations:
        checksum/config: {{ include "valkey.conf" . | sha256sum }}
        {{- with merge (dict) .Values.podAnnotations .Values.commonAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- include "plinth.pull-secrets" . | nindent 6 }}
      securityContext:
        {{- toYaml .Values.podSecurityContext | nindent 8 }}
      {{- include "plinth.scheduling" . | nindent 6 }}
      containers:
        - name: valkey
          image: {{ include "plinth.image" . }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          # The password goes from its file into the configuration, in memory: never into arguments, which all can read.
          command:
            - sh
            - -ec
            - |
              umask 077
              { cat /etc/valkey/valkey.conf; printf 'requirepass %s\n' "$(cat /run/secrets/valkey/password)"; } >/tmp/valkey.conf
              exec {{ .Values.command }} /tmp/valkey.conf
          ports:
            - name: redis
              containerPort: 6379
          # Reading a long append-only file takes a while, and PING says LOADING until then.
          startupProbe:
            exec: &ping
              command:
                - sh
                - -ec
                - REDISCLI_AUTH="$(cat /run/secrets/valkey/password)" {{ $cli }} ping | grep -q PONG
            periodSeconds: 2
            timeoutSeconds: 5
            failureThreshold: 300
          readinessProbe:
            exec: *ping
            periodSeconds: 10
            timeoutSeconds: 5
          livenessProbe:
            tcpSocket:
              port: redis
            periodSeconds: 15
            timeoutSeconds: 10
          terminationMessagePolicy: FallbackToLogsOnError
          resources:
            {{- toYaml .Values.resources | nindent 12 }}
          securityContext:
            {{- toYaml .Values.securityContext | nindent 12 }}
          volumeMounts:
            - name: config
              mountPath: /etc/valkey
              readOnly: true
            - name: password
              mountPath: /run/secrets/valkey
              readOnly: true
            - name: data
              mountPath: /data
            - name: tmp
              mountPath: /tmp
      volumes:
        - name: config
          configMap:
            name: {{ $fullname }}
        - name: password
          secret:
            secretName: {{ include "valkey.auth.secret" . }}
            items:
              - key: password
                path: password
        - name: tmp
          emptyDir:
            medium: Memory
            sizeLimit: 1Mi
        {{- include "plinth.data.volume" . | nindent 8 }}
{{- end }}
