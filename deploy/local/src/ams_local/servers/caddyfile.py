"""Templates of the gateway's configuration, as Caddy reads it; ``ams_local.servers.caddy`` fills them in."""

SERVERS = """\
	servers{address} {{
		max_header_size {header_bytes_max}
{more}		timeouts {{
			read_header 10s
			# a little longer than the services wait for a body, so that they can say so
			read_body 35s
			idle 2m
		}}
	}}
"""

CADDYFILE = """\
{{
	admin off
	auto_https off
	persist_config off
	grace_period 1s
	storage file_system {data}
	log {{
		output stderr
		format json
		level WARN
	}}
{servers}}}

(service) {{
	reverse_proxy {{args[0]}} {{
		# a service that restarts is waited for: nothing of the request has been sent when a connection is refused
		lb_try_duration 3s
		lb_try_interval 100ms
		transport http {{
			dial_timeout 1s
			# shorter than uvicorn's 5 s: else a request can meet a connection that is just being closed
			keepalive 3s
			# a client that asks before it sends its body gets the service's answer, which may be 413, and not 100 at once
			expect_continue_timeout 5s
			compression off
		}}
	}}
}}

(refusals) {{
	# What refuses a request goes out at once, and the rest of its body is never read: the connection ends. Other answers wait for up to 256 KiB of the body.
	# Not enable_full_duplex: with it an answer before the end of a body can end this process (https://github.com/golang/go/issues/68560).
	@with_body method POST PUT PATCH DELETE
	header @with_body {{
		match status 4xx 5xx
		Connection close
	}}
}}

(no_grpc) {{
	@grpc header Content-Type application/grpc*
	handle @grpc {{
		# an answer without a body is one of gRPC that has trailers only
		header Content-Type application/grpc
		header Connection close
		header Grpc-Status 12
		header Grpc-Message "This port takes OTLP over HTTP: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf. gRPC is taken on port {grpc_port}."
		respond 200
	}}
}}

(problems) {{
	handle_errors {{
		header {{
			-Server
			Connection close
			Content-Type application/problem+json
			X-Content-Type-Options nosniff
			Content-Security-Policy "default-src 'none'; frame-ancestors 'none'"
			Referrer-Policy same-origin
			Cache-Control no-store
		}}
		@own_host expression {{err.status_code}} != 421
		header @own_host {{
			-Server
{strict_transport}
		}}
		@unavailable expression {{err.status_code}} in [502, 503, 504]
		header @unavailable Retry-After 1
		respond @unavailable `{{"title":"Unavailable right now","status":503,"code":"unavailable","detail":"A part of AMS is starting or not running. Try again in a second."}}` 503
		@foreign_host expression {{err.status_code}} == 421
		respond @foreign_host `{{"title":"Unknown host name","status":421,"code":"unknown_host","detail":"AMS is not served under this host name. Open {public_url}, or add the name to AMS_ALLOWED_HOSTS and restart."}}` 421
		@foreign_page expression {{err.status_code}} == 403
		respond @foreign_page `{{"title":"Not allowed","status":403,"code":"foreign_origin","detail":"The request comes from a page of another origin."}}` 403
		@none expression {{err.status_code}} == 404
		respond @none `{{"title":"Not found","status":404,"code":"not_found"}}` 404
		respond `{{"title":"Something went wrong here","status":{{err.status_code}},"code":"gateway"}}` {{err.status_code}}
	}}
}}

http://:{port} {{
	bind {hosts}
	header -Server
	import problems
	handle {{
		error 421
	}}
}}

{sites} {{
	bind {hosts}
	header {{
		defer
		-Server
		-Via
		X-Content-Type-Options nosniff
		Referrer-Policy same-origin
		X-Frame-Options DENY
		Cross-Origin-Opener-Policy same-origin
{strict_transport}
	}}
	@pages not path /docs/*
	header @pages {{
		defer
		# an answer with a stricter policy of its own, such as media, keeps it
		?Content-Security-Policy "{policy}"
	}}
	header /docs/* {{
		defer
		Content-Security-Policy "{documentation_policy}"
	}}
	import problems
	import refusals
	import no_grpc

	@foreign_origin {{
		path /api/* /mcp
		header Origin *
{not_origins}
	}}
	handle @foreign_origin {{
		error 403
	}}
	@identity path /api/auth /api/auth/* /api/users /api/users/* /api/projects /api/projects/* /api/me /api/login /api/register /.well-known/jwks.json
	handle @identity {{
		encode zstd gzip
		import service {identity}
	}}
	@query path /api/traces/* /api/health /mcp
	handle @query {{
		encode zstd gzip
		import service {query}
	}}
	@intake path /api/ingest/* /v1/*
	handle @intake {{
		import service {intake}
	}}
	@live path /api/live /api/live/*
	handle @live {{
		import service {live}
	}}
	redir /sdk /sdk/
	handle_path /sdk/* {{
		header Cache-Control no-cache
		root * {wheels}
		file_server
	}}
	redir /docs /docs/
	handle_path /docs/* {{
		root * {documentation}
		encode zstd gzip
		header Cache-Control no-cache
		@missing not file {{path}} {{path}}/index.html
		handle @missing {{
			rewrite * /404.html
			file_server {{
				status 404
			}}
		}}
		file_server
	}}
	@closed path /api /api/* /internal /internal/* /metrics /livez /readyz /readyz/* /.well-known/*
	handle @closed {{
		error 404
	}}
	handle /assets/* {{
		root * {explorer}
		encode zstd gzip
		@found file
		header @found Cache-Control "public, max-age=31536000, immutable"
		file_server
	}}
	handle {{
		root * {explorer}
		encode zstd gzip
		header Cache-Control no-cache
		try_files {{path}} /index.html
		file_server
	}}
}}
"""

