/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/client_h2.h"

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/client/admission.h"
#include "user/net/socket.h"
#include "user/upstream/upstream_h2.h"

bool client_h2_is_preface(struct span head)
{
	return span_eq(head, SPAN("PRI * HTTP/2.0\r\n\r\n"));
}

/* ----------------------------------------------------------------------------- idle and graceful shutdown */

static void client_h2_begin_idle(struct client *client)
{
	struct client_h2 *h2 = client->h2;

	h2->idle_deadline_ms = h2->idle_timeout_ms ? proxy_now_ms(client->proxy) + h2->idle_timeout_ms : 0;
}

uint64_t client_h2_due_ms(const struct client_h2 *h2)
{
	uint64_t at_ms = h2->stream_count ? 0 : h2->idle_deadline_ms;

	if (h2->is_announced && !h2->is_refusing)
		at_ms = h2->refuse_ms;
	if (h2->head_deadline_ms && (!at_ms || h2->head_deadline_ms < at_ms))
		at_ms = h2->head_deadline_ms;
	return at_ms;
}

bool client_h2_is_reading(struct client *client)
{
	uint64_t acked_bytes = conn_acked_bytes(&client->conn);
	bool has_read = acked_bytes != client->h2->acked_bytes;

	client->h2->acked_bytes = acked_bytes;
	return has_read && conn_is_behind(&client->conn);
}

/*
 * No stream is left: the link ends once the last frames are sent. A client that does not read them in time is
 * closed by the idle deadline.
 */
static void client_h2_leave(struct client *client)
{
	client->h2->idle_deadline_ms = proxy_now_ms(client->proxy) + LIMIT_REPLY_MS;
	client->h2->link.is_leaving = true;
	h2_link_touch(&client->h2->link);
	client_arm(client);
}

static void client_h2_refuse(struct client *client)
{
	struct client_h2 *h2 = client->h2;

	h2->is_refusing = true;
	if (h2_session_refuse_more(h2->link.session) < 0) {
		client_close(client, END_INTERNAL, true);
		return;
	}
	h2_link_touch(&h2->link);
	if (h2->stream_count == 0)
		client_h2_leave(client);
}

void client_h2_end(struct client *client, enum end_reason reason)
{
	struct client_h2 *h2 = client->h2;

	if (h2->is_announced || h2->link.is_ended)
		return;
	h2->is_announced = true;
	h2->end_reason = reason;
	if (h2->stream_count == 0) {
		client_h2_refuse(client);
		return;
	}
	h2->refuse_ms = proxy_now_ms(client->proxy) + LIMIT_H2_GOAWAY_MS;
	(void)h2_session_announce_end(h2->link.session);
	h2_link_touch(&h2->link);
	client_arm(client);
}

/*
 * True if the section is still incomplete after its deadline. Its rest may have arrived in this turn without
 * its event having been delivered, so look first.
 */
static bool client_h2_is_head_late(struct client *client, uint64_t now_ms)
{
	struct client_h2 *h2 = client->h2;
	uint64_t section = h2->open_section;

	if (!h2->head_deadline_ms || now_ms < h2->head_deadline_ms)
		return false;
	if (conn_has_unread(&client->conn)) {
		conn_look_again(&client->conn);
		h2_link_run(&h2->link);
	}
	return !h2->link.is_ended && h2->open_section == section;
}

void client_h2_on_timer(struct client *client, uint64_t now_ms)
{
	struct client_h2 *h2 = client->h2;

	/* No other frame may be received before the section is complete, so the whole connection ends. */
	if (client_h2_is_head_late(client, now_ms)) {
		h2->is_head_late = true;
		h2_link_fail(&h2->link, H2_ENHANCE_YOUR_CALM);
		return;
	}
	if (client->state != CLIENT_H2)
		return;
	if (h2->is_announced && !h2->is_refusing && now_ms >= h2->refuse_ms) {
		client_h2_refuse(client);
	} else if (h2->stream_count == 0 && h2->idle_deadline_ms && now_ms >= h2->idle_deadline_ms) {
		if (h2->is_refusing && client_h2_is_reading(client))
			h2->idle_deadline_ms = now_ms + LIMIT_REPLY_MS;
		else if (h2->is_refusing)
			client_close(client, END_OK, true);
		else
			client_h2_end(client, END_KEEPALIVE_IDLE);
	}
	if (client->state == CLIENT_H2)
		client_arm(client);
}

