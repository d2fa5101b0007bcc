{{- /* The services and what each connects to: env, NetworkPolicies and probes follow this table. */ -}}
{{- define "ams.services" -}}
identity:
  component: identity
  image: identity
  args: [serve]
  command: ams-identity
  role: ams_identity
  database: ams_identity
  uses: [kafka, postgres, redis]
  callers: [gateway, intake, query, live]
intake:
  component: intake
  image: trace-ingest
  command: ams-trace-ingest
  args: [intake]
  role: ams_writer
  database: ams_traces
  uses: [kafka, postgres, redis, identity]
  callers: [gateway, query]
projector:
  component: projector
  image: trace-ingest
  command: ams-trace-ingest
  args: [projector]
  role: ams_writer
  database: ams_traces
  uses: [kafka, postgres]
  callers: [query]
query:
  component: trace-query
  image: trace-query
  command: ams-trace-query
  args: [serve]
  role: ams_reader
  database: ams_traces
  uses: [kafka, postgres, redis, identity]
  callers: [gateway]
live:
  component: live-gateway
  image: live-gateway
  command: ams-live-gateway
  args: [serve]
  uses: [kafka, redis, identity]
  callers: [gateway, query]
{{- end -}}

{{- define "ams.labels" -}}
app.kubernetes.io/name: ams
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: ams
{{- end -}}

{{- define "ams.image" -}}
{{- $prefix := ternary (printf "%s/" .root.Values.image.registry) "" (ne .root.Values.image.registry "") -}}
{{ $prefix }}ams-{{ .name }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{- define "ams.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "ams.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "ams.secretEnv" -}}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}}
{{- end -}}

{{- define "ams.kafkaBootstrap" -}}
{{- if .Values.kafka.strimzi.enabled -}}ams-kafka-kafka-bootstrap:9093{{- else -}}{{ .Values.kafka.bootstrap }}{{- end -}}
{{- end -}}

{{- define "ams.kafkaEnv" -}}
{{- $kafka := .root.Values.kafka -}}
- {name: AMS_KAFKA_BOOTSTRAP, value: {{ include "ams.kafkaBootstrap" .root | quote }}}
{{- if or $kafka.tls $kafka.strimzi.enabled }}
- {name: AMS_KAFKA_TLS, value: "true"}
{{- end }}
{{- if or $kafka.caSecret $kafka.strimzi.enabled }}
- {name: AMS_KAFKA_TLS_CA_FILE, value: /etc/ams/kafka-ca/ca.crt}
{{- end }}
{{- if $kafka.strimzi.enabled }}
- {name: AMS_KAFKA_SASL_MECHANISM, value: SCRAM-SHA-512}
- {name: AMS_KAFKA_SASL_USER, value: {{ printf "ams-%s" .component }}}
{{ include "ams.secretEnv" (dict "name" "AMS_KAFKA_SASL_PASSWORD" "secret" (printf "ams-%s" .component) "key" "password") }}
{{- else }}
{{- if $kafka.clientCertificateSecret }}
- {name: AMS_KAFKA_TLS_CERT_FILE, value: /etc/ams/kafka-client/tls.crt}
- {name: AMS_KAFKA_TLS_KEY_FILE, value: /etc/ams/kafka-client/tls.key}
{{- end }}
{{- if $kafka.sasl.mechanism }}
- {name: AMS_KAFKA_SASL_MECHANISM, value: {{ $kafka.sasl.mechanism }}}
- {name: AMS_KAFKA_SASL_USER, value: {{ $kafka.sasl.user | quote }}}
{{ include "ams.secretEnv" (dict "name" "AMS_KAFKA_SASL_PASSWORD" "secret" .root.Values.secret.name "key" "kafka-password") }}
{{- with $kafka.sasl.oauthTokenUrl }}
- {name: AMS_KAFKA_OAUTH_TOKEN_URL, value: {{ . | quote }}}
{{- end }}
{{- with $kafka.sasl.oauthScope }}
- {name: AMS_KAFKA_OAUTH_SCOPE, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* The password is expanded by Kubernetes, so it must need no escaping in a URL: letters, digits, "-", "_", "." and "~". */ -}}
{{- define "ams.databaseEnv" -}}
{{- $postgres := .root.Values.postgres -}}
{{- $managed := $postgres.cloudnativepg.enabled -}}
{{- $key := printf "postgres-password-%s" (trimPrefix "ams_" .role) -}}
{{- if $managed }}
{{- include "ams.secretEnv" (dict "name" "DATABASE_PASSWORD" "secret" (printf "ams-postgres-%s" (trimPrefix "ams_" .role)) "key" "password") }}
{{- else }}
{{- include "ams.secretEnv" (dict "name" "DATABASE_PASSWORD" "secret" .root.Values.secret.name "key" $key) }}
{{- end }}
{{- $host := ternary "ams-postgres-rw" $postgres.host $managed -}}
{{- $port := ternary 5432 ($postgres.port | int) $managed -}}
{{- $hosts := list -}}
{{- range splitList "," $host -}}{{- $hosts = append $hosts (printf "%s:%d" (trim .) $port) -}}{{- end -}}
{{- $mode := ternary "verify-full" $postgres.sslMode $managed -}}
{{- $ca := ternary "&sslrootcert=/etc/ams/postgres-ca/ca.crt" "" (or $managed (ne $postgres.caSecret "")) -}}
{{- $primary := ternary "&target_session_attrs=read-write" "" (gt (len $hosts) 1) }}
- name: AMS_DATABASE_URL
  value: postgresql://{{ .role }}:$(DATABASE_PASSWORD)@{{ join "," $hosts }}/{{ .database }}?sslmode={{ $mode }}{{ $ca }}{{ $primary }}
{{- if and $postgres.readHost (eq .role "ams_reader") }}
{{- $standbys := list -}}
{{- range splitList "," $postgres.readHost -}}{{- $standbys = append $standbys (printf "%s:%d" (trim .) $port) -}}{{- end }}
- name: AMS_READ_DATABASE_URL
  value: postgresql://{{ .role }}:$(DATABASE_PASSWORD)@{{ join "," $standbys }}/{{ .database }}?sslmode={{ $mode }}{{ $ca }}
{{- end }}
{{- end -}}

