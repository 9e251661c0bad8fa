{{- define "our.fullname" -}}{{ .Release.Name }}{{- end -}}
{{- define "our.labels" -}}app: {{ .Chart.Name }}{{- end -}}
