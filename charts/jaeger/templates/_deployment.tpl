{{- define "jaeger.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "plinth.metadata" (dict "root" . "name" (include "plinth.fullname" .)) | nindent 2 }}
spec:
  replicas: 1
  revisionHistoryLimit: 3
  # What the old one holds is lost with it, so two at a time would only halve what is found.
  strategy:
    type: Recreate
  selector:
    matchLabels:
      {{- include "plinth.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- toYaml (merge (include "plinth.labels" . | fromYaml) .Values.podLabels) | nindent 8 }}
      {{- with merge (dict) .Values.podAnnotations .Values.commonAnnotations }}
      annotations:
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
        - name: jaeger
          image: {{ include "plinth.image" . }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          args:
            {{- toYaml .Values.args | nindent 12 }}
          env:
            {{- include "plinth.env-list" .Values.env | nindent 12 }}
          ports:
            - name: query
              containerPort: 16686
            - name: otlp-http
              containerPort: 4318
            - name: otlp-grpc
              containerPort: 4317
          # The ports for health differ between Jaeger 1 and 2; this answer does not.
          startupProbe:
            httpGet: &services
              path: /api/services
              port: query
            periodSeconds: 2
            failureThreshold: 60
          readinessProbe:
            httpGet: *services
            periodSeconds: 10
            timeoutSeconds: 5
          livenessProbe:
            tcpSocket:
              port: otlp-http
            periodSeconds: 15
          terminationMessagePolicy: FallbackToLogsOnError
          resources:
            {{- toYaml .Values.resources | nindent 12 }}
          securityContext:
            {{- toYaml .Values.securityContext | nindent 12 }}
          volumeMounts:
            - name: tmp
              mountPath: /tmp
      volumes:
        - name: tmp
          emptyDir:
            sizeLimit: 64Mi
{{- end }}
