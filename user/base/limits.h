/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Every bound of the program, with what happens when it is reached. Those that an operator may lower are
 * defaults of the configuration (config/model.h); the others are fixed.
 */
enum limits {
	/* HTTP/1 heads, RFC 9112. Exceeding them answers 414 or 431 and closes the connection. */
	LIMIT_REQUEST_LINE_BYTES = 8 * 1024,
	LIMIT_HEAD_BYTES = 64 * 1024,
	/*
	 * Default of config.timeouts.clientHeaderMin, from the first byte on: 64 KiB at 9 kbit/s. A client
	 * that needs more holds a connection and a buffer for nothing: 408.
	 */
	LIMIT_CLIENT_HEAD_MS = 60000,
	/*
	 * Default of config.timeouts.clientBodyStall: longer than any repeat of a segment that gets through.
	 * A client that sends nothing so long holds a connection here and one of a backend: 408.
	 */
	LIMIT_CLIENT_STALL_MS = 60000,
	/*
	 * Default of config.timeouts.clientReadStall, that of config.http2.stallTimeout: a player that pauses
	 * does not read, and may be given some time.
	 */
	LIMIT_CLIENT_READ_STALL_MS = 300000,
	LIMIT_HEADERS = 100, /* default of http1MaxHeaders */
	LIMIT_HEADERS_MAX = 4096, /* largest http1MaxHeaders one may configure */
	LIMIT_HEAD_WRITE_BYTES = 128 * 1024, /* a head we generate, with what rules add to it: -ENOBUFS */
	/* Chunked framing, RFC 9112 7.1: 400 on requests, 502 on responses, connection closed. */
	LIMIT_CHUNK_LINE_BYTES = 256,
	LIMIT_TRAILER_BYTES = 8 * 1024,
	LIMIT_CHUNK_OVERHEAD_BYTES =
		100 * 1024, /* framing bytes beyond the payload before a body counts as abuse */
	/* Interim responses before the final one: 502. */
	LIMIT_INTERIM_RESPONSES = 16,
	/* Attempts of a stream without a pause, before others get their turn. */
	LIMIT_STREAM_ATTEMPTS = 4,
	/*
	 * Times that a request may come back to this process with its mark on it: it may be its own backend
	 * for a good reason, but not forever. 508.
	 */
	LIMIT_LOOP_LAPS = 3,
	/* Least pause before an attempt that would get the same answer at once: a cached failure. */
	LIMIT_RETRY_PAUSE_MS = 25,