{{- define "ams.redisEnv" -}}
{{- $redis := .root.Values.redis -}}
{{- $key := ternary (printf "redis-password-%s" .component) "redis-password" $redis.users -}}
{{ include "ams.secretEnv" (dict "name" "REDIS_PASSWORD" "secret" .root.Values.secret.name "key" $key) }}
- name: AMS_REDIS_URL
  value: {{ ternary "rediss" "redis" (and $redis.tls (not $redis.valkey.enabled)) }}://{{ ternary (printf "ams-%s" .component) "" $redis.users }}:$(REDIS_PASSWORD)@{{ ternary "ams-valkey" $redis.host $redis.valkey.enabled }}:{{ ternary 6379 ($redis.port | int) $redis.valkey.enabled }}/0
{{- end -}}

{{- define "ams.caVolumes" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $postgres := .root.Values.postgres -}}
{{- if and (has "kafka" .uses) (or $kafka.caSecret $kafka.strimzi.enabled) }}
- name: kafka-ca
  secret: {secretName: {{ ternary "ams-kafka-cluster-ca-cert" $kafka.caSecret $kafka.strimzi.enabled }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- if and (has "kafka" .uses) $kafka.clientCertificateSecret (not $kafka.strimzi.enabled) }}
- name: kafka-client
  secret: {secretName: {{ $kafka.clientCertificateSecret }}}
{{- end }}
{{- if and (has "postgres" .uses) (or $postgres.caSecret $postgres.cloudnativepg.enabled) }}
- name: postgres-ca
  secret: {secretName: {{ ternary "ams-postgres-ca" $postgres.caSecret $postgres.cloudnativepg.enabled }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end -}}

{{- define "ams.caMounts" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $postgres := .root.Values.postgres -}}
{{- if and (has "kafka" .uses) (or $kafka.caSecret $kafka.strimzi.enabled) }}
- {name: kafka-ca, mountPath: /etc/ams/kafka-ca, readOnly: true}
{{- end }}
{{- if and (has "kafka" .uses) $kafka.clientCertificateSecret (not $kafka.strimzi.enabled) }}
- {name: kafka-client, mountPath: /etc/ams/kafka-client, readOnly: true}
{{- end }}
{{- if and (has "postgres" .uses) (or $postgres.caSecret $postgres.cloudnativepg.enabled) }}
- {name: postgres-ca, mountPath: /etc/ams/postgres-ca, readOnly: true}
{{- end }}
{{- end -}}

{{/* The providers as identity reads them: the key of a secret becomes the file that is mounted. */}}
{{- define "ams.oidcIssuers" -}}
{{- $issuers := list }}
{{- range .Values.oidc.issuers }}
{{- $issuer := omit . "clientSecretKey" }}
{{- with .clientSecretKey }}{{ $_ := set $issuer "client_secret_file" (printf "/etc/ams/oidc/%s" .) }}{{ end }}
{{- $issuers = append $issuers $issuer }}
{{- end }}
{{- toJson $issuers }}
{{- end -}}

{{- define "ams.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector: {matchLabels: {app.kubernetes.io/name: ams, app.kubernetes.io/component: {{ . }}}}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector: {matchLabels: {app.kubernetes.io/name: ams, app.kubernetes.io/component: {{ . }}}}
{{- end -}}

{{- define "ams.publicHost" -}}{{ (urlParse .Values.publicUrl).host }}{{- end -}}


{{/* The port of an address: the one that it names, or that of its scheme. */}}
{{- define "ams.portOf" -}}
{{- $address := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $address.host -}}
{{- if $port }}{{ trimPrefix ":" $port }}{{ else }}{{ ternary 443 80 (eq $address.scheme "https") }}{{ end -}}
{{- end -}}
