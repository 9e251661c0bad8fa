{{- define "their.fullname" -}}
{{ .Release.Name }}
{{- end -}}
{{- define "their.labels" -}}
app: {{ .Chart.Name }}
{{- end -}}
