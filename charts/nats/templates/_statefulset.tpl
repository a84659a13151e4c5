{{- define "nats.statefulset" -}}
{{- $fullname := include "plinth.fullname" . -}}
{{- $servers := include "plinth.replica-count" . | int -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" $fullname) | nindent 2 }}
spec:
  replicas: {{ $servers }}
  serviceName: {{ $fullname }}-headless
  # Servers of a cluster wait for each other.
  podManagementPolicy: Parallel
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
        # A change of either restarts the servers, one after the other.
        checksum/config: {{ include "nats.conf" . | sha256sum }}
        checksum/users: {{ toJson .Values.global.bus | sha256sum }}
        {{- with merge (dict) .Values.podAnnotations .Values.commonAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- include "plinth.pull-secrets" . | nindent 6 }}
      # A lame duck takes up to 30 s to send its clients to other servers.
      terminationGracePeriodSeconds: 60
      securityContext:
        {{- toYaml .Values.podSecurityContext | nindent 8 }}
      {{- include "plinth.scheduling" . | nindent 6 }}
      containers:
        - name: nats
          image: {{ include "plinth.image" . }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          command: [nats-server, --config, /etc/nats/nats.conf]
          env:
            - name: POD_NAME
              valueFrom:
                fieldRef:
                  fieldPath: metadata.name
            {{- if gt $servers 1 }}
            - name: ROUTE_PASSWORD
              valueFrom:
                secretKeyRef:
                  name: {{ include "nats.auth.secret" . }}
                  key: route-password
            {{- range $at := until $servers }}
            - name: ROUTE_{{ $at }}
              value: {{ include "nats.route" (dict "root" $ "at" $at) }}
            {{- end }}
            {{- end }}
            {{- include "plinth.env-list" .Values.env | nindent 12 }}
          ports:
            - name: nats
              containerPort: 4222
            - name: monitor
              containerPort: 8222
            {{- if gt $servers 1 }}
            - name: cluster
              containerPort: 6222
            {{- end }}
          # Not the health of every stream: a server that catches up must stay in the cluster to do so.
          startupProbe:
            httpGet: &healthz
              path: /healthz?js-server-only=true
              port: monitor
            periodSeconds: 2
            timeoutSeconds: 5
            failureThreshold: 300
          readinessProbe:
            httpGet: *healthz
            periodSeconds: 5
            timeoutSeconds: 5
          livenessProbe:
            httpGet:
              path: /healthz?js-enabled-only=true
              port: monitor
            periodSeconds: 15
            timeoutSeconds: 10
          {{- if gt $servers 1 }}
          lifecycle:
            preStop:
              exec:
                # The server then ignores the SIGTERM that follows, and goes when its clients are elsewhere.
                command: [nats-server, "--signal=ldm=/tmp/nats.pid"]
          {{- end }}
          terminationMessagePolicy: FallbackToLogsOnError
          resources:
            {{- toYaml .Values.resources | nindent 12 }}
          securityContext:
            {{- toYaml .Values.securityContext | nindent 12 }}
          volumeMounts:
            - name: config
              mountPath: /etc/nats
              readOnly: true
            - name: data
              mountPath: /data
            - name: tmp
              mountPath: /tmp
      volumes:
        - name: config
          projected:
            sources:
              - configMap:
                  name: {{ $fullname }}
              - secret:
                  name: {{ include "nats.auth.secret" . }}
                  items:
                    - key: auth.conf
                      path: auth.conf
        - name: tmp
          emptyDir:
            sizeLimit: 16Mi
        {{- include "plinth.data.volume" . | nindent 8 }}
{{- end }}
