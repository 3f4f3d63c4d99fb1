/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Every limit of the program, with what happens when it is reached. Limits that an operator may lower are
 * defaults of the configuration (config/model.h); the others are fixed.
 */
enum limits {
	/* HTTP/1 heads, RFC 9112. Beyond them: 414 or 431, and the connection is closed. */
	LIMIT_REQUEST_LINE_BYTES = 8 * 1024,
	LIMIT_HEAD_BYTES = 64 * 1024,
	/*
	 * Default of config.timeouts.clientHeaderMin, from the first byte on: 64 KiB at 9 kbit/s. A slower
	 * client would hold a connection and a buffer: 408.
	 */
	LIMIT_CLIENT_HEAD_MS = 60000,
	/*
	 * Default of config.timeouts.clientBodyStall: longer than any retransmission that succeeds. A client
	 * that sends nothing for this long holds a connection here and one of a backend: 408.
	 */
	LIMIT_CLIENT_STALL_MS = 60000,
	/*
	 * Default of config.timeouts.clientReadStall, equal to that of config.http2.stallTimeout: a media
	 * player that pauses does not read, and needs some time.
	 */
	LIMIT_CLIENT_READ_STALL_MS = 300000,
	LIMIT_HEADERS = 100, /* default of http1MaxHeaders */
	LIMIT_HEADERS_MAX = 4096, /* largest http1MaxHeaders that may be configured */
	LIMIT_HEAD_WRITE_BYTES = 128 * 1024, /* a head that we generate, with all added fields: -ENOBUFS */
	/* Chunked framing, RFC 9112 7.1: 400 on requests, 502 on responses, connection closed. */
	LIMIT_CHUNK_LINE_BYTES = 256,
	LIMIT_TRAILER_BYTES = 8 * 1024,
	LIMIT_CHUNK_OVERHEAD_BYTES =
		100 * 1024, /* framing bytes in addition to the payload before a body counts as abuse */
	/* Interim responses before the final one: 502. */
	LIMIT_INTERIM_RESPONSES = 16,
	/* Attempts of a stream in one turn; then other streams run. */
	LIMIT_STREAM_ATTEMPTS = 4,
	/*
	 * How often a request may return to this process with its CDN-Loop entry: the gateway may be its own
	 * backend for a good reason, but not forever. 508.
	 */
	LIMIT_LOOP_LAPS = 3,
	/* Least pause before an attempt that would get the same result at once, from a cached failure. */
	LIMIT_RETRY_PAUSE_MS = 25,

