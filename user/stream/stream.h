/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/snapshot.h"
#include "policy/retry.h"
#include "policy/timeout.h"
#include "policy/guard/guard.h"
#include "user/base/deadline.h"
#include "user/base/stream_state.h"
#include "user/client/service_call.h"
#include "user/client/worker_state.h"
#include "user/base/siphash.h"
#include "user/http/framing.h"
#include "user/http/upgrade.h"
#include "user/relay/relay.h"

struct upstream_side;
struct client;
struct attempt_dial;
struct attempt_wait;
struct downstream;
struct upstream;

/* One attempt of sending the request to one endpoint. */
struct attempt {
	struct upstream_endpoint *endpoint; /* one user count while the attempt runs */
	uint32_t endpoint_index; /* in the backend; UINT32_MAX: none yet */
	uint16_t retries_done; /* by policy */
	uint16_t tries_here; /* tries at the chosen backend; free retries do not count */
	uint8_t free_retries; /* after a reused connection died, or a shared one refused the stream */
	/* a connection was refused, and the attempt moved to another endpoint without a policy */
	bool was_moved : 1;
	bool is_fresh : 1; /* must not use a pooled connection (after a free retry) */
	bool was_refused : 1; /* refused by an HTTP/2 connection that is still alive */
	bool is_counted : 1; /* uses a connection counted in the quota of the backend */
	bool is_request_counted : 1; /* the same for the request itself (circuitBreaker) */
	bool is_overloaded : 1; /* with TRY_BACKEND_FULL: a limit of circuitBreaker */
	bool is_retry : 1; /* counted in proxy->active_retries */
	bool needs_pause : 1; /* the failure was known without waiting (a cached name, a quota) */
	/* Why the last attempt failed; valid with STEP_FAILED and in BACKOFF. error: -errno, 0: unknown. */
	enum try_outcome failed_outcome : 8;
	int failed_error;
	struct attempt_wait *wait; /* owner; NULL unless it has waited for a place at its backend */
	struct previous_hosts *previous_hosts; /* owner; NULL: no attempt has failed yet, or no memory */
	struct attempt_dial *dial; /* owner; NULL unless a connection is being opened or waited for */
};

/*
 * The next step. Each phase of a stream (routing, an attempt, the response, a tunnel) returns its step, and
 * one loop runs it (driver.h). So no phase calls another one, however often an attempt fails. Arguments of a
 * step are stored in the stream (step.h).
 */
enum stream_step {
	STEP_WAIT, /* waits for an event, a timer, or a requested turn */
	STEP_ROUTE, /* the request is complete: exchange_route() */
	STEP_GUARD, /* what a guard waited for is known: exchange_guard() */
	STEP_FORWARD, /* routed, and any delay is over: exchange_forward() */
	STEP_ATTEMPT, /* attempt_start() */
	STEP_ATTEMPT_AGAIN, /* attempt_again() */
	STEP_CONNECTED, /* the attempt has its connection: attempt_send() */
	STEP_FAILED, /* the attempt has failed, attempt.failed_outcome: attempt_failed() */
	STEP_RESPONSE, /* the final head of the backend will be sent: response_start() */
	STEP_TUNNEL, /* both directions become opaque: tunnel_start() */
	STEP_REPLY, /* a response of our own, exchange->reply: reply_start() */
	STEP_END, /* ending_reason, ending: stream_finish() */
	STEP_PUMP, /* bytes may move */
	STEP_COUNT,
};

/*
 * What happens to the client's connection at the end of the stream. The backend's connection is kept if its
 * exchange was complete.
 */
enum stream_end {
	STREAM_END_CLEAN, /* keep the connection if possible */
	STREAM_END_CLOSE, /* close after the sent bytes */
	STREAM_END_LINGER, /* the same, but the client may still be sending: let it read our response first */
	STREAM_END_RESET, /* reset both connections */
};

/* A response of our own. */
struct stream_reply {
	uint16_t status;
	enum end_reason reason;
	struct span body;
	struct span type; /* of the body; empty: text */
	struct span location; /* empty: none */
	const struct fields *fields; /* more of them; in the arena of the exchange; NULL: none */
};

