/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/fetcher.h"

#include <errno.h>
#include <stdio.h>

#include "config/snapshot.h"
#include "user/base/clock.h"
#include "user/base/hash.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/gateway/fetch_kind.h"
#include "user/http/h1_write.h"

enum {
	TICK_MS = 1000,
	CONNECT_MS = 5000,
	FETCH_MS = 10000, /* the whole exchange */
	KEEP_S = 15 * 60, /* without max-age */
	KEEP_MIN_S = 60,
	KEEP_MAX_S = 24 * 3600,
	RETRY_MIN_MS = 1000, /* after a failure; after each further one twice as long, up to the next one */
	RETRY_MAX_MS = 15 * 1000,
	MISS_MS = 10 * 1000, /* between attempts that unknown keys cause */
};

/* One URL. */
struct fetch_entry {
	struct list node;
	struct fetcher *fetcher;
	const struct fetch_kind_ops *ops;
	struct fetched *fetched; /* one reference */
	struct snapshot *snapshot; /* one reference to the one in force; NULL: it does not name the URL */
	const struct fetch_source *source; /* of it */
	struct fetch *fetch; /* NULL: none under way */
	uint64_t next_ms; /* loop time, 0: at once */
	uint64_t tried_ms;
	uint32_t attempts; /* counts, for the choice of an endpoint */
	uint64_t pause_ms; /* after the next failure */
	uint64_t failure; /* hash of what the log says about the last attempt; 0: it was good */
	enum fetch_kind kind;
	struct span url; /* behind the object, like the next two */
	struct span prefix;
	struct span host; /* see host_of() */
};

/* One request. It outlives its entry by a turn. */
struct fetch {
	struct list node;
	struct fetch_entry *entry; /* NULL: nobody wants the result */
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

static void fetch_free(struct fetch *fetch)
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
	fetch_free(container_of(deferred, struct fetch, release));
}

static void fetch_close(struct fetch *fetch)
{
	http1_client_stop(&fetch->client);
	if (fetch->entry)
		fetch->entry->fetch = NULL;
	fetch->entry = NULL;
	loop_defer(fetch->pool->loop, &fetch->release);
}

/* The log says it once: the next attempts fail for the same reason. */
static void entry_failed(struct fetch_entry *entry, struct span why)
{
	uint64_t age_s = clock_wall_us() / US_PER_S - fetched_s(entry->fetched), failure = hash_bytes(why);

	entry->next_ms = loop_now_ms(entry->fetcher->loop) + entry->pause_ms;
	entry->pause_ms = entry->pause_ms * 2 < RETRY_MAX_MS ? entry->pause_ms * 2 : RETRY_MAX_MS;
	if (entry->failure == failure)
		return;
	entry->failure = failure;
	if (fetched_id(entry->fetched))
		log_warn("%s from %.*s could not be fetched: %.*s; what came %llu s ago stays in use",
			 entry->ops->what, SPAN_FMT(entry->url), SPAN_FMT(why), (unsigned long long)age_s);
	else
		log_warn("%s from %.*s could not be fetched: %.*s; %s", entry->ops->what,
			 SPAN_FMT(entry->url), SPAN_FMT(why), entry->ops->without);
}

static void entry_replace(struct fetch_entry *entry, struct fetched_value *value, uint64_t keep_s,
			  struct span note)
{
	bool is_same = fetched_id(entry->fetched) == value->id;

	fetched_replace(entry->fetched, value, clock_wall_us() / US_PER_S);
	if (note.len && !is_same)
		log_info("%s from %.*s: %.*s", entry->ops->what, SPAN_FMT(entry->url), SPAN_FMT(note));
	if (entry->failure)
		log_info("fetched %s from %.*s", entry->ops->what, SPAN_FMT(entry->url));
	entry->next_ms = loop_now_ms(entry->fetcher->loop) + keep_s * 1000;
	entry->pause_ms = RETRY_MIN_MS;
	entry->failure = 0;
}