	/* HTTP/2, RFC 9113. Beyond the first two, the connection ends with ENHANCE_YOUR_CALM. */
	LIMIT_H2_QUEUE_FRAMES = 2000, /* waiting to be sent; two more for each open stream */
	LIMIT_H2_CONTINUATIONS = 32, /* frames of one header section */
	LIMIT_H2_SECTION_FACTOR = 16, /* x the limit of a header section: beyond it the stream is reset */
	LIMIT_H2_TURN_FRAMES = 1024, /* received in one turn; then other connections run */
	LIMIT_H2_TINY_BYTES = 8 * 1024, /* one recv() of a peer whose frames are tiny */
	LIMIT_H2_EXCESS_BYTES = 4 * 1024, /* of a header section over its limit: one glitch each */
	LIMIT_H2_SLICE_BYTES = 16 * 1024, /* received bytes between two checks of what they caused */
	LIMIT_H2_STAGED_BYTES = 16 * 1024, /* frames made while receiving; more wait in nghttp2's queue */
	/* A head that we generate, with 12 bytes for the lengths of each field: -ENOBUFS. */
	LIMIT_H2_HEAD_WRITE_BYTES = LIMIT_HEAD_WRITE_BYTES + 12 * LIMIT_HEADERS_MAX,
	/* Frames that cost nothing and that one stream explains, or one DATA frame of ours. */
	LIMIT_H2_WINDOW_UPDATES = 10,
	LIMIT_H2_PRIORITIES = 10,
	LIMIT_H2_UNKNOWN_FRAMES = 10,
	LIMIT_H2_SPARE_STREAMS = 32, /* kept for reuse by a connection */
	/*
	 * HTTP/2, RFC 9113. Beyond them: further streams of a client get REFUSED_STREAM, a larger head gets
	 * 431, more resets or glitches in a second close the connection with ENHANCE_YOUR_CALM.
	 */
	/*
	 * Heads of the requests of a connection that are under way: all together LIMIT_H2_HEADS_BYTES by
	 * default, and beyond the first so many only LIMIT_H2_HEAD_FACTOR times what the client has sent:
	 * HPACK makes 4 KiB of a byte. 431.
	 */
	LIMIT_H2_HEADS_BYTES = 2 * 1024 * 1024, /* default of config.limits.connectionHeadBytes */
	LIMIT_H2_HEADS_FREE_BYTES = 256 * 1024,
	LIMIT_H2_HEAD_FACTOR = 64,
	LIMIT_WORKER_HEAD_BYTES = 64 * 1024 * 1024, /* default of config.limits.workerHeadBytes: 431 */
	LIMIT_H2_STREAMS = 100, /* default of config.http2.maxConcurrentStreams */
	LIMIT_H2_STREAMS_MAX = 1000, /* largest that may be configured */
	LIMIT_H2_STREAMS_FACTOR = 2, /* x the limit, including streams answered before their body was read */
	LIMIT_H2_HEADERS = 128, /* fields of a head: default and largest config.http2.headers */
	/* What a peer may send before we read; all streams together hold at most 2 x streams x window. */
	LIMIT_H2_WINDOW_BYTES = 64 * 1024, /* default of http2WindowSize */
	LIMIT_H2_CONNECTION_WINDOW_BYTES = 1024 * 1024, /* default of http2ConnectionWindowSize */
	LIMIT_H2_FRAME_BYTES = 16 * 1024, /* default of http2FrameSize */
	LIMIT_H2_PING_TIMEOUT_MS = 20000, /* default of http2KeepaliveTimeout: then the connection closes */
	LIMIT_H2_WRITE_BYTES = 16 * 1024, /* waits in a stream for windows to open; fast streams keep more */
	LIMIT_H2_IDLE_MS = 600000, /* default of config.http2.idleTimeout, as of http1IdleTimeout */
	LIMIT_H2_STALL_MS = 300000, /* default of config.http2.stallTimeout: the stream is reset */
	/* Endpoints without connections whose TLS sessions are kept for the next connection, and how long. */
	LIMIT_TLS_REMEMBERED = 256,
	LIMIT_TLS_REMEMBER_MS = 600000,
	LIMIT_BACKEND_TLS_MS = 15000, /* a handshake with a backend if connectTimeout is off */
	LIMIT_H2_SETTLE_MS = 3000, /* for a backend's first SETTINGS; then requests use other connections */
	LIMIT_H2_GOAWAY_MS = 1000, /* between the two steps of a graceful shutdown */
	LIMIT_FREE_RETRIES = 3, /* retries of a request that its connection had not accepted */
	/* Of a worker to an endpoint: with that many, a refused stream is retried on one of them. */
	LIMIT_H2_REFUSED_CONNECTIONS = 4,
	/* Requests that are asked, one after another, whether they have use for a free stream. */
	LIMIT_H2_DECLINED_OFFERS = 16,

