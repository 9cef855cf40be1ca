{{- define "emostream.name" -}}
{{- if contains "emostream" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-emostream" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- /* What selects a component's pods: never changes. (dict "root" $ "component" "consumer") */}}
{{- define "emostream.selector" -}}
app.kubernetes.io/name: emostream
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "emostream.labels" -}}
{{ include "emostream.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- /* (dict "image" .Values.image "default" .Chart.AppVersion) */}}
{{- define "emostream.image" -}}
{{- if .image.digest }}{{ .image.repository }}@{{ .image.digest }}{{ else }}{{ .image.repository }}:{{ .image.tag | default .default }}{{ end }}
{{- end }}

{{- /* The model servers' most replicas: each has a name of its own, whether or not it is there. */}}
{{- define "emostream.modelPlaces" -}}
{{- if .Values.autoscaling.model.enabled }}{{ .Values.autoscaling.model.max }}{{ else }}{{ .Values.model.replicas }}{{ end }}
{{- end }}

{{- define "emostream.servers" -}}
{{- if .Values.model.enabled }}
{{- $name := printf "%s-model" (include "emostream.name" .) }}
{{- $urls := list }}
{{- range until (int (include "emostream.modelPlaces" .)) }}
{{- $urls = append $urls (printf "http://%s-%d.%s.%s.svc:8080" $name . $name $.Release.Namespace) }}
{{- end }}
{{- join "," $urls }}
{{- else }}
{{- join "," .Values.model.servers }}
{{- end }}
{{- end }}

{{- /* What the chart decides wins over the file, as variables. */}}
{{- define "emostream.env" -}}
- { name: EMOSTREAM_CONFIG, value: /etc/emostream/emostream.toml }
- { name: EMOSTREAM_KAFKA__BOOTSTRAP, value: {{ .Values.kafka.bootstrap | quote }} }
- { name: EMOSTREAM_INPUT__TOPICS, value: {{ join "," .Values.kafka.topics | quote }} }
- { name: EMOSTREAM_INPUT__GROUP_ID, value: {{ .Values.kafka.groupId | quote }} }
{{- end }}

{{- define "emostream.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "emostream.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- /* One pod a node and zone where there are several: a node that is lost takes one with it. */}}
{{- define "emostream.spread" -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{ include "emostream.selector" $ | nindent 6 }}
{{- end }}
{{- end }}

{{- define "emostream.mounts" -}}
- { name: config, mountPath: /etc/emostream, readOnly: true }
- { name: tmp, mountPath: /tmp }
{{- if .Values.existingSecret }}
- { name: secrets, mountPath: /run/secrets/emostream, readOnly: true }
{{- end }}
{{- end }}

{{- define "emostream.volumes" -}}
- name: config
  configMap: { name: {{ include "emostream.name" . }} }
- name: tmp
  emptyDir: { sizeLimit: 64Mi }
{{- if .Values.existingSecret }}
- name: secrets
  secret: { secretName: {{ .Values.existingSecret }}, defaultMode: 288 } # 0440
{{- end }}
{{- end }}

{{- /* The ports that a list of URLs names. */}}
{{- define "emostream.portsOf" }}
{{- range . }}
{{- $url := urlParse . }}
- { port: {{ regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) }}, protocol: TCP }
{{- end }}
{{- end }}

{{- define "emostream.dns" }}
- ports:
    - { port: 53, protocol: UDP }
    - { port: 53, protocol: TCP }
{{- end }}
{{- define "emostream.toKafka" }}
{{- $ports := list }}
{{- range splitList "," .Values.kafka.bootstrap }}
{{- $ports = append $ports (int (regexFind "[0-9]+$" .)) }}
{{- end }}
{{- with .Values.kafka.port }}{{ $ports = append $ports (int .) }}{{ end }}
- ports:
    {{- range uniq $ports }}
    - { port: {{ . }}, protocol: TCP }
    {{- end }}
  {{- with .Values.networkPolicy.kafkaTo }}
  to: {{ toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- /* What `config` leads to by itself. */}}
{{- define "emostream.toConfigPorts" }}
{{- with .Values.networkPolicy.configPorts }}
- ports:
    {{- range . }}
    - { port: {{ . }}, protocol: TCP }
    {{- end }}
{{- end }}
{{- end }}