	/* HTTP/2, RFC 9113. Past the first two the connection ends with ENHANCE_YOUR_CALM. */
	LIMIT_H2_QUEUE_FRAMES = 2000, /* waiting to be sent, and two more for each open stream */
	LIMIT_H2_CONTINUATIONS = 32, /* frames of one header section */
	LIMIT_H2_SECTION_FACTOR = 16, /* times the limit of a header section: the stream is reset */
	LIMIT_H2_TURN_FRAMES = 1024, /* received, before others get their turn */
	LIMIT_H2_TINY_BYTES = 8 * 1024, /* one recv() of a peer whose frames are tiny */
	LIMIT_H2_EXCESS_BYTES = 4 * 1024, /* of a header section over its limit: a glitch for each so many */
	LIMIT_H2_SLICE_BYTES = 16 * 1024, /* received bytes between two looks at what they caused */
	LIMIT_H2_STAGED_BYTES = 16 * 1024, /* frames made while receiving; more wait in nghttp2's queue */
	/* A head we generate, each field counted with the 12 bytes its lengths may take: -ENOBUFS. */
	LIMIT_H2_HEAD_WRITE_BYTES = LIMIT_HEAD_WRITE_BYTES + 12 * LIMIT_HEADERS_MAX,
	LIMIT_H2_WINDOW_UPDATES = 10, /* of the connection, that one DATA frame of ours explains */
	LIMIT_H2_SPARE_STREAMS = 32, /* kept for reuse by a connection */
	/*
	 * HTTP/2, RFC 9113. A client that opens more streams gets REFUSED_STREAM; a head that is larger gets
	 * 431; resets and glitches beyond what a second may bring close the connection with
	 * ENHANCE_YOUR_CALM.
	 */
	LIMIT_H2_STREAMS = 100, /* default of config.http2.maxConcurrentStreams */
	LIMIT_H2_STREAMS_MAX = 1000, /* largest one may configure */
	LIMIT_H2_STREAMS_FACTOR = 2, /* times that, with those whose answer came before their body was read */
	LIMIT_H2_HEADERS = 128, /* fields of a head, default and largest config.http2.headers */
	LIMIT_H2_RESETS = 100, /* default of config.http2.resetsPerSecond */
	LIMIT_H2_GLITCHES = 100, /* default of config.http2.glitchesPerSecond */
	/* What a peer may send before we read; all streams together hold at most 2 x streams x window. */
	LIMIT_H2_WINDOW_BYTES = 64 * 1024, /* default of http2WindowSize */
	LIMIT_H2_CONNECTION_WINDOW_BYTES = 1024 * 1024, /* default of http2ConnectionWindowSize */
	LIMIT_H2_FRAME_BYTES = 16 * 1024, /* default of http2FrameSize */
	LIMIT_H2_PING_TIMEOUT_MS = 20000, /* default of http2KeepaliveTimeout: then the connection closes */
	LIMIT_H2_WRITE_BYTES = 16 * 1024, /* a stream waits with, for windows to open; fast ones with more */
	LIMIT_H2_IDLE_MS = 600000, /* default of config.http2.idleTimeout, that of http1IdleTimeout */
	LIMIT_H2_STALL_MS = 300000, /* default of config.http2.stallTimeout: the stream is reset */
	/* Endpoints without connections whose TLS sessions are kept for the next one, and for how long. */
	LIMIT_TLS_REMEMBERED = 256,
	LIMIT_TLS_REMEMBER_MS = 600000,
	LIMIT_BACKEND_TLS_MS = 15000, /* a handshake with a backend where connectTimeout is off */
	LIMIT_H2_SETTLE_MS = 3000, /* for the first SETTINGS of a backend; then others open a connection */
	LIMIT_H2_GOAWAY_MS = 1000, /* between the two steps of a graceful shutdown */
	LIMIT_FREE_RETRIES = 3, /* repeats of a request that its connection had not taken */
	/* Of a worker to an endpoint: with so many a refused stream is repeated on one of them. */
	LIMIT_H2_REFUSED_CONNECTIONS = 4,

	/* One recv() at most; also what one direction may move before others get their turn. */
	LIMIT_READ_BYTES = 64 * 1024,
	LIMIT_TURN_BYTES = 256 * 1024,
	/*
	 * Bytes a direction may keep in user space for a slow reader: reading pauses at the first byte kept.
	 */
	LIMIT_RELAY_BYTES = 128 * 1024,
	/*
	 * Passed up by the kernel lane and read into a buffer when it is left; beyond, the program stays on
	 * the socket.
	 */
	LIMIT_GATE_TAKE_BYTES = 1024 * 1024,
	/* The same of one that another process goes on with: all that may have been passed. */
	LIMIT_GATE_EMPTY_BYTES = 8 * 1024 * 1024,
	/* Requests of a worker whose bodies may leave so much behind; the others go by other lanes. */
	LIMIT_GATE_UPLOADS = 64,
	/* Capacity asked for a splice pipe; the kernel may give less. */
	LIMIT_PIPE_BYTES = 1024 * 1024,
	LIMIT_IDLE_PIPES = 64, /* kept per worker; more are closed */
	/* Known body length from which the pipe lane pays. */
	LIMIT_PIPE_MIN_BODY_BYTES = 256 * 1024,
	/*
	 * Bytes swallowed after an early answer so that the client can read it; then the connection closes.
	 * More than the socket buffers of a fast upload hold (tcp_rmem is up to 32 MiB today, tcp_wmem 4): a
	 * client that writes everything before it reads gets its answer, too.
	 */
	LIMIT_LINGER_BYTES = 64 * 1024 * 1024,
	LIMIT_LINGER_MS = 2000,
	LIMIT_REPLY_MS = 30000, /* a client that does not read an answer of ours is reset */
	/* From accept to the end of a TLS handshake, where tls.handshakeTimeout says nothing else. */
	LIMIT_CLIENT_HELLO_MS = 15000,
	LIMIT_TLS_HANDSHAKE_BYTES = 256 * 1024, /* of a peer; certificates of clients are a few KiB */
	/* Under way at a port, and in the process: for one more the longest of its worker goes. */
	LIMIT_TLS_PORT_HANDSHAKES = 4096,
	LIMIT_TLS_HANDSHAKES = 8192,
	/* Steps of handshakes in a turn, a signature each at most: the others of the worker wait so long. */
	LIMIT_TLS_TURN_STEPS = 4,

