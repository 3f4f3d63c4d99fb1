/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/jwk_fetcher.h"

#include <errno.h>
#include <stdio.h>

#include "config/snapshot.h"
#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/http/h1_write.h"

enum {
	TICK_MS = 1000,
	CONNECT_MS = 5000,
	FETCH_MS = 10000, /* the whole exchange */
	KEEP_S = 15 * 60, /* without max-age */
	KEEP_MIN_S = 60,
	KEEP_MAX_S = 24 * 3600,
	RETRY_MS = 15 * 1000, /* after a failure */
	MISS_MS = 10 * 1000, /* between attempts that unknown keys cause */
};

/* One URL. */
struct jwk_entry {
	struct list node;
	struct jwk_fetcher *fetcher;
	struct jwk_source *source; /* one reference */
	struct snapshot *snapshot; /* one reference to the one in force; NULL: it does not name the URL */
	const struct jwk_remote *remote; /* of it */
	struct jwk_fetch *fetch; /* NULL: none under way */
	uint64_t next_ms; /* loop time, 0: at once */
	uint64_t tried_ms;
	uint32_t attempts; /* counts, for the choice of an endpoint */
	struct span url; /* behind the object */
};

/* One request. It outlives its entry by a turn. */
struct jwk_fetch {
	struct list node;
	struct jwk_entry *entry; /* NULL: nobody wants the result */
	struct upstream_pool *pool;
	struct upstream_endpoint *endpoint; /* one user count */
	struct snapshot *snapshot; /* one reference: the client borrows from it */
	struct http1_client client;
	struct buf body;
	uint16_t status;
	uint64_t keep_s;
	uint32_t written_keep_s; /* 0: the response says */
	struct loop_deferred release;
};

/* -------------------------------------------------------------------------------- the end of a request */

static void fetch_free(struct jwk_fetch *fetch)
{
	list_remove(&fetch->node);
	http1_client_done(&fetch->client);
	if (fetch->endpoint)
		upstream_pool_leave(fetch->pool, fetch->endpoint);
	buf_done(&fetch->body);
	snapshot_unref(fetch->snapshot);
	hg_free(fetch);
}

static void fetch_on_release(struct loop_deferred *deferred)
{
	fetch_free(container_of(deferred, struct jwk_fetch, release));
}

static void fetch_close(struct jwk_fetch *fetch)
{
	http1_client_stop(&fetch->client);
	if (fetch->entry)
		fetch->entry->fetch = NULL;
	fetch->entry = NULL;
	loop_defer(fetch->pool->loop, &fetch->release);
}

static void entry_failed(struct jwk_entry *entry, const char *why)
{
	uint64_t fetched_s = jwk_source_fetched_s(entry->source);
	uint64_t age_s = clock_wall_us() / US_PER_S - fetched_s;

	entry->next_ms = loop_now_ms(entry->fetcher->loop) + RETRY_MS;
	if (fetched_s)
		log_warn("keys from %.*s could not be fetched: %s; those of %llu s ago stay in use",
			 SPAN_FMT(entry->url), why, (unsigned long long)age_s);
	else
		log_warn("keys from %.*s could not be fetched: %s; requests with tokens of this issuer get "
			 "503",
			 SPAN_FMT(entry->url), why);
}

static const char *parse_fault(int result)
{
	switch (result) {
	case -EBADMSG:
		return "the response is not a set of keys";
	case -ENOKEY:
		return "no key in the response can verify tokens";
	case -E2BIG:
		return "the response is too large";
	default:
		return "no memory";
	}
}

static void entry_take(struct jwk_entry *entry, struct span text, uint64_t keep_s)
{
	struct jwk_report report;
	struct jwk_set *set = NULL;
	int result = jwk_set_parse(text, &set, &report);

	if (result < 0) {
		entry_failed(entry, parse_fault(result));
		return;
	}
	if (report.left_out)
		log_info("keys from %.*s: %u cannot verify tokens; the one at index %u: %s",
			 SPAN_FMT(entry->url), report.left_out, report.index, report.what);
	entry->next_ms = loop_now_ms(entry->fetcher->loop) + keep_s * 1000;
	jwk_source_replace(entry->source, set, clock_wall_us() / US_PER_S);
}

