/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/retry.h"
#include "policy/timeout.h"
#include "user/base/deadline.h"
#include "user/client/worker_state.h"
#include "user/http/framing.h"
#include "user/http/upgrade.h"
#include "user/relay/relay.h"

struct upstream_side;
struct client;
struct attempt_dial;
struct downstream;
struct upstream;

/*
 * One request with its response, or one tunnel: the object everything else serves. It has one state
 * (stream_states.def, changed by stream_set_state only), one timer, and ends exactly once, in
 * stream_finish().
 *
 * It owns its exchange and its hold on the configuration it started with; it borrows the client for its whole
 * life and an upstream for one attempt.
 */
enum stream_state {
#define STREAM_STATE(id, name, action, next) STREAM_##id,
#include "user/stream/stream_states.def"
#undef STREAM_STATE
	STREAM_STATE_COUNT,
};

/* One attempt of sending the request to one endpoint. */
struct attempt {
	struct upstream_endpoint *endpoint; /* one user count while the attempt runs */
	uint32_t endpoint_index; /* in the backend; UINT32_MAX: none yet */
	uint16_t retries_done; /* by policy */
	uint16_t tries_here; /* of the chosen backend; free retries do not count */
	uint8_t free_retries; /* a reused connection had died, or a shared one refused */
	bool was_moved : 1; /* a connection was refused, and it went elsewhere without a policy */
	bool is_fresh : 1; /* no pooled connection: after the free retry */
	bool was_refused : 1; /* by a connection of HTTP/2 that lives */
	bool is_counted : 1; /* a connection of its own, in the quota of the backend */
	bool is_retry : 1; /* counted in proxy->active_retries */
	bool needs_pause : 1; /* the failure was known before it was asked for */
	/* Why the last one failed, with STEP_FAILED and through BACKOFF; error: -errno where one is known. */
	enum try_outcome failed_outcome : 8;
	int failed_error;
	uint64_t connect_deadline_ms; /* loop time; 0: none, or nothing is being opened */
	struct previous_hosts
		*previous_hosts; /* owner; NULL: no attempt has failed yet, or no memory to note it */
	struct attempt_dial *dial; /* owner; NULL unless a connection is being opened or waited for */
};

/*
 * What comes next. Each phase of a stream (routing, an attempt, the response, a tunnel) returns its step, and
 * one loop takes it (driver.h). So no phase calls another one, however often an attempt fails. What a step
 * needs stands in the stream (step.h).
 */
enum stream_step {
	STEP_WAIT, /* for an event, a timer, or a turn that was asked for */
	STEP_ROUTE, /* the request is complete: exchange_route() */
	STEP_FORWARD, /* not held back any more: exchange_forward() */
	STEP_ATTEMPT, /* attempt_start() */
	STEP_ATTEMPT_AGAIN, /* attempt_again() */
	STEP_CONNECTED, /* the attempt has its connection: attempt_send() */
	STEP_FAILED, /* the attempt has failed, attempt.failed_outcome: attempt_failed() */
	STEP_RESPONSE, /* the final head of the backend is the answer: response_start() */
	STEP_TUNNEL, /* both sides are opaque from now on: tunnel_start() */
	STEP_REPLY, /* an answer of our own, exchange->reply: reply_start() */
	STEP_END, /* ending_reason, ending: stream_finish() */
	STEP_PUMP, /* bytes may move */
	STEP_COUNT,
};

/* How the client's connection ends with the stream. The backend's is kept when its exchange was complete. */
enum stream_end {
	STREAM_END_CLEAN, /* keep the client when it can be kept */
	STREAM_END_CLOSE, /* close the client after what was sent */
	STREAM_END_LINGER, /* the same, but the client may still be sending: let it read our answer first */
	STREAM_END_RESET, /* RST to whoever is still there */
};