void client_h2_stream_over(struct client *client)
{
	struct client_h2 *h2 = client->h2;

	CHECK(h2->stream_count > 0);
	h2->stream_count--;
	admission_give_request(client->peer);
	client_note_idle(client);
	if (h2->link.is_ended)
		return;
	h2_link_touch(&h2->link);
	if (h2->stream_count)
		return;
	client_h2_begin_idle(client);
	if (client_is_ending(client) && !h2->is_announced)
		client_h2_end(client, client->is_age_over ? END_OK : END_DRAINED);
	else if (h2->is_announced && !h2->is_refusing)
		client_h2_refuse(client);
	else if (h2->is_refusing)
		client_h2_leave(client);
	else
		client_arm(client);
}

/* ------------------------------------------------------------------------------------ the link */

/*
 * Limits streams here, too: the session no longer counts a stream that is complete in both directions, but a
 * response that ends before its request was forwarded leaves payload buffered here.
 */
static bool client_h2_is_full(const struct client_h2 *h2)
{
	return h2->stream_count >= LIMIT_H2_STREAMS_FACTOR * h2->max_streams;
}

static void client_h2_on_news(struct h2_link *link, struct h2_stream *h2_stream)
{
	struct client_h2 *h2 = container_of(link, struct client_h2, link);
	struct client *client = h2->client;

	if (h2_stream->owner) {
		h2_stream->news = 0;
		client->proxy->handler->on_ready(h2_stream->owner);
		return;
	}
	/* A reset that arrived together with these frames: no backend gets the requests. */
	if (conn_check(&client->conn) < 0) {
		h2_stream_release(h2_stream, H2_REFUSED_STREAM);
		return;
	}
	if (client_h2_is_full(h2) || !admission_take_request(client->proxy, client->peer)) {
		h2_stream_release(h2_stream, H2_REFUSED_STREAM);
		h2_link_touch(link);
		return;
	}
	client->requests++;
	h2->stream_count++;
	client_note_idle(client);
	/* The stream began before the client received the GOAWAY, which covers it: do not leave yet. */
	link->is_leaving = false;
	client->proxy->handler->begin_h2_request(client, h2_stream);
}

/*
 * A client that sends PINGs, or answers ours, keeps the connection alive. Other frames without a stream prove
 * less, and an endless header section must not postpone the deadline.
 */
static void client_h2_on_fed(struct h2_link *link)
{
	struct client_h2 *h2 = container_of(link, struct client_h2, link);
	uint64_t pings = h2_session_pings(link->session);
	uint64_t section = h2_session_open_section(link->session);

	if (section != h2->open_section) {
		h2->open_section = section;
		h2->head_deadline_ms = 0;
		if (section && h2->head_timeout_ms) {
			h2->head_deadline_ms = proxy_now_ms(h2->client->proxy) + h2->head_timeout_ms;
			client_arm(h2->client);
		}
	}
	/*
	 * While the connection ends, idle_deadline_ms has another meaning. Otherwise it moves without
	 * re-arming: the timer checks it when it fires.
	 */
	if (pings == h2->seen_pings || h2->is_refusing)
		return;
	h2->seen_pings = pings;
	client_h2_begin_idle(h2->client);
}

static enum end_reason client_h2_reason(const struct client *client, enum h2_link_end end)
{
	bool is_silent =
		socket_failure_of(client->conn.error ? client->conn.error : client->conn.send_error) ==
		SOCKET_FAILURE_TIMED_OUT;

	switch (end) {
	case H2_LINK_OVER:
		return END_OK;
	case H2_LINK_EOF:
		return END_CLIENT_FIN;
	case H2_LINK_ERROR:
		return is_silent ? END_USER_TIMEOUT : END_CLIENT_RST;
	case H2_LINK_PROTOCOL:
		return client->h2->is_head_late ? END_HEAD_TIMEOUT : END_REQUEST_BAD;
	case H2_LINK_FLOOD:
		return END_H2_FLOOD;
	case H2_LINK_PING:
		return END_PING_TIMEOUT;
	case H2_LINK_MEMORY:
		break;
	}
	return END_INTERNAL;
}