static void fetch_on_end(struct http1_client *client, struct span why)
{
	struct jwk_fetch *fetch = container_of(client, struct jwk_fetch, client);
	struct jwk_entry *entry = fetch->entry;
	char text[128];

	if (why.len) {
		snprintf(text, sizeof(text), "%.*s", SPAN_FMT(why));
		entry_failed(entry, text);
	} else if (fetch->status != 200) {
		snprintf(text, sizeof(text), "the response has the status %u", fetch->status);
		entry_failed(entry, text);
	} else {
		entry_take(entry, buf_span(&fetch->body), fetch->keep_s);
	}
	fetch_close(fetch);
}

/* -------------------------------------------------------------------------------- the response */

/* RFC 9111 5.2.2.1: the first max-age of Cache-Control. */
static uint64_t max_age_of(const struct fields *fields)
{
	uint64_t seconds;

	for (uint32_t i = 0; i < fields->count; i++) {
		struct span rest = fields->list[i].value, directive;

		if (!span_eq_nocase(fields->list[i].name, SPAN("cache-control")))
			continue;
		while (span_split(&rest, ',', &directive)) {
			directive = span_trim(directive);
			if (span_eq_nocase(span_first(directive, 8), SPAN("max-age=")) &&
			    span_parse_u63(span_from(directive, 8), &seconds) == 0)
				return seconds;
		}
	}
	return KEEP_S;
}

static uint64_t keep_of(const struct fields *fields)
{
	uint64_t seconds = max_age_of(fields);

	if (seconds < KEEP_MIN_S)
		return KEEP_MIN_S;
	return seconds < KEEP_MAX_S ? seconds : KEEP_MAX_S;
}

static bool fetch_on_head(struct http1_client *client, const struct response_head *head)
{
	struct jwk_fetch *fetch = container_of(client, struct jwk_fetch, client);

	fetch->status = head->status;
	fetch->keep_s = fetch->written_keep_s ? fetch->written_keep_s : keep_of(&head->fields);
	return true;
}

static void fetch_on_body(struct http1_client *client, struct span payload)
{
	struct jwk_fetch *fetch = container_of(client, struct jwk_fetch, client);
	int error = fetch->entry ? buf_append(&fetch->body, payload, JWK_SET_BYTES) : 0;

	if (!error)
		return;
	entry_failed(fetch->entry, error == -ENOBUFS ? "the response is too large" : "no memory");
	fetch_close(fetch);
}

static const struct http1_client_ops fetch_ops = {
	.on_head = fetch_on_head,
	.on_body = fetch_on_body,
	.on_end = fetch_on_end,
};

/* -------------------------------------------------------------------------------- the request */

static int fetch_write(struct jwk_fetch *fetch, const struct jwk_remote *remote)
{
	struct h1_write_options options = { .version_minor = 1 };
	struct body_framing framing = { .kind = BODY_NONE };
	struct request_head head = { .method = METHOD_GET,
				     .method_text = SPAN("GET"),
				     .path = remote->path,
				     .authority = remote->authority.len ? remote->authority
									: remote->backend->authority,
				     .version_major = 1,
				     .version_minor = 1 };
	ptrdiff_t query = span_find(remote->path, '?');
	struct arena arena;
	int error;

	if (query >= 0) {
		head.has_query = true;
		head.query = span_from(remote->path, (size_t)query + 1);
		head.path = span_first(remote->path, (size_t)query);
	}
	arena_init(&arena, 512);
	fields_init(&head.fields, &arena);
	error = fields_add(&head.fields, SPAN("accept"), SPAN("application/json"));
	if (!error)
		error = fields_add(&head.fields, SPAN("user-agent"), SPAN("headgate"));
	if (!error)
		error = h1_write_request(&fetch->client.out, &head, &framing, &options);
	arena_done(&arena);
	return error;
}