OTLP_SITE = """
http://:{otlp_port} {{
	bind {hosts}
	header -Server
	import problems
	handle {{
		error 421
	}}
}}

{otlp_sites} {{
	bind {hosts}
	header {{
		defer
		-Server
		-Via
	}}
	import problems
	import refusals
	import no_grpc
	handle /v1/* {{
		import service {intake}
	}}
	handle {{
		error 404
	}}
}}
"""

GRPC_SITE = """
(grpc_problems) {{
	handle_errors {{
		header {{
			-Server
			Content-Type application/grpc
		}}
		@unavailable expression {{err.status_code}} in [502, 503, 504]
		handle @unavailable {{
			header Grpc-Status 14
			header Grpc-Message "A part of AMS is starting or not running. Try again in a second."
			respond 200
		}}
		@foreign_host expression {{err.status_code}} == 421
		handle @foreign_host {{
			header Grpc-Status 9
			header Grpc-Message "AMS is not served under this host name. Use that of {public_url}, or add the name to AMS_ALLOWED_HOSTS and restart."
			respond 200
		}}
		handle {{
			header Grpc-Status 12
			header Grpc-Message "This port takes OTLP: over gRPC, or over HTTP at /v1/traces and /v1/logs."
			respond 200
		}}
	}}
}}

http://:{grpc_port} {{
	bind {hosts}
	header -Server
	import grpc_problems
	handle {{
		error 421
	}}
}}

{grpc_sites} {{
	bind {hosts}
	header {{
		defer
		-Server
		-Via
	}}
	@grpc header Content-Type application/grpc*
	handle @grpc {{
		reverse_proxy h2c://{intake_grpc} {{
			lb_try_duration 3s
			lb_try_interval 100ms
			transport http {{
				dial_timeout 1s
				compression off
			}}
		}}
	}}
	handle /v1/* {{
		import service {intake}
	}}
	handle {{
		error 404
	}}
	import grpc_problems
}}
"""

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self'; connect-src 'self'; "
    "worker-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
DOCUMENTATION_POLICY = (
    # the hash: the style that the generator's script adds for its search; another release of the generator has another one
    "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-NwSx/R2V/U4jnW0Tq5pQ53Y/rzPVJ4dqE7D6UTA/J1k='; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