	/*
	 * Small blocks of requests, nghttp2 and OpenSSL that a worker keeps for its next streams: those of
	 * some thousand. More go back to the heap at once, and what nobody needs within seconds; for
	 * little no timer is set.
	 */
	LIMIT_WORKER_KEPT_BYTES = 4 * 1024 * 1024,
	LIMIT_WORKER_REST_BYTES = 256 * 1024,

	/* Events taken by one epoll_wait; the rest wait for the next turn. */
	LIMIT_EPOLL_EVENTS = 256,
	/* accept4() calls for one listener event. */
	LIMIT_ACCEPT_BURST = 64,
	LIMIT_ACCEPT_PAUSE_MS = 100, /* after EMFILE, ENFILE, ENOBUFS, ENOMEM */
	LIMIT_LISTEN_BACKLOG = 4096,

	LIMIT_CONNECTIONS = 100000, /* per process, largest config.limits.maxConnections; excess gets 503 */
	LIMIT_WORKERS = 256,
	LIMIT_ADDRESSES = 16, /* addresses kept of one name; further ones are ignored */
	LIMIT_RESOLVE_QUEUE = 1024, /* names of a worker that wait; further queries fail at once */
	LIMIT_RESOLVE_NAMES =
		4096, /* names cached per worker and per process; the least recently used goes */
	LIMIT_POOL_IDLE_PER_ENDPOINT = 1024, /* default of config.backend.poolMaxSize; the oldest is closed */
	LIMIT_RETRY_BODY_BYTES =
		64 * 1024, /* kept of a request body for a repeat; larger bodies are not retried */
	/* Of all bodies kept for a repeat, by a client's connection and by a worker: further ones are not. */
	LIMIT_REPLAY_CONNECTION_BYTES = 1024 * 1024,
	LIMIT_REPLAY_WORKER_BYTES = 16 * 1024 * 1024,
	LIMIT_RETRY_ATTEMPTS = 254, /* retries after the first attempt, whatever a policy says */
	/* Of an answer whose status is retried: more of it, or slower, closes its connection. */
	LIMIT_DISCARD_BYTES = 64 * 1024,
	LIMIT_DISCARD_MS = 1000,
	LIMIT_DISCARDS = 256, /* under way in a worker */
	LIMIT_MIRRORS = 256, /* mirrored requests under way in a worker; further copies are not made */
	LIMIT_MIRROR_MS = 10000, /* from the begin to the end of the response of one; then it is given up */
	LIMIT_MIRROR_BODY_BYTES = 1024 * 1024, /* of the response to one; then its connection closes */
	LIMIT_ENDPOINT_AVOID_MS = 30 * 1000, /* longest time an endpoint is avoided after failed connects */
	LIMIT_ROUTE_ENTRIES =
		1024 * 1024, /* host names x matches of a listener's routes: refused when loading */
	LIMIT_ROUTE_REGEX_BYTES = 1024, /* length of a pattern: longer ones are refused when loading */
	LIMIT_REGEX_PROGRAM = 1280, /* instructions of a pattern: larger ones are refused when loading */
	LIMIT_REGEX_STEPS =
		1024 * 1024, /* bytes of a value x instructions of a pattern: more are refused, counted */
	LIMIT_REGEX_MEMORY_BYTES = 512 * 1024, /* of one pattern, with the automaton it builds in use */
	LIMIT_REGEX_COUNT = 4096, /* different patterns of a configuration: more are refused when loading */
	/* Matching all patterns of a list in one pass; where one is reached each is tried in turn. */
	LIMIT_REGEX_UNION_STEPS = 16 * 1024 * 1024, /* bytes of a value x instructions of all patterns */
	LIMIT_REGEX_UNION_BYTES = 512, /* of the automaton, for each instruction */
	LIMIT_REGEX_UNION_TOTAL_BYTES = 64 * 1024 * 1024, /* of all automata of a configuration */
	LIMIT_ROUTE_FITS = 64, /* patterns that fit one value */
	LIMIT_ROUTE_FACETS = 8, /* headers, query parameters, … that routes of one path are looked up by; the
				   others are compared in turn */
	LIMIT_MATCH_VALUE_BYTES =
		8 * 1024, /* joined header or decoded query value: longer ones are refused, counted */
	LIMIT_EXPRESSION_BYTES = 1024, /* of a delay or health condition: longer: refused when loading */
	LIMIT_EXPRESSION_DEPTH = 32, /* of its parts within each other: refused when loading */
	LIMIT_DELAY_MS = 60 * 60 * 1000, /* injected: refused when loading, expressions are cut to it */
	LIMIT_EVICTION_MS =
		60 * 60 * 1000, /* an endpoint evicted again and again stays out no longer than this */
	LIMIT_TRIED_ENDPOINTS = 16, /* a request remembers: with more the oldest may be asked again */
	LIMIT_BALANCE_CANDIDATES =
		16, /* endpoints of a backend looked at for one choice, from a random place on */
	LIMIT_CONFIG_BYTES = 16 * 1024 * 1024, /* of one file, also with its variables expanded: refused */
	LIMIT_CONFIG_TOTAL_BYTES = 64 * 1024 * 1024, /* of all files of one configuration: the same */
	LIMIT_CONFIG_DEPTH = 64,
	LIMIT_CONFIG_NODES =
		1000000, /* maps, lists and scalars of all files together, aliases expanded: refused */
	LIMIT_CONFIG_LISTENERS = 65536, /* of one port or one Gateway: refused */
	LIMIT_TLS_FILE_BYTES = 4 * 1024 * 1024, /* a certificate, key or list of authorities: refused */
	LIMIT_TLS_CERTIFICATES = 4096, /* of one listener: refused */
	LIMIT_CONFIG_LABELS = 256, /* of one object, entries of one selector: refused */
	LIMIT_CONFIG_SELECTIONS =
		50000000, /* labels and objects that all selectors of a configuration look at: refused */
	LIMIT_CONFIG_POLICIES =
		100000, /* kinds of policy times objects they apply to, in all files: refused */
	LIMIT_CONFIG_FILES = 4096, /* of one configuration: refused */
	LIMIT_CONFIG_ANCHORS = 1024, /* of one document: refused */
	LIMIT_CONFIG_ERRORS = 100, /* errors kept, as many warnings and notes; the rest are counted */
	LIMIT_ADMIN_CONNECTIONS = 64,
	LIMIT_ADMIN_REQUEST_BYTES = 16 * 1024,
	LIMIT_HISTORY_STREAMS = 256, /* finished streams shown by /streams */
	LIMIT_CLIENT_HELLO_BYTES = 16 * 1024,
	LIMIT_METRIC_SERIES = 4096, /* labelled series of a worker; the rest are counted as "overflow" */
	LIMIT_ACCESS_LOG_BYTES =
		256 * 1024, /* collected lines of a worker; further lines are dropped and counted */