/* An answer of our own. */
struct stream_reply {
	uint16_t status;
	enum end_reason reason;
	struct span body;
	struct span type; /* of the body; empty: text */
	struct span location; /* empty: none */
};

/* What was asked for, for the log. */
struct stream_texts {
	struct span method;
	struct span host; /* of a TLS route: the name in the ClientHello */
	struct span path;
};

/* What the last look at a client said that does not take its answer. */
struct read_watch {
	uint64_t since_ms; /* loop time: nothing was taken since, that is known of */
	uint64_t acked_bytes; /* by its kernel */
	bool is_behind; /* something waited for it */
};

struct mirror_plan;

/* What only a request with its response needs: a tunnel has none, or gives it back when it begins. */
struct exchange {
	struct arena arena;
	struct stream_texts texts;
	struct span error; /* text of an error of ours */
	struct span fault; /* why the TLS handshake of the attempt failed; in arena */
	struct span internal_fields; /* of a service of this process (internal_fields.h); in arena */
	const struct route_match *match; /* borrowed from the lease */
	struct request_head plain_head; /* the same for every backend; kept where another one may be tried */
	struct request_head head; /* as it goes to the chosen backend; in arena or downstream_head */
	struct h2_head *downstream_head; /* owner; NULL: not HTTP/2 */
	struct body_framing request_framing;
	struct upgrade_request upgrade;
	struct response_head response; /* in response_arena or upstream_head */
	struct h2_head *upstream_head; /* owner; NULL: not HTTP/2 */
	struct arena response_arena; /* of the running try */
	struct read_watch read_watch;
	struct replay
		replay; /* of the request body, for another attempt or a copy; empty where none may follow */
	struct mirror_plan *mirror_plans; /* copies that wait for the body (mirror.h); in arena */
	struct stream_reply reply; /* with STEP_REPLY */
	uint64_t repeat_pause_ns; /* with STEP_FAILED of TRY_RESPONSE: before the next attempt */
	/* Loop time. */
	uint64_t request_deadline_ms; /* 0: none */
	uint64_t try_deadline_ms; /* 0: none */
	uint64_t backoff_end_ms;
	uint64_t delay_end_ms;
	uint64_t reply_deadline_ms;
};

struct stream {
	struct proxy *proxy; /* borrowed */
	struct client *client; /* borrowed */
	const struct downstream *downstream; /* the client's side */
	struct h2_stream *
		/* one reference; NULL: the client's connection serves this stream alone */
		downstream_codec_h2;
	struct upstream *upstream; /* borrowed; NULL between attempts */
	const struct upstream_side *upstream_side; /* the backend's side; set with upstream */
	struct h2_stream *upstream_codec_h2; /* one reference; NULL: the upstream serves this stream alone */
	struct lease *lease; /* one reference */
	uint64_t handle;
	uint64_t id; /* unique in the process: worker above a serial number */
	enum stream_state state : 8;
	enum stream_deadline deadline : 8;
	bool is_tcp : 1; /* TCP or TLS route, no HTTP */
	bool is_tls : 1;
	bool is_upgraded : 1;
	bool is_grpc : 1; /* errors of ours are said in its terms */
	bool head_sent : 1; /* a final response head went to the client */
	bool upload_dead : 1; /* the backend no longer takes the request body */
	bool close_client : 1; /* the client connection cannot serve another request */
	bool is_continued : 1; /* the client got a 100 */
	bool client_keeps : 1;
	bool is_in_restart_state : 1; /* the new process could go on with it (checkpoint.h) */
	bool is_resumed : 1; /* another process began it, and died, or handed it over */
	bool is_unseen : 1; /* resumed, and not yet looked at: something may have come meanwhile */
	bool is_kept : 1; /* it is not handed over: its route is no more */
	bool has_stalled : 1; /* while both directions rested (quiesce.h) */
	uint16_t status; /* sent or to be sent, 0: none */
	int16_t grpc_status; /* seen or sent; -1: none */
	uint32_t reset_code; /* of the RST_STREAM that a backend sent; 0: none */
	uint16_t interim_count;
	uint32_t head_bytes; /* of HTTP/1, in proxy->head_budget */
	uint8_t client_major; /* 0: the head was not understood */
	uint8_t client_minor; /* HTTP/2 counts as 1.1 */
	enum end_reason reason : 8;
	enum end_reason ending_reason : 8; /* with STEP_END, like the next one */
	enum stream_end ending : 8;
	uint32_t delay_ms; /* an injected delay, 0: none */