	/* Most bytes of one recv(), and of one direction in one turn; then other directions run. */
	LIMIT_READ_BYTES = 64 * 1024,
	LIMIT_TURN_BYTES = 256 * 1024,
	/*
	 * Bytes of a direction kept in user space for a slow reader: reading pauses at the first byte kept.
	 */
	LIMIT_RELAY_BYTES = 128 * 1024,
	/*
	 * Passed bytes read into a buffer when a direction leaves the kernel lane; with more, the program
	 * stays attached to the socket.
	 */
	LIMIT_SOCKMAP_TAKE_BYTES = 1024 * 1024,
	/* Requests of a worker whose bodies may leave so much behind; the others go by other lanes. */
	LIMIT_SOCKMAP_UPLOADS = 64,
	/* Requested capacity of a splice pipe; the kernel may grant less. */
	LIMIT_PIPE_BYTES = 1024 * 1024,
	LIMIT_IDLE_PIPES = 64, /* kept per worker; further ones are closed */
	/* Bodies of at least this known length use the pipe lane. */
	LIMIT_PIPE_MIN_BODY_BYTES = 256 * 1024,
	/*
	 * From that length to this one, a body that a backend sends with sendfile() costs less through TCP
	 * than if it bypasses TCP at both ends. Connections leave lane bypass after so many of them in a row.
	 */
	LIMIT_TCP_BODY_BYTES = 1024 * 1024,
	LIMIT_TCP_BODIES = 4,
	/*
	 * Bytes discarded after an early response so that the client can read it; then the connection closes.
	 * More than the socket buffers of a fast upload hold (tcp_rmem is up to 32 MiB today, tcp_wmem 4): a
	 * client that writes everything before it reads gets its response, too.
	 */
	LIMIT_LINGER_BYTES = 64 * 1024 * 1024,
	LIMIT_LINGER_MS = 2000,
	/*
	 * From the head of a request to the decision of a guard that waits, unless the route's timeout ends
	 * first. Passwords take less: two threads verify the 64 that wait, each in about a second at most.
	 */
	LIMIT_GUARD_MS = 60000,
	LIMIT_REPLY_MS = 30000, /* for the client to read a response of ours; then it is reset */
	/* A trusted proxy must send its whole PROXY header in this time. */
	LIMIT_PROXY_HEADER_MS = 5000,
	LIMIT_PROXY_HEADER_BYTES = 4096, /* addresses and TLVs included; longer: the connection is reset */
	/* From accept to the end of a TLS handshake, unless tls.handshakeTimeout is set. */
	LIMIT_CLIENT_HELLO_MS = 15000,
	LIMIT_TLS_HANDSHAKE_BYTES = 256 * 1024, /* from a peer; certificates of clients have a few KiB */
	/* Handshakes under way at a port, and in the process: one more ends the oldest of its worker. */
	LIMIT_TLS_PORT_HANDSHAKES = 4096,
	LIMIT_TLS_HANDSHAKES = 8192,
	/*
	 * Steps of handshakes in a turn, each with one signature at most: other work of the worker waits for
	 * them.
	 */
	LIMIT_TLS_TURN_STEPS = 4,

	/*
	 * Small blocks of requests, nghttp2 and OpenSSL that a worker keeps for its next streams: those of
	 * about a thousand. Further blocks are freed at once, and unused ones within seconds; for less than
	 * REST no timer is set.
	 */
	LIMIT_WORKER_KEPT_BYTES = 4 * 1024 * 1024,
	LIMIT_WORKER_REST_BYTES = 256 * 1024,

	/* Events of one epoll_wait(); the rest wait for the next turn. */
	LIMIT_EPOLL_EVENTS = 256,
	/* accept4() calls for one listener event. */
	LIMIT_ACCEPT_BURST = 64,
	LIMIT_ACCEPT_PAUSE_MS = 100, /* after EMFILE, ENFILE, ENOBUFS, ENOMEM */
	LIMIT_LISTEN_BACKLOG = 4096,

