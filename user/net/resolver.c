/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/resolver.h"

#include <errno.h>
#include <pthread.h>

#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/net/lookup.h"
#include "user/net/name_table.h"

enum { FAILURE_LOG_INTERVAL_MS = 60000 };

/* One name in the process' cache. All members are protected by resolver->lock. */
struct resolver_name {
	struct name_entry entry;
	struct resolver_answer answer;
	uint64_t answered_ms; /* when a look-up last succeeded */
	struct log_rate failure_log;
	bool is_failure_logged; /* so the recovery is logged, too */
};

struct resolver {
	struct resolver_options options;
	pthread_mutex_t lock;
	struct name_table names;
};

struct resolver_list *resolver_list_create(uint32_t count)
{
	struct resolver_list *list = hg_malloc(sizeof(*list) + count * sizeof(list->address_list[0]));

	if (!list)
		return NULL;
	atomic_init(&list->refs, 1);
	list->count = count;
	return list;
}

struct resolver_list *resolver_list_ref(struct resolver_list *list)
{
	atomic_fetch_add_explicit(&list->refs, 1, memory_order_relaxed);
	return list;
}

void resolver_list_unref(struct resolver_list *list)
{
	if (list && atomic_fetch_sub_explicit(&list->refs, 1, memory_order_acq_rel) == 1)
		hg_free(list);
}

void resolver_answer_set(struct resolver_answer *answer, struct resolver_answer next)
{
	struct resolver_list *old = answer->list;

	*answer = next;
	resolver_list_unref(old);
}

static struct resolver_answer answer_copy(const struct resolver_answer *answer)
{
	if (answer->list)
		resolver_list_ref(answer->list);
	return *answer;
}

static void resolver_name_free(struct resolver *resolver, struct resolver_name *name)
{
	name_table_remove(&resolver->names, &name->entry);
	resolver_list_unref(name->answer.list);
	hg_free(name);
}

/*
 * The same addresses in the same order keep the list object, so that users can detect "nothing changed" by
 * comparing pointers.
 */
static bool is_unchanged(const struct resolver_list *known, const struct address *list, uint32_t count)
{
	if (!known || known->count != count)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (!address_eq(&known->address_list[i], &list[i]))
			return false;
	}
	return true;
}

static int resolver_name_publish(struct resolver_name *name, const struct address *list, uint32_t count)
{
	struct resolver_list *copy;

	if (is_unchanged(name->answer.list, list, count))
		return 0;
	copy = resolver_list_create(count);
	if (!copy)
		return -ENOMEM;
	memcpy(copy->address_list, list, count * sizeof(*list));
	resolver_list_unref(name->answer.list);
	name->answer.list = copy;
	return 0;
}

/* The log line about one look-up, composed under the lock and written after it. */
struct resolver_news {
	enum { NEWS_NONE, NEWS_FAILED, NEWS_KEPT, NEWS_RECOVERED } kind;
	int error;
	uint32_t count;
	uint64_t age_s;
};

static struct resolver_news resolver_name_update(const struct resolver_options *options,
						 struct resolver_name *name, int error, uint64_t now_ms)
{
	struct resolver_news news = { .kind = NEWS_NONE, .error = error };
	struct resolver_answer *answer = &name->answer;
	uint64_t suppressed;

	answer->result = answer->list ? 0 : error;
	answer->fresh_until_ms = now_ms + (error ? options->negative_ms : options->refresh_ms);
	answer->stale_until_ms = answer->fresh_until_ms + options->refresh_ms;
	news.count = answer->list ? answer->list->count : 0;
	if (!error) {
		news.kind = name->is_failure_logged ? NEWS_RECOVERED : NEWS_NONE;
		name->answered_ms = now_ms;
		name->is_failure_logged = false;
	} else if (log_rate_pass(&name->failure_log, now_ms, FAILURE_LOG_INTERVAL_MS, &suppressed)) {
		news.kind = answer->list ? NEWS_KEPT : NEWS_FAILED;
		news.age_s = (now_ms - name->answered_ms) / 1000;
		name->is_failure_logged = true;
	}
	return news;
}