void client_h2_finish_streams(struct client *client, enum end_reason reason)
{
	struct client_h2 *h2 = client->h2;
	struct h2_stream *h2_stream;

	h2_link_close(&h2->link);
	if (!h2->link.session)
		return;
	h2_session_abort(h2->link.session);
	/* Includes complete streams that still forward their request. */
	while ((h2_stream = h2_session_any(h2->link.session)) != NULL) {
		if (h2_stream->owner)
			client->proxy->handler->on_close(h2_stream->owner, reason);
		else
			h2_stream_release(h2_stream, H2_INTERNAL_ERROR);
	}
}

static void client_h2_on_end(struct h2_link *link, enum h2_link_end end)
{
	struct client_h2 *h2 = container_of(link, struct client_h2, link);
	struct client *client = h2->client;
	enum end_reason reason = client_h2_reason(client, end);
	bool had_streams = h2->stream_count != 0;

	h2->is_counted = had_streams;
	if ((end == H2_LINK_PROTOCOL || end == H2_LINK_FLOOD) && !had_streams)
		client->proxy->handler->log_end(client, reason, (struct span){ 0 });
	if (end == H2_LINK_PROTOCOL)
		counter_add(client->proxy->counters, COUNTER_BAD_REQUESTS, 1);
	if (end == H2_LINK_FLOOD)
		counter_h2_flood(client->proxy->counters, h2_session_flood(link->session));
	if (end == H2_LINK_OVER)
		reason = h2->end_reason;
	client_h2_finish_streams(client, reason);
	if ((end == H2_LINK_OVER || end == H2_LINK_PROTOCOL || end == H2_LINK_FLOOD) &&
	    !conn_has_output(&client->conn)) {
		/* The GOAWAY was sent: linger, so that no reset makes the client discard it. */
		if (reason != END_OK && !had_streams)
			counter_end(client->proxy->counters, reason);
		client_linger(client);
		return;
	}
	if (end == H2_LINK_EOF && !had_streams)
		reason = END_OK;
	client_close(client, reason, end == H2_LINK_ERROR || end == H2_LINK_PING);
}

/* ------------------------------------------------------------------------------------ life */

void client_h2_start(struct client *client, struct span head)
{
	struct h2_settings settings;
	struct h2_options options;
	struct client_h2 *h2 = hg_calloc(1, sizeof(*h2));
	struct buf rest;

	client->h2 = h2;
	h2_settings_of_client(client->bind->bind->http, &client->proxy->lease->snapshot->config, &settings);
	options = h2_options_of(H2_SERVER, &settings);
	options.allows_connect_protocol = true;
	options.heads_bytes = client->proxy->lease->snapshot->config.connection_head_bytes;
	options.head_budget = &client->proxy->head_budget;
	if (!h2 || h2_link_open(&h2->link, &client->proxy->relay, &client->conn, &options) < 0) {
		client_close(client, END_INTERNAL, true);
		return;
	}
	h2->client = client;
	h2->max_streams = settings.max_streams;
	h2->idle_timeout_ms = ns_to_ms(client->proxy->lease->snapshot->config.http2.idle_ns);
	h2->head_timeout_ms = ns_to_ms(client->proxy->lease->snapshot->config.timeouts.client_header_min_ns);
	h2->link.on_fed = client_h2_on_fed;
	h2->link.on_news = client_h2_on_news;
	h2->link.on_end = client_h2_on_end;
	client_h2_begin_idle(client);
	client_set_state(client, CLIENT_H2);
	counter_add(client->proxy->counters, COUNTER_H2_CONNECTIONS, 1);
	h2_link_set_ping(&h2->link, ns_to_ms(settings.ping_interval_ns), ns_to_ms(settings.ping_timeout_ns));
	/* Streams that begin here must not read the bytes in conn.in. */
	rest = client->conn.in;
	buf_init(&client->conn.in);
	h2_link_feed(&h2->link, head);
	if (!h2->link.is_ended)
		h2_link_feed(&h2->link, buf_span(&rest));
	buf_done(&rest);
	if (!h2->link.is_ended)
		h2_link_run(&h2->link);
	/* The preface arrived after the drain had ended the other connections. */
	if (client->state == CLIENT_H2 && proxy_is_closing(client->proxy))
		client_h2_end(client, END_DRAINED);
}

void client_h2_free(struct client_h2 *h2)
{
	if (!h2)
		return;
	h2_link_done(&h2->link);
	hg_free(h2);
}