	const struct listener *listener; /* these four borrowed from the lease */
	const struct route *route;
	const struct tcp_route *tcp_route;
	const struct backend_ref *backend;
	struct exchange *exchange; /* owner; NULL: a tunnel, of a TCP route or since it became one */
	struct stream_texts
		*texts; /* owner, with the bytes behind it; NULL: those of the exchange, or none */
	struct attempt attempt;
	struct relay upload;
	struct relay download;
	uint64_t start_ns;
	struct timer timer;
	struct loop_deferred again; /* pumps; or, closed, frees */
};

/* Who takes the steps of streams, for what stands below (driver.h): proxy->driver. */
struct stream_driver {
	void (*run)(struct stream *stream, enum stream_step step);
	void (*on_deadline)(struct timer *timer, uint64_t now_ms); /* of stream->timer */
};

const char *stream_state_name(enum stream_state state);
bool stream_state_allows(enum stream_state from, enum stream_state to);

/* A stream in state NEW of the client; NULL at a limit or without memory. is_tcp: a tunnel from the start. */
struct stream *stream_create(struct client *client, const struct downstream *downstream, bool is_tcp);
/* Of a stream without exchange: the log is told a copy of these. 0 or -ENOMEM. */
int stream_keep_texts(struct stream *stream, const struct stream_texts *texts);
/*
 * From here on a tunnel: gives back what was kept for the exchange, but for what the log is told. Without
 * memory for that it stays.
 */
void stream_drop_exchange(struct stream *stream);
void stream_set_state(struct stream *stream, enum stream_state state);
/* The request body, if there is one, was read to its end. */
bool stream_has_whole_request(const struct stream *stream);
/*
 * Whether the rest of the request body may be relayed after the response is complete, so that both
 * connections stay.
 */
bool stream_request_may_outlast(const struct stream *stream);
/* Arms the timer for the nearest deadline of the state. */
void stream_arm(struct stream *stream);
/* Lets the kernel lane take over a direction later, unless the configuration says no. credit: for a response
 * whose request is complete (user/kernel/sockmap/direction.h). */
void stream_offer_sockmap(struct stream *stream, struct relay *relay, bool with_credit);
/* The same for the lane direct: for a direction of a tunnel, where listener and backend agreed. */
void stream_offer_direct(struct stream *stream, struct relay *relay);
bool stream_wants_direct(const struct stream *stream);
/* When the stream is worth a look of checkpoint.h, loop time; 0: never. */
static inline uint64_t stream_look_ms(const struct stream *stream)
{
	uint32_t after_ms = stream->proxy->look_after_ms;

	return after_ms ? stream->start_ns / NS_PER_MS + after_ms : 0;
}
/* Takes this step and those that follow from it. Only events call it (sockets, timers, dials). */
static inline void stream_run(struct stream *stream, enum stream_step step)
{
	stream->proxy->driver->run(stream, step);
}
/* Bytes may move in the next turn: others are to have theirs first. */
void stream_pump_again(struct stream *stream);

/* The one end: log, counters, history; hands the connections back or closes them. Idempotent. */
void stream_finish(struct stream *stream, enum end_reason reason, enum stream_end end);
/* Another process has duplicates of both descriptors, goes on with it, and logs its end: ours close. */
void stream_part(struct stream *stream);
void stream_fill_record(struct stream *stream, struct stream_record *record);