	LIMIT_CONNECTIONS = 100000, /* per process, largest config.limits.maxConnections; beyond it 503 */
	LIMIT_WORKERS = 256,
	LIMIT_ADDRESSES = 16, /* kept for a name; further ones are ignored */
	LIMIT_RESOLVE_QUEUE =
		1024, /* names of a worker that wait, and as many that clients chose; others fail */
	LIMIT_RESOLVE_NAMES =
		4096, /* names cached per worker and per process; the least recently used is dropped */
	LIMIT_BOUND_CONNECTIONS = 4, /* of a client, to backends that know it by them: the oldest closes */
	/* Of a client that PROXY headers announce: backends with idle connections, and these for each. */
	LIMIT_ANNOUNCED_ENDPOINTS = 8,
	LIMIT_ANNOUNCED_IDLE = 16,
	LIMIT_POOL_IDLE_PER_ENDPOINT = 1024, /* default of config.backend.poolMaxSize; the oldest is closed */
	LIMIT_RETRY_BODY_BYTES =
		64 * 1024, /* of a request body, kept for a retry; larger bodies are not retried */
	/*
	 * Of all bodies kept for a retry, by a client's connection and by a worker; further ones are not
	 * kept.
	 */
	LIMIT_REPLAY_CONNECTION_BYTES = 1024 * 1024,
	LIMIT_REPLAY_WORKER_BYTES = 16 * 1024 * 1024,
	/*
	 * Of bodies that policies read or change: of one, of all of a client's connection, and of a worker.
	 * 503 beyond the sums.
	 */
	LIMIT_BUFFER_BYTES = 2 * 1024 * 1024, /* default of frontendPolicies.http.maxBufferSize */
	LIMIT_HELD_MOST_BYTES = 16 * 1024 * 1024,
	LIMIT_HELD_CONNECTION_BYTES = 32 * 1024 * 1024,
	LIMIT_HELD_WORKER_BYTES = 64 * 1024 * 1024,
	LIMIT_RETRY_ATTEMPTS = 254, /* after the first attempt, whatever a policy says */
	/*
	 * Discarded of a response whose status is retried; if it is longer or slower, its connection is
	 * closed.
	 */
	LIMIT_DISCARD_BYTES = 64 * 1024,
	LIMIT_DISCARD_MS = 1000,
	LIMIT_DISCARDS = 256, /* under way in a worker */
	LIMIT_MIRRORS = 256, /* mirrored requests under way in a worker; further copies are not made */
	LIMIT_MIRROR_MS = 10000, /* from the start to the end of its response; then it is aborted */
	LIMIT_MIRROR_BODY_BYTES = 1024 * 1024, /* of its response; then its connection is closed */
	/* A call of a helper service, user/callout. */
	LIMIT_CALLOUT_MS = 2000, /* for its response, unless its backend policy says otherwise */
	LIMIT_CALLOUTS = 4096, /* under way in a worker: more fail at once */
	LIMIT_ASKED_CLIENTS = 1024, /* of a worker that wait for networkExtAuthz: more are closed */
	LIMIT_CALLOUT_NAMES = 64, /* headers of a list of its policy: refused when loading */
	LIMIT_CALLOUT_BYTES = 64 * 1024, /* of a response: a longer one is a failure */
	LIMIT_CALLOUT_REQUEST_BYTES = 256 * 1024, /* of a message of gRPC, besides a body: a failure */
	/* Records of OpenTelemetry that wait for their collector (user/otlp), of a worker and signal. */
	LIMIT_EXPORT_BATCH_BYTES = 256 * 1024, /* of one call */
	LIMIT_EXPORT_BATCHES = 16, /* beyond, records are dropped */
	LIMIT_EXPORT_END_MS = 1000, /* that a worker which ends waits for the collector */
	LIMIT_OTLP_RECORD_BYTES = 16 * 1024, /* of a span or log record: what does not fit is left out */
	LIMIT_OTLP_VALUE_BYTES = 1024, /* of an attribute: cut */
	LIMIT_OTLP_ATTRIBUTES = 64, /* of a list of a policy: refused when loading */
	LIMIT_ANSWER_BYTES = 2048, /* of an answer that a worker keeps (extAuthz.cache) */
	LIMIT_ANSWER_ENTRIES = 10000, /* of them, for each policy and worker */
	LIMIT_ANSWER_POLICIES = 64, /* whose answers a worker keeps: those of others are not kept */
	/* No calls to a service that did not answer: at first, and at most. */
	LIMIT_CIRCUIT_LEAST_MS = 250,
	LIMIT_CIRCUIT_MS = 5000,
	LIMIT_ENDPOINT_AVOID_MS = 30 * 1000, /* longest time an endpoint is avoided after failed connects */
	LIMIT_ROUTE_ENTRIES =
		1024 * 1024, /* host names x matches of a listener's routes: more are refused when loading */
	LIMIT_RATE_BUCKETS = 65536, /* of a rule of localRateLimit: other keys replace them (rate_table.h) */
	LIMIT_RATE_RULES = 16, /* of a policy localRateLimit: refused when loading */
	LIMIT_CORS_NAMES = 64, /* of a list of a policy `cors`, as in Gateway API: refused when loading */
	LIMIT_DELEGATION_DEPTH = 8, /* routes that delegate to each other in a row: 500 */
	LIMIT_DELEGATED_ROUTES = 16 * 1024, /* rules, for each listener and parent: 500 for what is over */
	LIMIT_ROUTE_REGEX_BYTES = 1024, /* length of a pattern: longer ones are refused when loading */
	LIMIT_REGEX_PROGRAM = 1280, /* instructions of a pattern: larger ones are refused when loading */
	LIMIT_REGEX_STEPS =
		1024 * 1024, /* bytes of a value x instructions of a pattern: more are refused, counted */
	/*
	 * The same of all expressions that one request is compared with: the larger of these, and what values
	 * of LIMIT_REGEX_SHORT_BYTES need with all expressions of the listener. 400.
	 */
	LIMIT_REGEX_REQUEST_STEPS = 8 * 1024 * 1024,
	LIMIT_REGEX_SHORT_BYTES = 512,
	/* Of one pattern, with the automaton it builds in use: less where there are many, see below. */
	LIMIT_REGEX_MEMORY_BYTES = 512 * 1024,
	LIMIT_REGEX_LEAST_BYTES = 192 * 1024,
	LIMIT_REGEX_TOTAL_BYTES = 64 * 1024 * 1024, /* of all patterns, unless each has the least */
	LIMIT_REGEX_COUNT = 4096, /* different patterns of a configuration: more are refused when loading */
	/* Matching all patterns of a list in one pass; beyond a limit each is matched separately. */
	LIMIT_REGEX_UNION_STEPS = 16 * 1024 * 1024, /* bytes of a value x instructions of all patterns */
	LIMIT_REGEX_UNION_BYTES = 512, /* of the automaton, for each instruction */
	LIMIT_REGEX_UNION_TOTAL_BYTES = 64 * 1024 * 1024, /* of all automata of a configuration */
	LIMIT_ROUTE_FITS = 64, /* patterns that match one value */
	LIMIT_ROUTE_FACETS = 8, /* headers, query parameters, … that index the routes of one path; the
				   others are compared one by one */
	LIMIT_MATCH_VALUE_BYTES =
		8 * 1024, /* joined header or decoded query value: longer ones are refused, counted */
	LIMIT_EXPRESSION_BYTES = 4096, /* of one expression: longer: refused when loading */
	LIMIT_EXPRESSION_DEPTH = 32, /* nesting of its parts: refused when loading */
	LIMIT_EXPRESSION_LOCALS = 4, /* exists() and the like within each other: refused when loading */
	LIMIT_EXPRESSION_ARGUMENTS = 8, /* of coalesce(): refused when loading */
	LIMIT_EXPRESSION_STEPS = 32 * 1024, /* of one evaluation; then it gives up */
	LIMIT_EXPRESSION_STEP_BYTES = 4, /* of the memory for a body: one more step for so many */
	LIMIT_EXPRESSION_JSON_VALUES = 32 * 1024, /* of a body that json() reads; then it gives up */
	LIMIT_EXPRESSION_SCRATCH_BYTES = 8 * 1024, /* texts and lists that it makes; then it gives up */
	LIMIT_PENDING_MS =
		10 * 1000, /* a request waits for a place at its backend, unless pendingTimeout is set */
	LIMIT_DELAY_MS = 60 * 60 * 1000, /* injected: refused when loading, expressions are capped */
	LIMIT_EVICTION_MS = 60 * 60 * 1000, /* longest eviction of an endpoint that is evicted repeatedly */
	LIMIT_OUTBOUND_CONNECTIONS = 65536, /* of the main thread to backends: for keys, and for checks */
	LIMIT_HEALTH_PAYLOAD_BYTES = 1024, /* that a check sends, or looks for: refused when loading */
	LIMIT_HEALTH_RESPONSE_BYTES = 64 * 1024, /* of an endpoint, in a check; the rest is not read */
	LIMIT_HEALTH_CHECKS = 1024, /* under way at a time; others begin when one has ended */
	LIMIT_HEALTH_HISTORY = 256, /* changes of endpoints' health that are kept */
	LIMIT_HEALTH_HANDED_OVER_BYTES =
		4 * 1024 * 1024, /* at an upgrade: 80,000 records; others begin anew */
	LIMIT_HEALTH_HANDOVER_MS = 2000, /* that the new program waits for them */
	LIMIT_ENDPOINTS = 65536, /* of a backend in a file: refused when loading */
	LIMIT_ENDPOINT_PRIORITY = 127, /* highest number of a priority: refused when loading */
	LIMIT_MAGLEV_SLOTS = 5000011, /* of a table for consistent hashing: refused when loading */
	LIMIT_MAGLEV_TOTAL_SLOTS = 40 * 1024 * 1024, /* of all tables of a configuration: refused */
	LIMIT_HASH_ATTEMPTS = 16, /* to find an available endpoint by hash; then all are tried in turn */
	LIMIT_PREVIOUS_HOSTS = 16, /* previous hosts of a request; beyond it the oldest may be tried again */
	LIMIT_BALANCE_CANDIDATES =
		16, /* endpoints of a backend checked for one choice, from a random position on */
	LIMIT_CONFIG_BYTES = 16 * 1024 * 1024, /* of one file, after its variables are expanded: refused */
	LIMIT_CONFIG_TOTAL_BYTES = 64 * 1024 * 1024, /* of all files of one configuration: refused */
	/* Objects of an API server: the bytes that a configuration may have, and their statuses. Refused. */
	LIMIT_CLUSTER_BYTES = 96 * 1024 * 1024,
	/* One object: etcd stores 1.5 MiB, which JSON may double. The watch ends and begins again. */
	LIMIT_CLUSTER_OBJECT_BYTES = 16 * 1024 * 1024,
	/* Maps, lists and scalars of all objects of an API server that a configuration needs: refused. */
	LIMIT_CLUSTER_NODES = 4000000,
	LIMIT_CLUSTER_ERROR_BYTES = 64 * 1024, /* kept of an error's body */
	LIMIT_CONFIG_DEPTH = 64,
	LIMIT_CONFIG_NODES =
		1000000, /* maps, lists and scalars of all files together, aliases expanded: refused */
	LIMIT_CONFIG_LISTENERS = 65536, /* of one port or one Gateway: refused */
	LIMIT_TLS_FILE_BYTES = 4 * 1024 * 1024, /* a certificate, key, list of authorities or API: refused */
	LIMIT_TLS_CERTIFICATES = 4096, /* of one listener: refused */
	LIMIT_BACKEND_CREDENTIALS = 8, /* that a backend gets beside its key: refused */
	LIMIT_BACKEND_KEY_BYTES = 8192, /* of each: refused */
	LIMIT_TRANSFORM_HEADERS = 64, /* that one list of a transformation changes: refused */
	/* Of the metadata that a message notes, and of the headers that replace its own: 400 or 502. */
	LIMIT_TRANSFORM_BYTES = 64 * 1024,
	LIMIT_DIRECT_HEADERS = 16, /* of a direct response: refused */
	LIMIT_CONFIG_ATTACHED = 262144, /* routes at the top level times the listeners they name: refused */
	LIMIT_CONFIG_LABELS = 256, /* of one object, entries of one selector: refused */
	LIMIT_CONFIG_SELECTIONS =
		50000000, /* labels and objects checked by all selectors of a configuration: refused */
	LIMIT_CONFIG_POLICIES =
		100000, /* kinds of policy x objects that they apply to, in all files: refused */
	LIMIT_CONFIG_FILES = 4096, /* of one configuration: refused */
	LIMIT_CONFIG_ANCHORS = 1024, /* of one document: refused */
	LIMIT_CONFIG_ERRORS = 100, /* errors kept, as many warnings and notes; the rest is counted */
	LIMIT_ADMIN_CONNECTIONS = 64,
	LIMIT_ADMIN_REQUEST_BYTES = 16 * 1024,
	LIMIT_HISTORY_STREAMS = 256, /* finished streams shown by /streams */
	LIMIT_CLIENT_HELLO_BYTES = 16 * 1024,
	LIMIT_METRIC_SERIES = 4096, /* labelled series of a worker; the rest are counted as "overflow" */
	LIMIT_USER_AGENT_BYTES = 256, /* of one in the log and in /streams */
	LIMIT_REQUEST_ID_BYTES = 128,
	LIMIT_PATH_SERIES = 1024, /* of a worker, user/obs/paths.h; the rest are counted as "overflow" */
	LIMIT_METRIC_LABELS = 16, /* that a policy adds to metrics of requests: refused */
	LIMIT_METRIC_VALUES = 100, /* of each in a worker; others are counted as "other" */
	LIMIT_METRIC_VALUE_BYTES = 64, /* of each: cut */
	LIMIT_LOG_FIELDS = 32, /* that a policy adds to the access log: refused */
	LIMIT_LOG_VALUE_BYTES = 256, /* of each: cut */
	LIMIT_ACCESS_LOG_BYTES =
		256 * 1024, /* collected lines of a worker; further ones are dropped and counted */
	LIMIT_LOG_BYTES =
		64 * 1024, /* log lines that wait for the reader; the rest are dropped and counted */
	LIMIT_LOG_END_MS = 1000, /* that a process which ends waits for the reader of its log */

