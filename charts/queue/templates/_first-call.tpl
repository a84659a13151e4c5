{{- /* What to try first, after `curl`: a job, which a worker may lease then. */ -}}
{{- define "queue.first-call" -}}
%url%/v1/queues/mails/jobs -d '{"name":"welcome","data":{"to":"ann@example.com"}}'
{{- end }}