static void resolver_log(struct span host, struct resolver_news news)
{
	switch (news.kind) {
	case NEWS_NONE:
		return;
	case NEWS_FAILED:
		log_warn("resolving \"%.*s\" failed: %s", SPAN_FMT(host), lookup_error_text(news.error));
		return;
	case NEWS_KEPT:
		log_warn("resolving \"%.*s\" failed: %s; its %u addresses of %llu s ago stay in use",
			 SPAN_FMT(host), lookup_error_text(news.error), news.count,
			 (unsigned long long)news.age_s);
		return;
	case NEWS_RECOVERED:
		log_info("resolving \"%.*s\" works again: %u addresses", SPAN_FMT(host), news.count);
		return;
	}
}

struct resolver *resolver_create(const struct resolver_options *options)
{
	struct resolver *resolver = hg_calloc(1, sizeof(*resolver));

	if (!resolver || lookup_init() != 0) {
		hg_free(resolver);
		errno = ENOMEM;
		return NULL;
	}
	resolver->options = *options;
	if (!resolver->options.refresh_ms)
		resolver->options.refresh_ms = 30000;
	if (!resolver->options.negative_ms)
		resolver->options.negative_ms = 1000;
	pthread_mutex_init(&resolver->lock, NULL);
	name_table_init(&resolver->names);
	return resolver;
}

void resolver_free(struct resolver *resolver)
{
	struct name_entry *entry;

	if (!resolver)
		return;
	while ((entry = name_table_any(&resolver->names)) != NULL)
		resolver_name_free(resolver, container_of(entry, struct resolver_name, entry));
	pthread_mutex_destroy(&resolver->lock);
	hg_free(resolver);
}

const struct lookup_options *resolver_lookup(const struct resolver *resolver)
{
	return &resolver->options.lookup;
}

/* The cached name, or a new one; NULL without memory. */
static struct resolver_name *resolver_name_take(struct resolver *resolver, struct span host, uint16_t port)
{
	struct name_entry *entry = name_table_find(&resolver->names, host, port);
	struct resolver_name *name;

	if (entry)
		return container_of(entry, struct resolver_name, entry);
	name = hg_calloc(1, sizeof(*name));
	if (!name)
		return NULL;
	if (resolver->names.count >= LIMIT_RESOLVE_NAMES)
		resolver_name_free(resolver, container_of(name_table_oldest(&resolver->names),
							  struct resolver_name, entry));
	name_table_add(&resolver->names, &name->entry, host, port);
	return name;
}

bool resolver_ask(struct resolver *resolver, struct span host, uint16_t port,
		  struct resolver_answer *ret_answer)
{
	uint64_t now_ms = clock_now_ms();
	struct name_entry *entry;
	bool is_fresh = false;

	*ret_answer = (struct resolver_answer){ .list = NULL };
	pthread_mutex_lock(&resolver->lock);
	entry = name_table_find(&resolver->names, host, port);
	if (entry) {
		struct resolver_answer *answer = &container_of(entry, struct resolver_name, entry)->answer;

		is_fresh = now_ms < answer->fresh_until_ms;
		*ret_answer = answer_copy(answer);
		if (!is_fresh && answer->list && now_ms + RESOLVER_RENEW_MS < answer->stale_until_ms)
			answer->fresh_until_ms = now_ms + RESOLVER_RENEW_MS;
	}
	pthread_mutex_unlock(&resolver->lock);
	return !is_fresh;
}

void resolver_tell(struct resolver *resolver, struct span host, uint16_t port, int result,
		   struct address *list, uint32_t count, struct resolver_answer *ret_answer)
{
	struct resolver_name unlisted = { .answer.list = NULL };
	struct resolver_name *name;
	struct resolver_news news;

	for (uint32_t i = 0; i < count; i++)
		address_set_port(&list[i], port);
	pthread_mutex_lock(&resolver->lock);
	name = resolver_name_take(resolver, host, port);
	if (!name)
		name = &unlisted;
	if (result == 0)
		result = resolver_name_publish(name, list, count);
	news = resolver_name_update(&resolver->options, name, result, clock_now_ms());
	*ret_answer = answer_copy(&name->answer);
	pthread_mutex_unlock(&resolver->lock);
	resolver_list_unref(unlisted.answer.list);
	resolver_log(host, news);
}