/* Several policies may name the same keys. 0: none says how long. */
static uint32_t shortest_keep_s(const struct snapshot *snapshot, struct span url)
{
	uint32_t shortest = 0;

	for (uint32_t i = 0; i < snapshot->jwk_remote_count; i++) {
		const struct jwk_remote *remote = &snapshot->jwk_remote_list[i];

		if (remote->keep_s && span_eq(remote->url, url) && (!shortest || remote->keep_s < shortest))
			shortest = remote->keep_s;
	}
	return shortest;
}

static struct jwk_fetch *fetch_create(struct jwk_entry *entry)
{
	struct jwk_fetcher *fetcher = entry->fetcher;
	const struct jwk_remote *remote = entry->remote;
	const struct tls_client_settings *tls = remote->tls ? &remote->tls->settings : NULL;
	struct upstream_wants wants = { .keepalive = &entry->snapshot->config.upstream_keepalives,
					.tls = tls };
	const struct backend *backend = snapshot_backend(entry->snapshot, remote->backend);
	const struct endpoint *where = &backend->endpoint_list[entry->attempts % backend->endpoint_count];
	struct jwk_fetch *fetch = hg_calloc(1, sizeof(*fetch));

	if (!fetch)
		return NULL;
	list_add_tail(&fetcher->fetches, &fetch->node);
	fetch->pool = &fetcher->outbound->pool;
	fetch->written_keep_s = shortest_keep_s(entry->snapshot, entry->url);
	fetch->snapshot = snapshot_ref(entry->snapshot);
	buf_init(&fetch->body);
	loop_deferred_init(&fetch->release, fetch_on_release);
	http1_client_init(&fetch->client, fetch->pool, fetcher->outbound->relay.scratch, METHOD_GET,
			  &fetch_ops);
	fetch->endpoint = upstream_pool_endpoint(fetch->pool, where, &wants);
	if (!fetch->endpoint || fetch_write(fetch, remote) < 0) {
		fetch_free(fetch);
		return NULL;
	}
	fetch->client.options =
		(struct dial_options){ .where = where, .endpoint = fetch->endpoint, .tls = tls };
	fetch->client.connect_ms = CONNECT_MS;
	fetch->client.may_repeat = true;
	fetch->entry = entry;
	return fetch;
}

static void entry_fetch(struct jwk_entry *entry, uint64_t now_ms)
{
	const struct jwk_remote *remote = entry->remote;

	entry->tried_ms = now_ms;
	if (snapshot_backend(entry->snapshot, remote->backend)->endpoint_count == 0) {
		entry_failed(entry, "the backend has no endpoints");
		return;
	}
	if (remote->tls && remote->tls->invalid_reason.len) {
		entry_failed(entry, "the TLS settings of the backend are not valid");
		return;
	}
	entry->fetch = fetch_create(entry);
	entry->attempts++;
	if (!entry->fetch) {
		entry_failed(entry, "no memory");
		return;
	}
	http1_client_start(&entry->fetch->client);
	if (entry->fetch)
		http1_client_limit(&entry->fetch->client, FETCH_MS);
}

/* -------------------------------------------------------------------------------- entries */

static void entry_forget_snapshot(struct jwk_entry *entry)
{
	if (entry->fetch)
		fetch_close(entry->fetch);
	snapshot_unref(entry->snapshot);
	entry->snapshot = NULL;
	entry->remote = NULL;
}

static void entry_free(struct jwk_entry *entry)
{
	entry_forget_snapshot(entry);
	list_remove(&entry->node);
	jwk_source_unref(entry->source);
	hg_free(entry);
}

static struct jwk_entry *entry_find(struct jwk_fetcher *fetcher, struct span url)
{
	list_each(node, next, &fetcher->entries) {
		struct jwk_entry *entry = list_entry(node, struct jwk_entry, node);

		if (span_eq(entry->url, url))
			return entry;
	}
	return NULL;
}

/* NULL without memory. */
static struct jwk_entry *entry_of(struct jwk_fetcher *fetcher, struct span url)
{
	struct jwk_entry *entry = entry_find(fetcher, url);