	/* MCP, user/mcp. A message that is larger or deeper is 400, 413, or an error of its request. */
	LIMIT_MCP_MESSAGE_BYTES = 10 * 1024 * 1024, /* default of config.limits.mcpMessageBytes */
	LIMIT_MCP_MESSAGE_MAX = 32 * 1024 * 1024, /* the largest that one may configure */
	/*
	 * Times that size. A client that does not take so much of a stream loses it; a target that does not
	 * take so much is sent no more requests: 503; a line of a child, or an event, that is so long has no
	 * end: the child, or the response, is lost.
	 */
	LIMIT_MCP_STREAM_FACTOR = 2,
	LIMIT_MCP_QUEUE_FACTOR = 2,
	LIMIT_MCP_SKIP_FACTOR = 4,
	LIMIT_MCP_SMALL_BYTES =
		64 * 1024, /* a message for which a quarter of a target's queue is kept free */
	LIMIT_MCP_SERIES = 1024, /* labelled series of MCP requests; the rest are counted as "overflow" */
	LIMIT_MCP_LISTED = 4096, /* tools and prompts whose names may be labels; the rest are "other" */
	LIMIT_MCP_FRAME_BYTES = 64 * 1024, /* memory of an event that is kept for the next one */
	/* Memory of all incomplete bodies; beyond it 503. */
	LIMIT_MCP_BODIES_BYTES = 64 * 1024 * 1024,
	LIMIT_MCP_DEPTH = 64,
	LIMIT_MCP_BATCH = 32, /* messages of one body: 400 */
	LIMIT_MCP_TARGETS = 32, /* of one backend: refused when loading */
	/* Of an OpenAPI document: refused when loading, or the operation is left out. */
	LIMIT_OPENAPI_OPERATIONS = 1024,
	LIMIT_OPENAPI_PARAMETERS = 64, /* of one operation, like the next one */
	LIMIT_OPENAPI_TOOL_BYTES = 256 * 1024,
	LIMIT_OPENAPI_EFFORT = 200000000, /* values and bytes that references repeat: refused; 1 or 2 s */
	LIMIT_OPENAPI_TOOLS_BYTES = 8 * 1024 * 1024, /* of all operations together */
	LIMIT_OPENAPI_PAGE_BYTES = 256 * 1024, /* of a list of tools, unless one tool is larger */
	LIMIT_OPENAPI_URL_BYTES = 64 * 1024, /* of a call, and of each header of its arguments: an error */
	LIMIT_OPENAPI_CALL_MS = 300000, /* for the complete response to a tool's request: an error */
	/* Defaults of config.limits, the first and the last the most that one may configure: 503. */
	LIMIT_MCP_SESSIONS = 4096, /* of the process */
	LIMIT_MCP_CLIENT_SESSIONS = 256, /* of an address */
	LIMIT_MCP_UNINITIALIZED = 512, /* whose client has not come back after initialize */
	LIMIT_MCP_UNINITIALIZED_MS = 30000, /* the life of one of those */
	LIMIT_MCP_CALLS = 64, /* requests of a session in progress: 429 */
	LIMIT_MCP_SHARED_CALLS =
		2048, /* the same for a session that all clients share; a quarter for one of them */
	/* messages under way to an HTTP target that are no requests: the session's target is lost */
	LIMIT_MCP_NOTICES = 64,
	LIMIT_MCP_NOTICE_MS = 10000, /* for the target's response to one of these */
	LIMIT_MCP_ID_BYTES = 256, /* of an id or progress token: 400, or the target's message is dropped */
	LIMIT_MCP_NAME_BYTES = 4096, /* of a tool, URI, task or cursor: an error of that request */
	LIMIT_MCP_QUEUE_BYTES = 256 * 1024, /* for a client without a stream; further messages are dropped */
	LIMIT_MCP_QUEUE_MESSAGES = 256,
	LIMIT_MCP_OWNERS = 2048, /* names whose target a session remembers; others are looked up */
	/* Of a target's announcement, if there are several targets; a larger one is ignored. */
	LIMIT_MCP_CAPABILITIES_BYTES = 16 * 1024,
	LIMIT_MCP_LIST_PAGES = 64, /* of a target, to find the owner of a name: an error of that request */
	/* Default of config.mcp.initializeTimeout: long enough for a program that is downloaded first. */
	LIMIT_MCP_INITIALIZE_MS = 60000,
	LIMIT_MCP_OPEN_MS = 5000, /* failOpen: how much longer than the first target others may take */
	LIMIT_MCP_REASON_BYTES = 512, /* of why a target has not answered, in errors and logs */
	LIMIT_MCP_REDIRECTS = 3, /* of one message of ours, within the same server: an error */
	LIMIT_MCP_GATHER_BYTES = 16 * 1024 * 1024, /* of answers that are merged: an error */
	LIMIT_MCP_RESUME_MS = 60000, /* an answer waits so long for a client whose stream broke */
	LIMIT_MCP_CHILD_PAUSE_MS = 2000, /* between closed input, SIGTERM and SIGKILL of a child that ends */
	LIMIT_MCP_CONNECT_MS = 10000, /* to an HTTP target, with the look-up of its name */
	LIMIT_MCP_RESUMES = 3, /* of a target's event stream that breaks before the answer */
	LIMIT_MCP_SWEEP_MS = 1000, /* least time between two looks for sessions that nobody uses */
	LIMIT_MCP_SWEEP_MAX_MS = 30000,
	LIMIT_MCP_DRAIN_LOOK_MS = 20, /* the same while the gateway drains */
	LIMIT_MCP_END_MS = 3 * LIMIT_MCP_CHILD_PAUSE_MS, /* for the targets when the process ends */
	LIMIT_MCP_CHILDREN = 1024, /* processes, with those that are ending */
	LIMIT_MCP_LOG_LINES = 20, /* a second, of a child's standard error: more are counted, not kept */
	LIMIT_MCP_LOG_BYTES = 512, /* of one such line; the rest is cut off */
};