	/* MCP, user/mcp. A message that is larger or deeper is refused (400, 413), or its target is lost. */
	LIMIT_MCP_MESSAGE_BYTES = 4 * 1024 * 1024,
	LIMIT_MCP_STREAM_BYTES = 2 * LIMIT_MCP_MESSAGE_BYTES, /* that a client does not take */
	LIMIT_MCP_SERIES = 1024, /* labelled series of MCP requests; the rest are counted as "overflow" */
	LIMIT_MCP_FRAME_BYTES = 64 * 1024, /* memory for an event that is kept for the next one */
	/* Memory for all bodies that are not complete: what needs more gets 503. */
	LIMIT_MCP_BODIES_BYTES = 64 * 1024 * 1024,
	LIMIT_MCP_DEPTH = 64,
	LIMIT_MCP_BATCH = 32, /* messages of one body: 400 */
	LIMIT_MCP_TARGETS = 32, /* of one backend: refused when loading */
	LIMIT_MCP_SESSIONS = 4096, /* of the process: 503 */
	LIMIT_MCP_CALLS = 64, /* requests of a session under way: 429 */
	LIMIT_MCP_SHARED_CALLS = 2048, /* the same of a session that all clients share */
	LIMIT_MCP_ID_BYTES = 256, /* of an id or progress token: 400, or the target's message is dropped */
	LIMIT_MCP_NAME_BYTES = 4096, /* of a tool, URI, task or cursor: an error of that request */
	LIMIT_MCP_QUEUE_BYTES = 256 * 1024, /* for a client without a stream: more is dropped */
	LIMIT_MCP_QUEUE_MESSAGES = 256,
	LIMIT_MCP_OWNERS = 2048, /* names a session knows the target of; others are looked up */
	/* Of what a target announces, when there are several: what is larger counts as nothing. */
	LIMIT_MCP_CAPABILITIES_BYTES = 16 * 1024,
	LIMIT_MCP_LIST_PAGES = 64, /* of a target, to find the owner of a name: an error of that request */
	LIMIT_MCP_OPEN_MS = 5000, /* failOpen: what others may take longer than the first target */
	LIMIT_MCP_GATHER_BYTES = 16 * 1024 * 1024, /* of answers that are merged: an error */
	LIMIT_MCP_RESUME_MS = 60000, /* an answer waits so long for a client whose stream broke */
	LIMIT_MCP_TARGET_QUEUE_BYTES = 8 * 1024 * 1024, /* that a target does not take: then it is lost */
	LIMIT_MCP_CHILD_PAUSE_MS = 2000, /* between closed input, SIGTERM and SIGKILL of a child that ends */
	LIMIT_MCP_CONNECT_MS = 10000, /* to an HTTP target, with the look-up of its name */
	LIMIT_MCP_RESUMES = 3, /* of a target's event stream that breaks before the answer */
	LIMIT_MCP_SWEEP_MS = 1000, /* least time between two looks for sessions that nobody uses */
	LIMIT_MCP_SWEEP_MAX_MS = 30000,
	LIMIT_MCP_DRAIN_LOOK_MS = 20, /* the same while the gateway ends */
	LIMIT_MCP_END_MS = 3 * LIMIT_MCP_CHILD_PAUSE_MS, /* for the targets when the process ends */
	LIMIT_MCP_CHILDREN = 1024, /* processes, with those that are ending: further sessions get 503 */
	LIMIT_MCP_LOG_LINES = 20, /* a second, of a child's standard error: more are counted, not kept */
	LIMIT_MCP_LOG_BYTES = 512, /* of one such line: the rest is left out */
};