	if (entry)
		return entry;
	entry = hg_calloc(1, sizeof(*entry) + url.len);
	if (!entry)
		return NULL;
	entry->source = jwk_source_create(NULL);
	if (!entry->source) {
		hg_free(entry);
		return NULL;
	}
	entry->fetcher = fetcher;
	memcpy(entry + 1, url.data, url.len);
	entry->url = span_of(entry + 1, url.len);
	list_add_tail(&fetcher->entries, &entry->node);
	return entry;
}

static void fetcher_on_tick(struct timer *timer, uint64_t now_ms)
{
	struct jwk_fetcher *fetcher = container_of(timer, struct jwk_fetcher, tick);

	list_each(node, next, &fetcher->entries) {
		struct jwk_entry *entry = list_entry(node, struct jwk_entry, node);

		if (entry->fetch || !entry->snapshot)
			continue;
		if (now_ms >= entry->next_ms ||
		    (now_ms >= entry->tried_ms + MISS_MS && jwk_source_take_miss(entry->source)))
			entry_fetch(entry, now_ms);
	}
	if (!list_is_empty(&fetcher->entries))
		timer_arm(loop_timers(fetcher->loop), timer, now_ms + TICK_MS);
}

static void drop_source(void *source)
{
	jwk_source_unref(source);
}

/* -------------------------------------------------------------------------------- all of it */

void jwk_fetcher_init(struct jwk_fetcher *fetcher, struct outbound *outbound)
{
	*fetcher = (struct jwk_fetcher){ .loop = outbound->loop, .outbound = outbound };
	list_init(&fetcher->entries);
	list_init(&fetcher->fetches);
	timer_init(&fetcher->tick, fetcher_on_tick);
}

void jwk_fetcher_done(struct jwk_fetcher *fetcher)
{
	if (!fetcher->loop)
		return;
	timer_cancel(loop_timers(fetcher->loop), &fetcher->tick);
	while (!list_is_empty(&fetcher->entries))
		entry_free(list_entry(fetcher->entries.next, struct jwk_entry, node));
	/* No turn of the loop follows. */
	while (!list_is_empty(&fetcher->fetches)) {
		struct jwk_fetch *fetch = list_entry(fetcher->fetches.next, struct jwk_fetch, node);

		loop_deferred_cancel(&fetch->release);
		fetch_free(fetch);
	}
}

int jwk_fetcher_attach(struct jwk_fetcher *fetcher, struct snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->jwk_remote_count; i++) {
		struct jwk_remote *remote = &snapshot->jwk_remote_list[i];
		struct jwk_entry *entry = entry_of(fetcher, remote->url);

		if (!entry || outbound_open(fetcher->outbound) < 0)
			return -ENOMEM;
		if (snapshot_add_destructor(snapshot, drop_source, jwk_source_ref(entry->source)) < 0) {
			jwk_source_unref(entry->source);
			return -ENOMEM;
		}
		remote->provider->keys = entry->source;
	}
	return 0;
}

static const struct jwk_remote *remote_of(const struct snapshot *snapshot, struct span url)
{
	for (uint32_t i = 0; i < snapshot->jwk_remote_count; i++)
		if (span_eq(snapshot->jwk_remote_list[i].url, url))
			return &snapshot->jwk_remote_list[i];
	return NULL;
}

void jwk_fetcher_follow(struct jwk_fetcher *fetcher, struct snapshot *snapshot)
{
	list_each(node, next, &fetcher->entries) {
		struct jwk_entry *entry = list_entry(node, struct jwk_entry, node);
		const struct jwk_remote *remote = remote_of(snapshot, entry->url);

		/* A copy with other endpoints: what is being fetched goes on. */
		if (entry->snapshot && snapshot_base(entry->snapshot) == snapshot_base(snapshot)) {
			snapshot_ref(snapshot);
			snapshot_unref(entry->snapshot);
			entry->snapshot = snapshot;
			continue;
		}
		entry_forget_snapshot(entry);
		if (!remote) {
			entry_free(entry);
			continue;
		}
		entry->snapshot = snapshot_ref(snapshot);
		entry->remote = remote;
	}
	if (!list_is_empty(&fetcher->entries))
		fetcher_on_tick(&fetcher->tick, loop_now_ms(fetcher->loop));
}