/*
 * What the log has of some requests only, mostly of the client; a tunnel keeps it only if there is anything.
 */
struct stream_user {
	struct span jwt_subject; /* of a valid token */
	struct span basic; /* who gave the right password */
	struct span request_id; /* bounded, as the next one */
	struct span user_agent;
	uint32_t delay_ms; /* injected delay; 0: none */
};

/* What was requested, for the log. */
struct stream_texts {
	struct span method;
	struct span host; /* TLS route: the server name in the ClientHello */
	union {
		struct span path;
		struct span refusal; /* of a TCP or TLS tunnel, which has no path: why it was refused */
	};
};

/* The result of the last check of a client that does not read its response. */
struct read_watch {
	uint64_t since_ms; /* loop time: the client is known to have read nothing since then */
	uint64_t acked_bytes; /* acknowledged by the client's kernel */
	bool is_behind; /* output was waiting for the client */
};

struct stream_tracing; /* user/stream/tracing.h */

struct guard_change; /* user/phase/guard_call.h */
struct client_session;
struct mirror_plan;
struct verify_question; /* user/phase/verify.h */

/* State that only a request with its response needs: a tunnel has none, or frees it when it begins. */
struct exchange {
	struct arena arena;
	struct stream_texts texts;
	struct span error; /* text of our own error */
	struct span fault; /* why the TLS handshake of the attempt failed; in arena */
	struct span internal_fields; /* from a service of this process (internal_fields.h); in arena */
	const struct route_match *match; /* borrowed from the lease */
	const struct retry_policy *retry; /* that of the route, if it is for this request; NULL: none */
	/* borrowed from the lease: counts the running retry (attempt_drop_retry()); NULL: nothing does */
	struct quota *retry_quota;
	/* before changes for one backend; kept if another backend may be tried */
	struct request_head plain_head;
	struct request_head head; /* as sent to the chosen backend; in arena or downstream_head */
	struct h2_head *downstream_head; /* owner; NULL: not HTTP/2 */
	struct body_framing request_framing;
	struct upgrade_request upgrade;
	struct response_head response; /* in response_arena or upstream_head */
	struct h2_head *upstream_head; /* owner; NULL: not HTTP/2 */
	struct arena response_arena; /* of the running attempt */
	struct read_watch read_watch;
	/* of the request body, for a guard, another attempt or a mirror; empty if none may follow */
	struct replay replay;
	struct replay answer; /* a response that is held back (STREAM_HOLD) */
	struct mirror_plan *mirror_plans; /* mirrors that wait for the body (mirror.h); in arena */
	struct stream_reply reply; /* with STEP_REPLY */
	struct fields guard_fields; /* for every response: guard_apply() */
	struct guard_additions guard_additions; /* the same: guard_apply_additions() */
	uint32_t guards_passed; /* of the running phase */
	bool is_forwarded; /* its fields are those for the next hop: forward_head() */
	/* what transformations change in the response: of the route, then of the listener; NULL: nothing */
	const struct transform_side *response_sides[2];
	struct fields client_fields; /* before transformations; in arena, which is NULL until there is one */
	const struct transformation *held_for; /* waits for the body of the request; NULL: none does */
	struct client_session *session; /* with an endpoint (session.h); in arena; NULL: its route has none */
	const struct affinity_cookie *new_cookie; /* that the client lacked (affinity.h); NULL: none */
	struct span new_cookie_value; /* in arena */
	const struct endpoint *requested; /* the host that the client named, for BACKEND_DYNAMIC; in arena */
	/* MAP of what transformations have noted (policy/transform.h); in arena; NULL: nothing */
	const struct expression_value *metadata;
	const struct expression_value *plain_metadata; /* with plain_head */
	struct guard_identity identity; /* who the client is, as far as guards have verified it */
	struct stream_user user; /* the same for the log */
	uint64_t access; /* of the attempt, at an MCP backend with rules (grant.h); 0: none */
	struct verify_question *question; /* about a password, not answered yet; NULL: none */
	struct stream_tracing *tracing; /* owner; NULL: the request is not sampled */
	struct service_call call; /* of a helper service, for the guard that waits */
	struct guard_change *guard_changes; /* of the request; in arena; NULL: none */
	int verdict; /* the answer: enum guard_verdict or -errno */
	bool has_verdict; /* until the guard has read it */
	bool is_holding; /* a guard waits for the body of the request (held_body.h) */
	uint64_t held_ms; /* loop time: it was there; 0: no guard has asked for it */
	uint64_t repeat_pause_ns; /* with STEP_FAILED and TRY_RESPONSE: pause before the next attempt */
	/* Loop time. */
	uint64_t request_deadline_ms; /* 0: none */
	uint64_t try_deadline_ms; /* 0: none */
	uint64_t backoff_end_ms;
	uint64_t delay_end_ms;
	uint64_t reply_deadline_ms;
};

