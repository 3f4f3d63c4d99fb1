/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: its two buffers, its timer, and the step function that is its present life (HTTP,
 * WebSocket, raw echo, closing). epoll is edge triggered, so is_readable and is_writable remember what the
 * kernel said until a call says EAGAIN; a connection that stops reading because its buffer is full costs no
 * system call.
 *
 * conn_run is the only loop: read, step, write, until none of the three moves or the turn's budget is used
 * up.
 */
#ifndef HTTPBIN_CONN_H
#define HTTPBIN_CONN_H

#include "tests/origin/body.h"
#include "tests/origin/request.h"
#include "tests/origin/text.h"

#define CONN_IN_BYTES (64u * 1024u)
/* Producers stop adding when this much waits to be sent. */
#define CONN_OUT_HIGH (64u * 1024u)
#define CONN_STATE_WORDS 24
#define CONN_LINGER_MS 2000u
#define NS_PER_MS 1000000u
#define TIMERS_NONE SIZE_MAX

struct worker;
struct endpoint;
struct conn;

/* Does what can be done now; true when input was taken, output made or the state changed. */
typedef bool conn_step_fn(struct conn *conn);

enum conn_ending {
	END_GRACEFUL, /* send everything, FIN, read on until the peer's FIN; in HTTP mode at most
			 CONN_LINGER_MS */
	END_FIN, /* send everything, close at once */
	END_RST, /* send everything, wait end_delay_ms so that it arrives, reset */
};

/* One HTTP request and its answer. */
struct exchange {
	struct request request; /* borrows from conn->in, whose head part stays until the exchange ends */
	struct body body;
	const struct endpoint *endpoint;
	uint64_t serial; /* of the request on its connection, from 1 */
	bool is_active;
	bool is_started; /* the endpoint was asked to answer */
	bool is_answered; /* the last byte of the answer was made */
	bool is_chunked; /* the answer is */
	bool is_kept; /* connection stays after the answer */
	struct buffer stash; /* owner; what the endpoint keeps of the body */
	uint64_t due_ns; /* for the endpoint's own timing */
	union {
		uint64_t words[CONN_STATE_WORDS]; /* zero when the endpoint starts */
		void *align;
	} state;
};

struct conn {
	struct worker *worker; /* borrowed */
	int fd;
	conn_step_fn *step;
	struct buffer in; /* owner */
	size_t in_floor; /* bytes at the front of in that must not move */
	size_t in_scanned; /* how far the head was looked at, from in.start */
	struct buffer out; /* owner */
	uint64_t pattern_offset;
	uint64_t pattern_left; /* pattern bytes to send after out */
	uint64_t sent_bytes;
	uint64_t deadline_ns; /* 0: none */
	uint64_t timer_key_ns;
	size_t timer_index; /* in the worker's heap, TIMERS_NONE outside */
	uint64_t serial; /* of the connection in the process, from 1 */
	uint64_t idle_since_ns;
	struct exchange exchange;
	enum conn_ending ending;
	uint64_t end_delay_ms;
	struct conn *next; /* in the free, dead or ready list */
	bool is_readable;
	bool is_writable;
	bool has_rdhup; /* the peer's FIN has arrived, behind what is unread */
	bool in_eof; /* it was read */
	bool is_out_shut;
	bool is_closed;
	bool is_ready; /* in the ready list */
};

/* The connection's endpoint state as its own struct; the struct must fit in CONN_STATE_WORDS. */
#define CONN_STATE(conn, type)                                                                               \
	({                                                                                                   \
		_Static_assert(sizeof(type) <= sizeof((conn)->exchange.state), "state too large");           \
		(type *)(void *)&(conn)->exchange.state;                                                     \
	})

/* Takes over fd. NULL when memory is short (fd is closed then). */
struct conn *conn_create(struct worker *worker, int fd, conn_step_fn *step);
void conn_run(struct conn *conn);
/* Wakes conn_run at a time of the worker's clock; 0 forgets. */
void conn_wake_at(struct conn *conn, uint64_t when_ns);

struct text conn_input(const struct conn *conn);
void conn_take(struct conn *conn, size_t size);
bool conn_out_has_capacity(const struct conn *conn);
bool conn_out_is_empty(const struct conn *conn);
/* Queues pattern bytes behind everything queued before; nothing may be queued behind them until they are
 * sent. */
void conn_send_pattern(struct conn *conn, uint64_t offset, uint64_t size);

/* Sends what is queued, then ends; the connection makes and takes nothing more. */
void conn_end(struct conn *conn, enum conn_ending ending, uint64_t delay_ms);
/* Ends now. The struct stays until the end of the turn. */
void conn_close(struct conn *conn);
void conn_reset(struct conn *conn);
/* Frees a closed connection. */
void conn_free(struct conn *conn);

#endif
