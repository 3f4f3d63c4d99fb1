/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"
#include "user/relay/h2_link.h"

/*
 * The HTTP/2 part of a client connection: the link, and the number of streams on it. Each request is a struct
 * stream with downstream_codec_h2.
 *
 * A graceful shutdown has two steps (RFC 9113 6.8): a GOAWAY without a limit, and LIMIT_H2_GOAWAY_MS later,
 * when requests in flight have arrived, a GOAWAY that names the last stream. Running streams complete, and
 * the connection closes after the last one. Without streams both steps are one.
 */
struct client_h2 {
	struct h2_link link;
	struct client *client; /* borrowed */
	/* Includes streams that have ended for the session but still forward their request. */
	uint32_t stream_count;
	uint32_t max_streams; /* announced in SETTINGS */
	bool is_announced; /* the first GOAWAY was sent */
	bool is_refusing; /* the second GOAWAY was sent */
	enum end_reason end_reason; /* of the graceful shutdown */
	uint64_t refuse_ms;
	uint64_t idle_timeout_ms; /* 0: off */
	uint64_t idle_deadline_ms; /* without streams; 0: none */
	uint64_t head_timeout_ms; /* 0: off */
	uint64_t head_deadline_ms; /* of the header section being received; 0: none */
	uint64_t open_section; /* number of that section; 0: none */
	bool is_counted; /* the streams have counted why the connection ended */
	bool is_head_late;
	uint64_t seen_pings;
	uint64_t acked_bytes; /* acknowledged bytes at the last check, while the connection ends */
};

/*
 * True if the head is the first 18 bytes of the HTTP/2 client preface (RFC 9113 3.4), read as an HTTP/1 head.
 */
bool client_h2_is_preface(struct span head);
/* Makes the connection an HTTP/2 one. `head`: the bytes read so far; conn.in holds the rest. */
void client_h2_start(struct client *client, struct span head);
/* When the earliest HTTP/2 deadline expires, loop time; 0: never. */
uint64_t client_h2_due_ms(const struct client_h2 *h2);
void client_h2_on_timer(struct client *client, uint64_t now_ms);
/* Takes no more requests: an idle connection closes now, others after their streams. Idempotent. */
void client_h2_end(struct client *client, enum end_reason reason);
/*
 * For a connection that is ending: true if output is left and the client has acknowledged some since the last
 * call. Closing then would truncate the last response: an HTTP/2 client that reads also writes, and its
 * frames would meet a closed socket and cause a reset.
 */
bool client_h2_is_reading(struct client *client);
/* A stream of the connection has ended. */
void client_h2_stream_over(struct client *client);
/* True if streams count why the connection ended. h2 == NULL: false. */
static inline bool client_h2_counts(const struct client_h2 *h2)
{
	return h2 && (h2->is_counted || h2->stream_count);
}
/*
 * Ends every stream, because the connection has ended. No callback of the link runs afterwards. Idempotent.
 */
void client_h2_finish_streams(struct client *client, enum end_reason reason);
void client_h2_free(struct client_h2 *h2); /* NULL is fine */