/*
 * One request with its response, or one tunnel: the central object of the request path. It has one state
 * (stream_states.def, changed only by stream_set_state()), one timer, and ends exactly once, in
 * stream_finish().
 *
 * It owns its exchange and a reference to the configuration it started with; it borrows the client for its
 * whole life and an upstream for one attempt.
 */
struct stream {
	struct proxy *proxy; /* borrowed */
	struct client *client; /* borrowed */
	const struct downstream *downstream; /* the client's side */
	struct h2_stream
		/* one reference; NULL: not HTTP/2, the client's connection serves this stream alone */
		*downstream_codec_h2;
	struct upstream *upstream; /* borrowed; NULL between attempts */
	const struct upstream_side *upstream_side; /* the backend's side; set with upstream */
	/* one reference; NULL: not HTTP/2, the upstream serves this stream alone */
	struct h2_stream *upstream_codec_h2;
	struct lease *lease; /* one reference */
	uint64_t handle;
	uint64_t id; /* unique in the process: worker above a serial number */
	enum stream_state state : 8;
	enum stream_deadline deadline : 8;
	bool is_tcp : 1; /* TCP or TLS route, no HTTP */
	bool is_tls : 1;
	bool is_upgraded : 1;
	bool is_grpc : 1; /* our own errors are sent as gRPC statuses */
	bool head_sent : 1; /* a final response head was sent to the client */
	bool upload_dead : 1; /* the backend no longer takes the request body */
	bool close_client : 1; /* the client connection cannot serve another request */
	bool is_continued : 1; /* the client got a 100 */
	bool client_keeps : 1;
	bool is_in_restart_state : 1; /* a new process could resume it (checkpoint.h) */
	bool is_resumed : 1; /* begun by a process that crashed or handed it over */
	bool is_unseen : 1; /* resumed, and not yet looked at: something may have come meanwhile */
	bool is_kept : 1; /* not handed over: its route is gone */
	bool has_stalled : 1; /* while both directions rested (quiesce.h) */
	bool keeps_user : 1; /* a struct stream_user follows the kept texts */
	bool keeps_tracing : 1; /* then an owned pointer to a struct stream_tracing */
	uint16_t status; /* sent or to be sent, 0: none */
	int16_t grpc_status; /* seen or sent; -1: none */
	uint32_t reset_code; /* of the RST_STREAM that the backend sent; 0: none */
	uint16_t interim_count;
	uint8_t client_major; /* 0: the head could not be parsed */
	uint8_t client_minor; /* HTTP/2 counts as 1.1 */
	uint32_t head_bytes; /* HTTP/1 only: counted in proxy->head_budget */
	enum end_reason reason : 8;
	enum end_reason ending_reason : 8; /* with STEP_END, like the next one */
	enum stream_end ending : 8;
	uint32_t connect_us; /* of the last attempt: until it was connected; 0: not, or reused */
	uint32_t head_us; /* since start_ns: the last final head of a backend; 0: none */

