{{/* What the parts are called: as the release, which is `invalidator` in most places. */}}
{{- define "invalidator.name" -}}
{{- if eq .Release.Name "invalidator" -}}invalidator{{- else -}}
{{- printf "%s-invalidator" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What a selector looks for; never changes. */}}
{{- define "invalidator.selector" -}}
app.kubernetes.io/name: invalidator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "invalidator.labels" -}}
{{ include "invalidator.selector" . }}
app.kubernetes.io/part-of: cacheaside
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}