static void entry_take(struct fetch_entry *entry, struct span text, uint64_t keep_s)
{
	struct fetched_value *value;
	struct text why, note;

	text_init(&why);
	text_init(&note);
	value = entry->ops->read(text, entry->prefix, &why, &note);
	if (value)
		entry_replace(entry, value, keep_s, text_span(&note));
	else
		entry_failed(entry, why.len ? text_span(&why) : SPAN("no memory"));
	text_done(&note);
	text_done(&why);
}

static void fetch_on_end(struct http1_client *client, struct span why)
{
	struct fetch *fetch = container_of(client, struct fetch, client);
	struct fetch_entry *entry = fetch->entry;
	char text[64];

	if (why.len) {
		entry_failed(entry, why);
	} else if (fetch->status != 200) {
		snprintf(text, sizeof(text), "the response has the status %u", fetch->status);
		entry_failed(entry, span_str(text));
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
	struct fetch *fetch = container_of(client, struct fetch, client);

	fetch->status = head->status;
	fetch->keep_s = fetch->written_keep_s ? fetch->written_keep_s : keep_of(&head->fields);
	return true;
}

static void fetch_on_body(struct http1_client *client, struct span payload)
{
	struct fetch *fetch = container_of(client, struct fetch, client);
	int error = fetch->entry ? buf_append(&fetch->body, payload, fetch->entry->ops->most_bytes) : 0;

	if (!error)
		return;
	entry_failed(fetch->entry, error == -ENOBUFS ? SPAN("the response is too large") : SPAN("no memory"));
	fetch_close(fetch);
}

static const struct http1_client_ops fetch_ops = {
	.on_head = fetch_on_head,
	.on_body = fetch_on_body,
	.on_end = fetch_on_end,
};

/* -------------------------------------------------------------------------------- the request */

static int fetch_write(struct fetch *fetch, const struct fetch_source *source)
{
	struct h1_write_options options = { .version_minor = 1 };
	struct body_framing framing = { .kind = BODY_NONE };
	struct request_head head = { .method = METHOD_GET,
				     .method_text = SPAN("GET"),
				     .path = source->path,
				     .authority = source->authority.len ? source->authority
									: source->backend->authority,
				     .version_major = 1,
				     .version_minor = 1 };
	ptrdiff_t query = span_find(source->path, '?');
	struct arena arena;
	int error;

	if (query >= 0) {
		head.has_query = true;
		head.query = span_from(source->path, (size_t)query + 1);
		head.path = span_first(source->path, (size_t)query);
	}
	arena_init(&arena, 512);
	fields_init(&head.fields, &arena);
	error = fields_add(&head.fields, SPAN("accept"), fetch_kind_ops(source->kind)->accept);
	if (!error)
		error = fields_add(&head.fields, SPAN("user-agent"), SPAN("headgate"));
	if (!error)
		error = h1_write_request(&fetch->client.out, &head, &framing, &options);
	arena_done(&arena);
	return error;
}

/* Of a backend with one host, which its name does not tell: another host has nothing to do with the first. */
static struct span host_of(const struct fetch_source *source)
{
	return source->backend->kind == BACKEND_HOST ? source->backend->endpoint_list[0].text
						     : (struct span){ 0 };
}

static bool entry_is_for(const struct fetch_entry *entry, const struct fetch_source *source)
{
	return entry->kind == source->kind && span_eq(entry->url, source->url) &&
	       span_eq(entry->prefix, source->prefix) && span_eq(entry->host, host_of(source));
}

/* Several policies may name the same keys. 0: none says how long. */
static uint32_t shortest_keep_s(const struct fetch_entry *entry)
{
	const struct snapshot *snapshot = entry->snapshot;
	uint32_t shortest = 0;

	for (uint32_t i = 0; i < snapshot->fetch_count; i++) {
		const struct fetch_source *source = &snapshot->fetch_list[i];

		if (source->keep_s && entry_is_for(entry, source) && (!shortest || source->keep_s < shortest))
			shortest = source->keep_s;
	}
	return shortest;
}

static struct fetch *fetch_create(struct fetch_entry *entry)
{
	struct fetcher *fetcher = entry->fetcher;
	const struct fetch_source *source = entry->source;
	const struct tls_client_settings *tls = source->tls ? &source->tls->settings : NULL;
	struct upstream_wants wants = { .keepalive = &entry->snapshot->config.upstream_keepalives,
					.tls = tls };
	const struct backend *backend = snapshot_backend(entry->snapshot, source->backend);
	const struct endpoint *where = &backend->endpoint_list[entry->attempts % backend->endpoint_count];
	struct fetch *fetch = hg_calloc(1, sizeof(*fetch));

	if (!fetch)
		return NULL;
	list_add_tail(&fetcher->fetches, &fetch->node);
	fetch->pool = &fetcher->outbound->pool;
	fetch->written_keep_s = shortest_keep_s(entry);
	fetch->snapshot = snapshot_ref(entry->snapshot);
	buf_init(&fetch->body);
	loop_deferred_init(&fetch->release, fetch_on_release);
	http1_client_init(&fetch->client, fetch->pool, fetcher->outbound->relay.scratch, METHOD_GET,
			  &fetch_ops);
	fetch->endpoint = upstream_pool_endpoint(fetch->pool, where, &wants);
	if (!fetch->endpoint || fetch_write(fetch, source) < 0) {
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

static void entry_fetch(struct fetch_entry *entry, uint64_t now_ms)
{
	const struct fetch_source *source = entry->source;

	entry->tried_ms = now_ms;
	if (snapshot_backend(entry->snapshot, source->backend)->endpoint_count == 0) {
		entry_failed(entry, SPAN("the backend has no endpoints"));
		return;
	}
	if (source->tls && source->tls->invalid_reason.len) {
		entry_failed(entry, SPAN("the TLS settings of the backend are not valid"));
		return;
	}
	entry->fetch = fetch_create(entry);
	entry->attempts++;
	if (!entry->fetch) {
		entry_failed(entry, SPAN("no memory"));
		return;
	}
	http1_client_start(&entry->fetch->client);
	if (entry->fetch)
		http1_client_limit(&entry->fetch->client, FETCH_MS);
}

/* -------------------------------------------------------------------------------- entries */

static void entry_forget_snapshot(struct fetch_entry *entry)
{
	if (entry->fetch)
		fetch_close(entry->fetch);
	snapshot_unref(entry->snapshot);
	entry->snapshot = NULL;
	entry->source = NULL;
}

static void entry_free(struct fetch_entry *entry)
{
	entry_forget_snapshot(entry);
	list_remove(&entry->node);
	fetched_unref(entry->fetched);
	hg_free(entry);
}

static struct span keep(char **at, struct span text)
{
	struct span kept = span_of(*at, text.len);

	if (text.len)
		memcpy(*at, text.data, text.len);
	*at += text.len;
	return kept;
}

/* NULL without memory. */
static struct fetch_entry *entry_create(struct fetcher *fetcher, const struct fetch_source *source)
{
	struct span host = host_of(source);
	struct fetch_entry *entry =
		hg_calloc(1, sizeof(*entry) + source->url.len + source->prefix.len + host.len);
	char *at;

	if (!entry)
		return NULL;
	at = (char *)(entry + 1);
	entry->fetched = fetched_create(NULL);
	if (!entry->fetched) {
		hg_free(entry);
		return NULL;
	}
	entry->fetcher = fetcher;
	entry->kind = source->kind;
	entry->ops = fetch_kind_ops(source->kind);
	entry->pause_ms = RETRY_MIN_MS;
	entry->url = keep(&at, source->url);
	entry->prefix = keep(&at, source->prefix);
	entry->host = keep(&at, host);
	list_add_tail(&fetcher->entries, &entry->node);
	return entry;
}

static struct fetch_entry *entry_of(struct fetcher *fetcher, const struct fetch_source *source)
{
	list_each(node, next, &fetcher->entries) {
		struct fetch_entry *entry = list_entry(node, struct fetch_entry, node);

		if (entry_is_for(entry, source))
			return entry;
	}
	return entry_create(fetcher, source);
}

static void fetcher_on_tick(struct timer *timer, uint64_t now_ms)
{
	struct fetcher *fetcher = container_of(timer, struct fetcher, tick);

	list_each(node, next, &fetcher->entries) {
		struct fetch_entry *entry = list_entry(node, struct fetch_entry, node);

		if (entry->fetch || !entry->snapshot)
			continue;
		if (now_ms >= entry->next_ms ||
		    (now_ms >= entry->tried_ms + MISS_MS && fetched_take_miss(entry->fetched)))
			entry_fetch(entry, now_ms);
	}
	if (!list_is_empty(&fetcher->entries))
		timer_arm(loop_timers(fetcher->loop), timer, now_ms + TICK_MS);
}

static void drop(void *fetched)
{
	fetched_unref(fetched);
}

/* -------------------------------------------------------------------------------- all of it */

void fetcher_init(struct fetcher *fetcher, struct outbound *outbound)
{
	*fetcher = (struct fetcher){ .loop = outbound->loop, .outbound = outbound };
	list_init(&fetcher->entries);
	list_init(&fetcher->fetches);
	timer_init(&fetcher->tick, fetcher_on_tick);
}

void fetcher_done(struct fetcher *fetcher)
{
	if (!fetcher->loop)
		return;
	timer_cancel(loop_timers(fetcher->loop), &fetcher->tick);
	while (!list_is_empty(&fetcher->entries))
		entry_free(list_entry(fetcher->entries.next, struct fetch_entry, node));
	/* No turn of the loop follows. */
	while (!list_is_empty(&fetcher->fetches)) {
		struct fetch *fetch = list_entry(fetcher->fetches.next, struct fetch, node);

		loop_deferred_cancel(&fetch->release);
		fetch_free(fetch);
	}
}

int fetcher_attach(struct fetcher *fetcher, struct snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->fetch_count; i++) {
		const struct fetch_source *source = &snapshot->fetch_list[i];
		struct fetch_entry *entry = entry_of(fetcher, source);

		if (!entry || outbound_open(fetcher->outbound) < 0)
			return -ENOMEM;
		if (snapshot_add_destructor(snapshot, drop, fetched_ref(entry->fetched)) < 0) {
			fetched_unref(entry->fetched);
			return -ENOMEM;
		}
		*source->place = entry->fetched;
	}
	return 0;
}

static const struct fetch_source *source_of(const struct snapshot *snapshot, const struct fetch_entry *entry)
{
	for (uint32_t i = 0; i < snapshot->fetch_count; i++)
		if (entry_is_for(entry, &snapshot->fetch_list[i]))
			return &snapshot->fetch_list[i];
	return NULL;
}

void fetcher_follow(struct fetcher *fetcher, struct snapshot *snapshot)
{
	list_each(node, next, &fetcher->entries) {
		struct fetch_entry *entry = list_entry(node, struct fetch_entry, node);
		const struct fetch_source *source = source_of(snapshot, entry);

		/* A copy with other endpoints: what is being fetched goes on. */
		if (entry->snapshot && snapshot_base(entry->snapshot) == snapshot_base(snapshot)) {
			snapshot_ref(snapshot);
			snapshot_unref(entry->snapshot);
			entry->snapshot = snapshot;
			continue;
		}
		entry_forget_snapshot(entry);
		if (!source) {
			entry_free(entry);
			continue;
		}
		entry->snapshot = snapshot_ref(snapshot);
		entry->source = source;
	}
	if (!list_is_empty(&fetcher->entries))
		fetcher_on_tick(&fetcher->tick, loop_now_ms(fetcher->loop));
}