	const struct listener *listener; /* these four borrowed from the lease */
	const struct route *route;
	const struct tcp_route *tcp_route;
	const struct backend_ref *backend;
	struct exchange *exchange; /* owner; NULL: a tunnel (a TCP or TLS route, or an upgraded connection) */
	struct stream_texts *texts; /* owner, with the bytes after it; NULL: in the exchange, or none */
	struct attempt attempt;
	struct relay upload;
	struct relay download;
	uint64_t start_ns;
	struct timer timer;
	struct loop_deferred again; /* pumps the stream; when closed: frees it */
};

/* The backend of stream->backend, with its endpoints at the start of the stream. */
static inline const struct backend *stream_backend(const struct stream *stream)
{
	return snapshot_backend(stream->lease->snapshot, stream->backend->backend);
}

/* The endpoint of the attempt; not of a dynamic backend (exchange->requested). */
static inline const struct endpoint *stream_endpoint(const struct stream *stream)
{
	return &stream_backend(stream)->endpoint_list[stream->attempt.endpoint_index];
}

/* The driver, for lower layers (driver.h): proxy->driver. */
struct stream_driver {
	void (*run)(struct stream *stream, enum stream_step step);
	void (*on_deadline)(struct timer *timer, uint64_t now_ms); /* of stream->timer */
};

/*
 * Creates a stream of the client in state NEW; NULL at a limit or without memory. is_tcp: a tunnel from the
 * start.
 */
struct stream *stream_create(struct client *client, const struct downstream *downstream, bool is_tcp);
/* Sets the texts of the exchange for the log, except the method, when the request head is parsed. */
void stream_note_request(struct stream *stream);
/* Microseconds since then, at least 1. */
uint32_t stream_us_since(const struct stream *stream, uint64_t then_ns);
/*
 * Keeps a copy of the texts for the log of a stream without exchange. user and tracing, which it takes, may
 * be NULL. 0 or -ENOMEM.
 */
int stream_keep_texts(struct stream *stream, const struct stream_texts *texts, const struct stream_user *user,
		      struct stream_tracing *tracing);
/*
 * The stream becomes a tunnel: frees the exchange, except its texts for the log. Without memory for those the
 * exchange stays.
 */
void stream_drop_exchange(struct stream *stream);
void stream_set_state(struct stream *stream, enum stream_state state);
/* True if the request body, if any, was read to its end. */
bool stream_has_whole_request(const struct stream *stream);
/*
 * True if the rest of the request body may be relayed after the response is complete, so that both
 * connections can be kept.
 */
bool stream_request_may_outlast(const struct stream *stream);
/* Arms the timer for the nearest deadline of the state. */
void stream_arm(struct stream *stream);
/*
 * Lets the sockmap lane take over a direction later, unless configured otherwise. with_credit: for a response
 * whose request is complete (user/kernel/sockmap/direction.h).
 */
void stream_offer_sockmap(struct stream *stream, struct relay *relay, bool with_credit);
/* The same for the lane direct: for a direction of a tunnel whose listener and backend both enable it. */
void stream_offer_direct(struct stream *stream, struct relay *relay);
/* When the stream becomes old enough for a checkpoint (checkpoint.h), loop time; 0: never. */
static inline uint64_t stream_look_ms(const struct stream *stream)
{
	uint32_t after_ms = stream->proxy->look_after_ms;

	return after_ms ? stream->start_ns / NS_PER_MS + after_ms : 0;
}
/* Runs this step and those that follow from it. Only event handlers call it (sockets, timers, dials). */
static inline void stream_run(struct stream *stream, enum stream_step step)
{
	stream->proxy->driver->run(stream, step);
}
/* Pumps the stream again in the next turn, after others had their turn. */
void stream_pump_again(struct stream *stream);

/*
 * Ends the stream: writes log, counters and history, and hands the connections back or closes them.
 * Idempotent.
 */
void stream_finish(struct stream *stream, enum end_reason reason, enum stream_end end);
/* Closes both descriptors: another process has duplicates, continues the stream, and logs its end. */
void stream_part(struct stream *stream);
void stream_fill_record(struct stream *stream, struct stream_record *record);
